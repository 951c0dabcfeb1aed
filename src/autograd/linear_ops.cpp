#include <algorithm>

#include <fmt/format.h>

#include "op_support.hpp"
#include "sluice/autograd/ops.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/elementwise.hpp"
#include "sluice/kernels/softmax.hpp"
#include "sluice/tensor/elementwise.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

MatrixView matrix_of(const Tensor& x) {
  return {x.raw(), x.dtype(), x.dim(0), x.dim(1), x.dim(1), false};
}

// y[r] += bias for every row.
template <class T>
void add_bias(const Tensor& y, const Tensor& bias) {
  const std::int64_t n = y.dim(1);
  const ProfileScope profile("bias", 0, 2 * static_cast<double>(y.bytes()));
  parallel_for(y.dim(0), row_grain(n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      kernels::add_scaled(y.data<T>() + r * n, bias.data<T>(), T{1}, static_cast<std::size_t>(n));
    }
  });
}

// Σ_r x[r], in row order.
template <class T>
Tensor column_sums(const Tensor& x) {
  const ProfileScope profile("bias", 0, static_cast<double>(x.bytes()));
  Tensor sums = Tensor::zeros(Shape{x.dim(1)}, x.dtype());
  kernels::column_sums(sums.data<T>(), x.data<T>(), static_cast<std::size_t>(x.dim(0)),
                       static_cast<std::size_t>(x.dim(1)));
  return sums;
}

void check_linear(const char* op, const Variable& x, const Variable& weight, const Variable& bias) {
  if (x.shape().rank() != 2 || weight.shape().rank() != 2 || x.shape()[1] != weight.shape()[1] ||
      (bias.defined() && !(bias.shape() == Shape{weight.shape()[0]}))) {
    throw Error(
        fmt::format("{}: input {} does not fit weight {} and bias {}, expected [R, C], "
                    "[N, C] and [N]",
                    op, x.shape().str(), weight.shape().str(), bias.shape().str()));
  }
}

// Rows of logits in flight: few enough to bound memory, and many enough that adding a block's
// gradient to the whole weight's stays a small part of the work.
std::int64_t logit_rows(std::int64_t vocabulary) {
  constexpr std::int64_t kElements = std::int64_t{1} << 24;
  return std::max<std::int64_t>(kElements / std::max<std::int64_t>(vocabulary, 1), 64);
}

// The pieces of linear_cross_entropy that do not change from block to block.
template <class T>
struct CrossEntropy {
  Tensor h, w;           // operands; h in spaced rows
  Tensor dh, dw, dbias;  // undefined where no gradient is wanted
  const T* bias;
  std::span<const std::int32_t> targets;
  T scale;

  // Rows [begin, end): nll into `nll`, gradients added.
  void block(T* nll, const Tensor& logits, std::int64_t begin, std::int64_t end) const {
    const std::int64_t rows = end - begin, v = w.dim(0), d = w.dim(1);
    MatrixView hb = matrix_of(h.rows(begin, end));
    hb.columns = d;
    gemm(logits.data<T>(), v, hb, transpose(matrix_of(w)));
    const bool wanted = dh.defined() || dw.defined() || dbias.defined();
    // Logits become their gradients in place.
    const double passes = 1 + int{wanted} + int{dbias.defined()};
    const ProfileScope profile("softmax", 0,
                               passes * static_cast<double>(logits.rows(0, rows).bytes()));
    parallel_for(rows, row_grain(v), [&](std::int64_t first, std::int64_t last) {
      kernels::softmax_cross_entropy(nll + begin + first, logits.data<T>() + first * v, bias,
                                     targets.data() + begin + first, wanted ? scale : T{0},
                                     static_cast<std::size_t>(last - first),
                                     static_cast<std::size_t>(v));
    });
    if (!wanted) return;
    if (dbias.defined()) {
      kernels::column_sums(dbias.data<T>(), logits.data<T>(), static_cast<std::size_t>(rows),
                           static_cast<std::size_t>(v));
    }
    const Tensor dlogits = as_operand(logits.rows(0, rows), w.dtype());
    if (dh.defined()) gemm(dh.data<T>() + begin * d, d, matrix_of(dlogits), matrix_of(w));
    if (dw.defined()) gemm(dw.data<T>(), d, transpose(matrix_of(dlogits)), hb, begin > 0);
  }
};

}  // namespace

Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                Precision precision) {
  check_linear("linear", x, weight, bias);
  const DType dtype = x.dtype();
  const DType operand = operand_type(dtype, precision);
  const Tensor xo = as_operand(x.value(), operand);
  const Tensor wo = as_operand(weight.value(), operand);
  const Tensor y(Shape{x.shape()[0], weight.shape()[0]}, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    gemm(y.data<T>(), y.dim(1), matrix_of(xo), transpose(matrix_of(wo)));
    if (bias.defined()) add_bias<T>(y, bias.value());
  });
  return record(
      y, {x, weight, bias},
      [=, x = x.gradient(), weight = weight.gradient(), bias = bias.gradient()](const Tensor& dy) {
        dispatch_float(dtype, [&](auto zero) {
          using T = decltype(zero);
          const Tensor dyo = as_operand(dy, operand);
          if (x) {
            const Tensor dx(Shape{xo.dim(0), xo.dim(1)}, dtype);
            gemm(dx.data<T>(), dx.dim(1), matrix_of(dyo), matrix_of(wo));
            x->accumulate(dx);
          }
          if (weight) {
            const Tensor dw(Shape{wo.dim(0), wo.dim(1)}, dtype);
            gemm(dw.data<T>(), dw.dim(1), transpose(matrix_of(dyo)), matrix_of(xo));
            weight->accumulate(dw);
          }
          if (bias) bias->accumulate(column_sums<T>(dy));
        });
      });
}

