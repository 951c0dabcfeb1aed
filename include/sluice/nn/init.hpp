#pragma once
// Initial weights.

#include <cstdint>
#include <optional>

#include "sluice/kernels/units.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// Names one initialiser's random numbers: parameter `stream` of a model made from `seed`. Without
/// a seed the initialisers give zeros, for parameters that are about to be loaded.
struct InitKey {
  std::optional<std::uint64_t> seed = 0;
  std::uint32_t stream = 0;
};

/// A tensor of normal variates with mean 0 and the given standard deviation.
Tensor normal(Shape shape, DType dtype, double deviation, InitKey key);

/// The gain of Kaiming initialisation (He et al. 2015, eq. 10, std = gain / sqrt(fan_in)) that
/// keeps the variance of a layer's output at that of its input, for a projection ending in `unit`:
/// relu, gelu, silu √2; tanh 5/3; identity, sigmoid 1 (as torch.nn.init.calculate_gain); glu and
/// gtu 2, since σ(b) is about ½ (Gehring et al. 2017, appendix A); products of two projections take
/// the geometric mean of their factors' gains, each on its own half of the outputs.
double unit_gain(const Unit& unit);

/// Kaiming-normal weights for a projection into `unit`.
Tensor kaiming_normal(Shape shape, DType dtype, std::int64_t fan_in, const Unit& unit, InitKey key);

}  // namespace sluice
