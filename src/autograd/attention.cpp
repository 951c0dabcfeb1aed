#include "sluice/autograd/attention.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/profile.hpp"

namespace sluice {
namespace {

// One of q, k, v or their gradients: columns [column, column + D) of rows [B, T, ..].
struct Part {
  Tensor rows;
  std::int64_t column = 0;

  template <class T>
  T* at(std::int64_t row) const {
    return rows.data<T>() + row * pitch() + column;
  }
  std::int64_t pitch() const { return rows.dim(2); }
};

struct Inputs {
  Part q, k, v;
  Part k_context, v_context;  // undefined rows: none
};

// What is kept for the gradient.
struct Work {
  Inputs in;
  Attention options;
  std::int64_t batch = 0, time = 0, width = 0;
  std::int64_t context = 0;                // rows of context
  Tensor stats;                            // [B, H, T, 2]
  std::vector<std::int32_t> visible = {};  // of the context, by text; empty: all

  /// The streams; y is undefined for the gradient.
  template <class T>
  std::vector<AttentionText<T>> texts(const Tensor& y) const {
    std::vector<AttentionText<T>> all(static_cast<std::size_t>(batch));
    for (std::int64_t b = 0; b < batch; ++b) {
      AttentionText<T>& text = all[static_cast<std::size_t>(b)];
      std::int64_t carried = std::min(context, options.window - 1);
      if (!visible.empty()) {
        carried = std::min<std::int64_t>(carried, visible[static_cast<std::size_t>(b)]);
      }
      text.q = in.q.at<T>(b * time);
      text.q_pitch = in.q.pitch();
      text.time = time;
      if (carried > 0) {
        const std::int64_t first = (b + 1) * context - carried;
        text.keys.push_back(
            {in.k_context.at<T>(first), in.v_context.at<T>(first), in.k_context.pitch(), carried});
      }
      text.keys.push_back({in.k.at<T>(b * time), in.v.at<T>(b * time), in.k.pitch(), time});
      if (y.defined()) text.y = y.data<T>() + b * time * width;
      text.y_pitch = width;
      text.stats = stats.data<T>() + b * options.heads * time * 2;
    }
    return all;
  }

  template <class T>
  Tensor forward() const {
    Tensor y(Shape{batch, time, width}, dtype_of<T>);
    const std::vector<AttentionText<T>> all = texts<T>(y);
    attention_forward<T>(all, options, width);
    return y;
  }

  template <class T>
  void backward(const Tensor& dy, const Part& dq, const Part& dk, const Part& dv) const {
    const std::vector<AttentionText<T>> all = texts<T>({});
    std::vector<AttentionGradients<T>> gradients;
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::int64_t row = b * time;
      gradients.push_back(
          {dy.data<T>() + row * width, dq.at<T>(row), dk.at<T>(row), dv.at<T>(row), dq.pitch()});
    }
    attention_backward<T>(all, gradients, options, width);
  }
};

void check_options(const Attention& options, std::int64_t width) {
  check_heads("causal_attention", width, options.heads, options.rotary);
  if (options.window < 1) {
    throw UsageError(fmt::format(
        "causal_attention: a window of {} positions leaves nothing to see; use at least 1",
        options.window));
  }
}

std::shared_ptr<const Work> make_work(const Inputs& in, const Attention& options,
                                      const Shape& shape, std::int64_t context,
                                      std::span<const std::int32_t> visible = {}) {
  return std::make_shared<const Work>(
      Work{in,
           options,
           shape[0],
           shape[1],
           shape[2],
           context,
           Tensor(Shape{shape[0], options.heads, shape[1], 2}, in.q.rows.dtype()),
           {visible.begin(), visible.end()}});
}

}  // namespace

