#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "conv_paths.hpp"
#include "sluice/autograd/weight_norm.hpp"
#include "sluice/base/error.hpp"
#include "sluice/tensor/detail/fast_conv.hpp"
#include "sluice/tensor/detail/operand.hpp"

namespace sluice {
namespace {

void check_shapes(const Variable& x, const Variable& w, const Variable& bias,
                  const Variable& residual, const CausalConv& options) {
  if (x.shape().rank() != 3 || w.shape().rank() != 3 || x.shape()[2] != w.shape()[1]) {
    throw Error(
        fmt::format("causal_conv_unit: input {} does not fit weights {}, expected "
                    "[B, T, C] and [K, C, M]",
                    x.shape().str(), w.shape().str()));
  }
  if (options.unit.gated && w.shape()[2] % 2 != 0) {
    throw Error(
        fmt::format("causal_conv_unit: a gated unit halves its input, but weights {} give "
                    "an odd number of outputs",
                    w.shape().str()));
  }
  const std::int64_t n = options.unit.gated ? w.shape()[2] / 2 : w.shape()[2];
  if (!(bias.shape() == Shape{w.shape()[2]})) {
    throw Error(fmt::format("causal_conv_unit: bias {} does not fit weights {}", bias.shape().str(),
                            w.shape().str()));
  }
  const Shape out{x.shape()[0], x.shape()[1], n};
  if (residual.defined() && !(residual.shape() == out)) {
    throw Error(fmt::format("causal_conv_unit: residual {} does not fit output {}",
                            residual.shape().str(), out.str()));
  }
  if (options.gain.defined() && !(options.gain.shape() == bias.shape())) {
    throw Error(fmt::format("causal_conv_unit: gain {} does not fit weights {}",
                            options.gain.shape().str(), w.shape().str()));
  }
  const Shape lead{x.shape()[0], w.shape()[0] - 1, x.shape()[2]};
  if (options.context.defined() && !(options.context.shape() == lead)) {
    throw Error(fmt::format("causal_conv_unit: context {} given, expected {}",
                            options.context.shape().str(), lead.str()));
  }
}

}  // namespace

void check_fast_kernel(std::int64_t kernel) {
  if (kernel <= FastConv::kMostKernel) return;
  throw UsageError(fmt::format(
      "conv fast: a convolution of kernel width {} is not served, only widths up to {}; "
      "use auto or direct",
      kernel, FastConv::kMostKernel));
}

Variable causal_conv_unit(const Variable& x, const Variable& w, const Variable& bias,
                          const Variable& residual, const CausalConv& options,
                          Tensor* next_context) {
  check_shapes(x, w, bias, residual, options);
  const ConvCall call{x,
                      w,
                      bias,
                      residual,
                      options,
                      {x.shape()[0], x.shape()[1], x.shape()[2], w.shape()[2], w.shape()[0]},
                      options.unit.gated ? w.shape()[2] / 2 : w.shape()[2],
                      operand_type(x.dtype(), options.precision),
                      next_context};
  if (options.path == ConvPath::fast && call.shape.time > 1) check_fast_kernel(call.shape.kernel);
  const int tile =
      options.tile > 0 ? options.tile : conv_tile(call.shape, options.path, call.operand);
  if (tile > 0) return fast_conv_unit(call, tile);
  if (!options.gain.defined()) return direct_conv_unit(call);
  const Variable normalised = weight_norm(w, options.gain);
  return direct_conv_unit({x, normalised, bias, residual, options, call.shape, call.outputs,
                           call.operand, next_context});
}

}  // namespace sluice
