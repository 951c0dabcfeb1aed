#include "sluice/autograd/attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "op_support.hpp"
#include "rotary_table.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/attention.hpp"
#include "sluice/kernels/bfloat16.hpp"
#include "sluice/tensor/elementwise.hpp"
#include "sluice/tensor/gemm.hpp"
#include "sluice/tensor/operand.hpp"

namespace sluice {
namespace {

// Queries per block: their scores stay in the second-level cache for windows of some thousands.
constexpr std::int64_t kQueries = 64;
// Rows and columns of the products are multiples of this, so that chunks of any length need few
// different primitives. Rows of operands behind the last are zeros, and so are those of products.
constexpr std::int64_t kPad = 16;
// With so few queries the products are bound by reading keys and values once.
constexpr std::int64_t kFewQueries = 2;

std::int64_t padded(std::int64_t n) { return (n + kPad - 1) / kPad * kPad; }

// One of q, k, v, y or their gradients: columns [column, column + D) of rows [B·T].
struct Part {
  Tensor rows;
  std::int64_t column = 0;

  template <class T>
  T* at(std::int64_t row) const {
    return rows.data<T>() + row * rows.dim(2) + column;
  }
  std::int64_t pitch() const { return rows.dim(2); }
};

struct Inputs {
  Part q, k, v;
  Part k_context, v_context;  // undefined rows: none
};

// A [rows, d] operand of the products in a thread's scratch memory.
struct Operand {
  Tensor data;
  MatrixView view(std::int64_t first, std::int64_t rows) const {
    return matrix(data).row_range(first, rows);
  }
};

// A block of queries of one head, and the keys it sees.
struct Block {
  std::int64_t first, count;        // queries
  std::int64_t key_begin, key_end;  // multiples of kPad
  kernels::Band band;
  std::int64_t key_count() const { return key_end - key_begin; }
  // Its scores, a row for each query.
  kernels::BandedRows rows() const {
    const auto n = static_cast<std::size_t>(key_count());
    return {static_cast<std::size_t>(count), n, n, band};
  }
};
// Scratch memory of a thread.
struct Scratch {
  Operand keys, values, queries, probabilities;
  Tensor row;     // one row of float values on their way to an operand
  Tensor scores;  // [kQueries, most_keys()]
  Tensor out;     // [kQueries, d]
  // For the gradient:
  Operand outputs, score_gradients;
  Tensor dprobabilities, dkeys, dvalues;
};

// Zeroes rows [first, last) of an operand.
void clear_rows(const Operand& rows, std::int64_t first, std::int64_t last) {
  const std::size_t bytes =
      static_cast<std::size_t>(rows.data.dim(1)) * dtype_size(rows.data.dtype());
  std::memset(static_cast<std::byte*>(rows.data.raw()) + static_cast<std::size_t>(first) * bytes, 0,
              static_cast<std::size_t>(last - first) * bytes);
}

template <class T>
struct Work {
  Inputs in;
  Attention options;
  std::int64_t batch = 0, time = 0, width = 0;
  std::int64_t carried = 0;  // rows of context in use
  std::int64_t skipped = 0;  // rows of context before those
  Tensor stats;              // [B, H, T, 2]
  std::shared_ptr<const RotaryTable<T>> table;

  std::int64_t head_width() const { return width / options.heads; }
  std::int64_t keys() const { return carried + time; }
  T scale() const { return T{1} / std::sqrt(static_cast<T>(head_width())); }
  DType operand() const { return operand_type(dtype_of<T>, options.precision); }

  Block block_at(std::int64_t first) const {
    const std::int64_t count = std::min(kQueries, time - first);
    const std::int64_t oldest = carried + first - options.window + 1;
    const std::int64_t begin = std::max<std::int64_t>(oldest, 0) / kPad * kPad;
    const std::int64_t end = padded(carried + first + count);
    return {first, count, begin, end, {oldest - begin, carried + first + 1 - begin}};
  }

  // Largest number of keys of a block.
  std::int64_t most_keys() const {
    return std::min(padded(keys()), padded(options.window + kQueries) + kPad);
  }