Variable causal_attention(const Variable& q, const Variable& k, const Variable& v,
                          const Tensor& k_context, const Tensor& v_context,
                          const Attention& options) {
  const Shape shape = q.shape();
  if (shape.rank() != 3 || !(k.shape() == shape) || !(v.shape() == shape)) {
    throw Error(fmt::format(
        "causal_attention: queries {}, keys {} and values {} differ, expected [B, T, D] of all",
        shape.str(), k.shape().str(), v.shape().str()));
  }
  const std::int64_t context = k_context.defined() ? k_context.dim(1) : 0;
  const Shape before{shape[0], context, shape[2]};
  if (k_context.defined() != v_context.defined() ||
      (k_context.defined() && (!(k_context.shape() == before) || !(v_context.shape() == before)))) {
    throw Error(fmt::format(
        "causal_attention: contexts {} of keys and {} of values do not fit queries {}, expected "
        "[B, S, D] of both or neither",
        k_context.shape().str(), v_context.shape().str(), shape.str()));
  }
  check_options(options, shape[2]);
  return dispatch_float(q.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto work = make_work({{q.value()}, {k.value()}, {v.value()}, {k_context}, {v_context}},
                                options, shape, context);
    return record(
        work->template forward<T>(), {q, k, v},
        [work, shape, q = q.gradient(), k = k.gradient(), v = v.gradient()](const Tensor& dy) {
          const Tensor dq(shape, dtype_of<T>), dk(shape, dtype_of<T>), dv(shape, dtype_of<T>);
          work->template backward<T>(dy, {dq}, {dk}, {dv});
          if (q) q->accumulate(dq);
          if (k) k->accumulate(dk);
          if (v) v->accumulate(dv);
        });
  });
}

Variable causal_self_attention(const Variable& qkv, const Tensor& context, const Attention& options,
                               std::span<const std::int32_t> visible) {
  if (qkv.shape().rank() != 3 || qkv.shape()[2] % 3 != 0) {
    throw Error(
        fmt::format("causal_self_attention: expected [B, T, 3D], got shape {}", qkv.shape().str()));
  }
  const Shape shape{qkv.shape()[0], qkv.shape()[1], qkv.shape()[2] / 3};
  if (context.defined() && (context.shape().rank() != 3 || context.dim(0) != shape[0] ||
                            context.dim(2) != 2 * shape[2])) {
    throw Error(fmt::format(
        "causal_self_attention: context {} does not fit queries, keys and values {}, expected "
        "[B, S, 2D] for [B, T, 3D]",
        context.shape().str(), qkv.shape().str()));
  }
  if (!visible.empty() && static_cast<std::int64_t>(visible.size()) != shape[0]) {
    throw Error(
        fmt::format("causal_self_attention: what is visible is told of {} texts, expected {}",
                    visible.size(), shape[0]));
  }
  check_options(options, shape[2]);
  return dispatch_float(qkv.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t d = shape[2];
    const Tensor& x = qkv.value();
    const auto work = make_work({{x, 0}, {x, d}, {x, 2 * d}, {context, 0}, {context, d}}, options,
                                shape, context.defined() ? context.dim(1) : 0, visible);
    return record(work->template forward<T>(), {qkv},
                  [work, d, qkv = qkv.gradient()](const Tensor& dy) {
                    const Tensor dx(Shape{work->batch, work->time, 3 * d}, dtype_of<T>);
                    work->template backward<T>(dy, {dx, 0}, {dx, d}, {dx, 2 * d});
                    qkv->accumulate(dx);
                  });
  });
}

Tensor next_attention_context(const Tensor& qkv, const Tensor& context, std::int64_t window) {
  const std::int64_t batch = qkv.dim(0), time = qkv.dim(1), columns = qkv.dim(2) / 3 * 2;
  const std::int64_t before = context.defined() ? context.dim(1) : 0;
  const std::int64_t kept = std::min(before + time, window - 1);
  const std::int64_t old = std::max<std::int64_t>(kept - time, 0);
  Tensor next(Shape{batch, kept, columns}, qkv.dtype());
  const ProfileScope profile("attention context", 0, 2 * static_cast<double>(next.bytes()));
  const std::size_t size = dtype_size(qkv.dtype());
  const auto bytes = [&](const Tensor& x, std::int64_t element) {
    return static_cast<std::byte*>(x.raw()) + static_cast<std::size_t>(element) * size;
  };
  for (std::int64_t b = 0; b < batch; ++b) {
    if (old > 0) {
      std::memcpy(bytes(next, b * kept * columns),
                  bytes(context, ((b + 1) * before - old) * columns),
                  static_cast<std::size_t>(old * columns) * size);
    }
    for (std::int64_t j = old; j < kept; ++j) {
      std::memcpy(bytes(next, (b * kept + j) * columns),
                  bytes(qkv, (b * time + time - kept + j) * qkv.dim(2) + columns / 2),
                  static_cast<std::size_t>(columns) * size);
    }
  }
  return next;
}

}  // namespace sluice
