#include "sluice/autograd/cross_entropy.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "linear_shapes.hpp"
#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/cross_entropy.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/operand.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

// Rows of logits in flight: few enough to bound memory, and many enough that adding a block's
// gradient to the whole weight's stays a small part of the work.
std::int64_t logit_rows(std::int64_t vocabulary) {
  constexpr std::int64_t kElements = std::int64_t{1} << 24;
  return std::max<std::int64_t>(kElements / std::max<std::int64_t>(vocabulary, 1), 64);
}

// The pieces of linear_cross_entropy that do not change from block to block.
template <class T>
struct LogitBlocks {
  Tensor h, w;           // operands; h in spaced rows
  Tensor dh, dw, dbias;  // undefined where no gradient is wanted
  const T* bias;
  std::span<const std::int32_t> targets;
  T scale;

  // Rows [begin, end): nll into `nll`, gradients added.
  void block(T* nll, const Tensor& logits, std::int64_t begin, std::int64_t end) const {
    const std::int64_t rows = end - begin, v = w.dim(0), d = w.dim(1);
    const MatrixView hb = matrix(h).row_range(begin, rows).column_range(0, d);
    gemm(logits.data<T>(), v, hb, transpose(matrix(w)));
    const bool wanted = dh.defined() || dw.defined() || dbias.defined();
    // Logits become their gradients in place.
    const double passes = 1 + int{wanted} + int{dbias.defined()};
    const ProfileScope profile("softmax", 0,
                               passes * static_cast<double>(logits.rows(0, rows).bytes()));
    parallel_for(rows, row_grain(v), [&](std::int64_t first, std::int64_t last) {
      kernels::softmax_cross_entropy(
          kernels::CrossEntropyRows<T>{nll + begin + first, logits.data<T>() + first * v, bias,
                                       targets.data() + begin + first, wanted ? scale : T{0}},
          static_cast<std::size_t>(last - first), static_cast<std::size_t>(v));
    });
    if (!wanted) return;
    if (dbias.defined()) {
      kernels::column_sums(dbias.data<T>(), logits.data<T>(), static_cast<std::size_t>(rows),
                           static_cast<std::size_t>(v));
    }
    const Tensor dlogits = as_operand(logits.rows(0, rows), w.dtype());
    if (dh.defined()) gemm(dh.data<T>() + begin * d, d, matrix(dlogits), matrix(w));
    if (dw.defined()) gemm(dw.data<T>(), d, transpose(matrix(dlogits)), hb, begin > 0);
  }
};

}  // namespace

Variable linear_cross_entropy(const Variable& h, const Variable& weight, const Variable& bias,
                              const CrossEntropy& loss) {
  check_linear("linear_cross_entropy", h, weight, bias);
  const std::int64_t rows = h.shape()[0], v = weight.shape()[0];
  const std::size_t indices = loss.row_index.size();
  if (static_cast<std::int64_t>(loss.targets.size()) != rows ||
      (indices != 0 && indices != loss.targets.size())) {
    throw Error(fmt::format("linear_cross_entropy: {} targets and {} row indices given for {} rows",
                            loss.targets.size(), indices, rows));
  }
  for (const std::int32_t target : loss.targets) {
    if (target < 0 || target >= v) {
      throw Error(
          fmt::format("linear_cross_entropy: target {} is outside a vocabulary of {}", target, v));
    }
  }
  const DType dtype = h.dtype();
  return dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    const DType operand = operand_type(dtype, loss.precision);
    const bool recording = Tape::current() != nullptr;
    const auto buffer = [&](const Variable& of) {
      return recording && of.requires_grad() ? Tensor(of.shape(), dtype) : Tensor();
    };
    LogitBlocks<T> work{spaced(as_operand(h.value(), operand)),
                        as_operand(weight.value(), operand),
                        buffer(h),
                        buffer(weight),
                        buffer(bias),
                        bias.defined() ? bias.value().template data<T>() : nullptr,
                        loss.targets,
                        static_cast<T>(loss.scale)};
    if (work.dbias.defined()) work.dbias.fill_zero();
    if (work.dw.defined() && rows == 0) work.dw.fill_zero();
    const Tensor losses = Tensor::zeros(Shape{rows}, dtype);
    const std::int64_t step = std::min(logit_rows(v), std::max<std::int64_t>(rows, 1));
    const Tensor logits(Shape{step, v}, dtype);
    for (std::int64_t begin = 0; begin < rows; begin += step) {
      work.block(losses.data<T>(), logits, begin, std::min(begin + step, rows));
    }

    double total = 0;
    const T* each = losses.data<T>();
    for (std::int64_t r = 0; r < rows; ++r) {
      total += static_cast<double>(each[r]);
      if (loss.nll.defined()) {
        const std::int64_t at = indices == 0 ? r : loss.row_index[static_cast<std::size_t>(r)];
        loss.nll.data<T>()[at] += each[r];
      }
    }
    // The gradients are already known; the closure only hands them on.
    return record(filled(Shape{1}, dtype, total * loss.scale), {h, weight, bias},
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