  Scratch scratch(bool backward) const {
    const std::int64_t d = head_width(), n = padded(keys()), q = std::min(kQueries, padded(time));
    const auto make = [](std::int64_t rows, std::int64_t columns, DType dtype) {
      return Tensor(Shape{rows, columns}, dtype);
    };
    Scratch s;
    s.keys = {make(n, d, operand())};
    s.values = {make(n, d, operand())};
    s.queries = {make(q, d, operand())};
    s.row = make(1, d, dtype_of<T>);
    s.scores = make(q, most_keys(), dtype_of<T>);
    s.out = make(q, d, dtype_of<T>);
    const bool rounded = operand() != dtype_of<T>;
    if (rounded) s.probabilities = {make(q, most_keys(), operand())};
    if (!backward) return s;
    s.outputs = {make(q, d, operand())};
    s.dprobabilities = make(q, most_keys(), dtype_of<T>);
    if (rounded) s.score_gradients = {make(q, most_keys(), operand())};
    s.dkeys = make(n, d, dtype_of<T>);
    s.dvalues = make(n, d, dtype_of<T>);
    return s;
  }

  // Row `to` of an operand from d values, rotated to `position` when that is not negative.
  void put(const Operand& operand_rows, std::int64_t to, const T* from, std::int64_t position,
           T factor, const Tensor& row) const {
    const std::int64_t d = head_width();
    const auto count = static_cast<std::size_t>(d);
    const bool rounded = operand_rows.data.dtype() != dtype_of<T>;
    T* const out = rounded ? row.data<T>() : operand_rows.data.data<T>() + to * d;
    if (position >= 0) {
      kernels::rotate_pairs(out, from, table->rotation(position, factor, false), count / 2);
    } else {
      kernels::scale_into(out, from, factor, count);
    }
    if constexpr (std::is_same_v<T, float>) {
      if (rounded) {
        kernels::to_bfloat16(operand_rows.data.data<std::uint16_t>() + to * d, out, count);
      }
    }
  }
  std::int64_t position(std::int64_t key) const { return options.rotary ? key : -1; }

  // Keys and values of one head, those of the context first.
  void gather(const Scratch& s, std::int64_t b, std::int64_t head) const {
    const std::int64_t column = head * head_width();
    for (std::int64_t j = 0; j < keys(); ++j) {
      const bool old = j < carried;
      const std::int64_t row = old ? b * (skipped + carried) + skipped + j : b * time + j - carried;
      put(s.keys, j, (old ? in.k_context : in.k).template at<T>(row) + column, position(j), T{1},
          s.row);
      put(s.values, j, (old ? in.v_context : in.v).template at<T>(row) + column, -1, T{1}, s.row);
    }
    clear_rows(s.keys, keys(), padded(keys()));
    clear_rows(s.values, keys(), padded(keys()));
  }

  void gather_queries(const Scratch& s, const Block& block, std::int64_t b,
                      std::int64_t head) const {
    for (std::int64_t i = 0; i < block.count; ++i) {
      const std::int64_t t = block.first + i;
      put(s.queries, i, in.q.at<T>(b * time + t) + head * head_width(), position(carried + t),
          scale(), s.row);
    }
    clear_rows(s.queries, block.count, padded(block.count));
  }

  // Scores of a block: [padded(count), key_count()] with that pitch.
  void score(const Scratch& s, const Block& block) const {
    gemm(s.scores.data<T>(), block.key_count(), s.queries.view(0, padded(block.count)),
         transpose(s.keys.view(block.key_begin, block.key_count())));
  }

  // Scores or probabilities as an operand: `x` itself or, rounded, `to`.
  MatrixView as_matrix(const Tensor& x, const Operand& to, const Block& block) const {
    const std::int64_t rows = padded(block.count), n = block.key_count();
    if constexpr (std::is_same_v<T, float>) {
      if (to.data.defined()) {
        kernels::to_bfloat16(to.data.data<std::uint16_t>(), x.data<T>(),
                             static_cast<std::size_t>(rows * n));
        return matrix(to.data.data<std::uint16_t>(), rows, n);
      }
    }
    return matrix(x.data<T>(), rows, n);
  }