Variable matmul(const Variable& x, const Variable& w, Precision precision) {
  if (x.shape().rank() != 2 || w.shape().rank() != 2 || x.shape()[1] != w.shape()[0]) {
    throw Error(fmt::format("matmul: inner dimensions of {} and {} differ", x.shape().str(),
                            w.shape().str()));
  }
  const DType dtype = x.dtype();
  const DType operand = operand_type(dtype, precision);
  const Tensor xo = as_operand(x.value(), operand);
  const Tensor wo = as_operand(w.value(), operand);
  const Tensor y(Shape{x.shape()[0], w.shape()[1]}, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    gemm(y.data<T>(), y.dim(1), matrix_of(xo), matrix_of(wo));
  });
  return record(y, {x, w}, [=, x = x.gradient(), w = w.gradient()](const Tensor& dy) {
    dispatch_float(dtype, [&](auto zero) {
      using T = decltype(zero);
      const Tensor dyo = as_operand(dy, operand);
      if (x) {
        const Tensor dx(Shape{xo.dim(0), xo.dim(1)}, dtype);
        gemm(dx.data<T>(), dx.dim(1), matrix_of(dyo), transpose(matrix_of(wo)));
        x->accumulate(dx);
      }
      if (w) {
        const Tensor dw(Shape{wo.dim(0), wo.dim(1)}, dtype);
        gemm(dw.data<T>(), dw.dim(1), transpose(matrix_of(xo)), matrix_of(dyo));
        w->accumulate(dw);
      }
    });
  });
}

Variable linear_cross_entropy(const Variable& h, const Variable& weight, const Variable& bias,
                              std::span<const std::int32_t> targets, double scale,
                              const Tensor& nll, std::span<const std::int32_t> row_index,
                              Precision precision) {
  check_linear("linear_cross_entropy", h, weight, bias);
  const std::int64_t rows = h.shape()[0], v = weight.shape()[0];
  if (static_cast<std::int64_t>(targets.size()) != rows ||
      (!row_index.empty() && row_index.size() != targets.size())) {
    throw Error(fmt::format("linear_cross_entropy: {} targets and {} row indices given for {} rows",
                            targets.size(), row_index.size(), rows));
  }
  for (const std::int32_t target : targets) {
    if (target < 0 || target >= v) {
      throw Error(
          fmt::format("linear_cross_entropy: target {} is outside a vocabulary of {}", target, v));
    }
  }
  const DType dtype = h.dtype();
  return dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    const DType operand = operand_type(dtype, precision);
    const bool recording = Tape::current() != nullptr;
    const auto buffer = [&](const Variable& of) {
      return recording && of.requires_grad() ? Tensor(of.shape(), dtype) : Tensor();
    };
    CrossEntropy<T> work{spaced(as_operand(h.value(), operand)),
                         as_operand(weight.value(), operand),
                         buffer(h),
                         buffer(weight),
                         buffer(bias),
                         bias.defined() ? bias.value().template data<T>() : nullptr,
                         targets,
                         static_cast<T>(scale)};
    if (work.dbias.defined()) work.dbias.fill_zero();
    if (work.dw.defined() && rows == 0) work.dw.fill_zero();
    const Tensor losses = Tensor::zeros(Shape{rows}, dtype);
    const std::int64_t step = std::min(logit_rows(v), std::max<std::int64_t>(rows, 1));
    const Tensor logits(Shape{step, v}, dtype);
    for (std::int64_t begin = 0; begin < rows; begin += step) {
      work.block(losses.data<T>(), logits, begin, std::min(begin + step, rows));
    }

    double total = 0;
    const T* loss = losses.data<T>();
    for (std::int64_t r = 0; r < rows; ++r) {
      total += static_cast<double>(loss[r]);
      if (nll.defined()) {
        const std::int64_t at = row_index.empty() ? r : row_index[static_cast<std::size_t>(r)];
        nll.data<T>()[at] += loss[r];
      }
    }
    // The gradients are already known; the closure only hands them on.
    return record(filled(Shape{1}, dtype, total * scale), {h, weight, bias},
                  [dh = work.dh, dw = work.dw, dbias = work.dbias, h = h.gradient(),
                   weight = weight.gradient(), bias = bias.gradient()](const Tensor& dy) {
                    const auto factor = static_cast<double>(*dy.data<T>());
                    const auto give = [&](const Gradient& to, const Tensor& g) {
                      if (to) to->accumulate(factor == 1.0 ? g : scaled(g, factor));
                    };
                    give(h, dh);
                    give(weight, dw);
                    give(bias, dbias);
                  });
  });
}

}  // namespace sluice