  T* stats_at(std::int64_t b, std::int64_t head, std::int64_t t) const {
    return stats.data<T>() + ((b * options.heads + head) * time + t) * 2;
  }

  void forward(const Scratch& s, const Part& y, std::int64_t b, std::int64_t head) const {
    const std::int64_t d = head_width();
    gather(s, b, head);
    for (std::int64_t first = 0; first < time; first += kQueries) {
      const Block block = block_at(first);
      gather_queries(s, block, b, head);
      const std::int64_t n = block.key_count();
      const auto softmax = [&] {
        kernels::band_softmax(s.scores.data<T>(), stats_at(b, head, first), block.rows());
      };
      if (block.count <= kFewQueries && operand() == dtype_of<T>) {
        few_scores(s, block);
        softmax();
        few_outputs(s, block);
      } else {
        score(s, block);
        softmax();
        gemm(s.out.data<T>(), d, as_matrix(s.scores, s.probabilities, block),
             s.values.view(block.key_begin, n));
      }
      for (std::int64_t i = 0; i < block.count; ++i) {
        std::memcpy(y.at<T>(b * time + first + i) + head * d, s.out.data<T>() + i * d,
                    static_cast<std::size_t>(d) * sizeof(T));
      }
    }
  }

  void few_scores(const Scratch& s, const Block& block) const {
    const auto n = static_cast<std::size_t>(block.key_count());
    const auto d = static_cast<std::size_t>(head_width());
    for (std::int64_t i = 0; i < block.count; ++i) {
      kernels::matrix_times_vector(s.scores.data<T>() + i * block.key_count(),
                                   s.keys.data.data<T>() + block.key_begin * head_width(),
                                   s.queries.data.data<T>() + i * head_width(), n, d, d);
    }
  }
  void few_outputs(const Scratch& s, const Block& block) const {
    const auto n = static_cast<std::size_t>(block.key_count());
    const auto d = static_cast<std::size_t>(head_width());
    for (std::int64_t i = 0; i < block.count; ++i) {
      kernels::vector_times_matrix(
          s.out.data<T>() + i * head_width(), s.scores.data<T>() + i * block.key_count(),
          s.values.data.data<T>() + block.key_begin * head_width(), n, d, d);
    }
  }

  // Gradients of one head into the parts dq, dk, dv.
  void backward(const Scratch& s, const Part& dy, const Part& dq, const Part& dk, const Part& dv,
                std::int64_t b, std::int64_t head) const {
    const std::int64_t d = head_width(), column = head * d;
    const auto count = static_cast<std::size_t>(d);
    gather(s, b, head);
    s.dkeys.fill_zero();
    s.dvalues.fill_zero();
    for (std::int64_t first = 0; first < time; first += kQueries) {
      const Block block = block_at(first);
      const std::int64_t n = block.key_count();
      gather_queries(s, block, b, head);
      for (std::int64_t i = 0; i < block.count; ++i) {
        put(s.outputs, i, dy.at<T>(b * time + first + i) + column, -1, T{1}, s.row);
      }
      clear_rows(s.outputs, block.count, padded(block.count));
      const MatrixView outputs = s.outputs.view(0, padded(block.count));
      score(s, block);
      gemm(s.dprobabilities.data<T>(), n, outputs, transpose(s.values.view(block.key_begin, n)));
      kernels::band_softmax_backward(s.scores.data<T>(), s.dprobabilities.data<T>(),
                                     stats_at(b, head, first), block.rows());
      const MatrixView p = as_matrix(s.scores, s.probabilities, block);
      const MatrixView ds = as_matrix(s.dprobabilities, s.score_gradients, block);
      gemm(s.dvalues.data<T>() + block.key_begin * d, d, transpose(p), outputs, true);
      gemm(s.dkeys.data<T>() + block.key_begin * d, d, transpose(ds),
           s.queries.view(0, padded(block.count)), true);
      gemm(s.out.data<T>(), d, ds, s.keys.view(block.key_begin, n));
      for (std::int64_t i = 0; i < block.count; ++i) {
        give(dq.at<T>(b * time + first + i) + column, s.out.data<T>() + i * d,
             position(carried + first + i), scale());
      }
    }
    for (std::int64_t t = 0; t < time; ++t) {
      const std::int64_t j = carried + t;
      give(dk.at<T>(b * time + t) + column, s.dkeys.data<T>() + j * d, position(j), T{1});
      std::memcpy(dv.at<T>(b * time + t) + column, s.dvalues.data<T>() + j * d, count * sizeof(T));
    }
  }

  void give(T* to, const T* from, std::int64_t at, T factor) const {
    const auto count = static_cast<std::size_t>(head_width());
    if (at >= 0) {
      kernels::rotate_pairs(to, from, table->rotation(at, factor, true), count / 2);
    } else {
      kernels::scale_into(to, from, factor, count);
    }
  }

  // Calls f(scratch, stream, head) for all of them.
  template <class F>
  void for_heads(bool backward_pass, F&& f) const {
    const std::int64_t seen = std::min(options.window, keys());
    const std::int64_t work = std::max<std::int64_t>(4 * time * seen * head_width() / 16, 1);
    const std::int64_t grain = std::max<std::int64_t>(1, kElementGrain / work);
    parallel_for(batch * options.heads, grain, [&](std::int64_t begin, std::int64_t end) {
      const Scratch s = scratch(backward_pass);
      for (std::int64_t i = begin; i < end; ++i) f(s, i / options.heads, i % options.heads);
    });
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

template <class T>
std::shared_ptr<const Work<T>> make_work(const Inputs& in, const Attention& options,
                                         const Shape& shape, std::int64_t context) {
  auto work = std::make_shared<Work<T>>();
  work->in = in;
  work->options = options;
  work->batch = shape[0];
  work->time = shape[1];
  work->width = shape[2];
  work->carried = std::min(context, options.window - 1);
  work->skipped = context - work->carried;
  work->stats = Tensor(Shape{shape[0], options.heads, shape[1], 2}, dtype_of<T>);
  if (options.rotary) work->table = rotary_table<T>(work->head_width() / 2, work->keys());
  return work;
}

template <class T>
Tensor run_forward(const Work<T>& work) {
  Tensor y(Shape{work.batch, work.time, work.width}, dtype_of<T>);
  const ProfileScope profile("attention", 0, 4 * static_cast<double>(y.bytes()));
  work.for_heads(false, [&](const auto& s, std::int64_t b, std::int64_t head) {
    work.forward(s, {y, 0}, b, head);
  });
  return y;
}

template <class T>
void run_backward(const Work<T>& work, const Tensor& dy, const Part& dq, const Part& dk,
                  const Part& dv) {
  const ProfileScope profile("attention", 0, 7 * static_cast<double>(dy.bytes()));
  work.for_heads(true, [&](const auto& s, std::int64_t b, std::int64_t head) {
    work.backward(s, {dy, 0}, dq, dk, dv, b, head);
  });
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
    const auto work = make_work<T>(
        {{q.value()}, {k.value()}, {v.value()}, {k_context}, {v_context}}, options, shape, context);
    return record(
        run_forward(*work), {q, k, v},
        [work, shape, q = q.gradient(), k = k.gradient(), v = v.gradient()](const Tensor& dy) {
          const Tensor dq(shape, dtype_of<T>), dk(shape, dtype_of<T>), dv(shape, dtype_of<T>);
          run_backward<T>(*work, dy, {dq}, {dk}, {dv});
          if (q) q->accumulate(dq);
          if (k) k->accumulate(dk);
          if (v) v->accumulate(dv);
        });
  });
}

Variable causal_self_attention(const Variable& qkv, const Tensor& context,
                               const Attention& options) {
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
  check_options(options, shape[2]);
  return dispatch_float(qkv.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t d = shape[2];
    const Tensor& x = qkv.value();
    const auto work = make_work<T>({{x, 0}, {x, d}, {x, 2 * d}, {context, 0}, {context, d}},
                                   options, shape, context.defined() ? context.dim(1) : 0);
    return record(run_forward(*work), {qkv}, [work, d, qkv = qkv.gradient()](const Tensor& dy) {
      const Tensor dx(Shape{work->batch, work->time, 3 * d}, dtype_of<T>);
      run_backward<T>(*work, dy, {dx, 0}, {dx, d}, {dx, 2 * d});
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
