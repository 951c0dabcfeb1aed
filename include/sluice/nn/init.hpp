#pragma once
// Initial weights. All are pure functions of their arguments: the same for any number of threads.

#include <cstdint>
#include <optional>
#include <string_view>

#include "sluice/base/api.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Names one initialiser's random numbers: parameter `stream` of a model made from `seed`. Without
/// a seed the initialisers give zeros, for parameters that are about to be loaded.
struct InitKey {
  std::optional<std::uint64_t> seed = 0;
  std::uint32_t stream = 0;
  /// Tells apart tensors that share a stream.
  std::uint32_t part = 0;
};

/// A tensor of normal variates with mean 0 and the given standard deviation.
Tensor normal(Shape shape, DType dtype, double deviation, InitKey key);

/// A tensor of variates uniform in (low, high).
Tensor uniform(Shape shape, DType dtype, double low, double high, InitKey key);

/// A tensor of equal elements: biases, gains, and the forget gate's bias of an LSTM (1 or more, so
/// that the state lasts in the beginning: Gers et al. 2000; Jozefowicz et al. 2015 §4.3).
Tensor constant(Shape shape, DType dtype, double value);

/// Inputs that each output sums over, and outputs that each input reaches.
struct Fans {
  std::int64_t in = 1, out = 1;
};

/// Fans of a weight [N, C, ...] in PyTorch's layout (torch.nn.init._calculate_fan_in_and_fan_out):
/// C and N, each times the elements of the dimensions behind. Throws Error below rank 2.
Fans fans_of(const Shape& shape);

/// Whether Kaiming initialisation keeps the variance of outputs (`in`) or of gradients (`out`).
enum class FanMode : std::uint8_t { in, out };

/// The gain of one activation, for outputs about as spread as its inputs. As
/// torch.nn.init.calculate_gain: linear, identity, conv1d, conv2d, conv3d, sigmoid 1; tanh 5/3;
/// relu √2 (He et al. 2015); leaky_relu √(2 / (1 + slope²)) (the same, eq. 15); selu 3/4. Beyond
/// PyTorch's table:
///   relu6, gelu, gelu_tanh, silu, mish, hardswish     √2, each nears relu away from 0
///   elu, celu                                         √2 (Clevert et al. 2015 §4 take He's)
///   prelu, rrelu       as leaky_relu, with their first and mean slopes, 1/4 and 11/48
/// `slope` is leaky_relu's. Throws UsageError naming the nearest for other names.
double calculate_gain(std::string_view activation, double slope = 0.01);

/// The gain of Kaiming initialisation (He et al. 2015, eq. 10, std = gain / √fan_in) for a
/// projection ending in `unit`; the initial weights of every unit are chosen by it:
///   an activation        calculate_gain, 1 where that has no entry
///   glu, gtu, a·σ(b)     2 · the other factor's gain (tanh: 2), since σ(b) is about ½ (Gehring et
///                        al. 2017, appendix A)
///   other products       the geometric mean of both factors' gains, each on its own half of the
///                        outputs
double unit_gain(const Unit& unit);

/// Kaiming-normal weights for a projection into `unit`.
Tensor kaiming_normal(Shape shape, DType dtype, std::int64_t fan_in, const Unit& unit, InitKey key);

/// Mean 0 and deviation gain / √fan, fan = fans.in or fans.out by `mode` (He et al. 2015 eq. 10 and
/// 14; torch.nn.init.kaiming_normal_, kaiming_uniform_); the uniform one within ±√3 · deviation.
/// Recommended for rectifiers and what resembles them. Fans below 1 count as 1.
Tensor kaiming_normal(Shape shape, DType dtype, Fans fans, FanMode mode, double gain, InitKey key);
Tensor kaiming_uniform(Shape shape, DType dtype, Fans fans, FanMode mode, double gain, InitKey key);

/// Mean 0 and deviation gain · √(2 / (fans.in + fans.out)) (Glorot & Bengio 2010 eq. 16;
/// torch.nn.init.xavier_normal_, xavier_uniform_); the uniform one within ±√3 · deviation.
/// Recommended for saturating units (sigmoid, tanh), attention and softmax.
Tensor xavier_normal(Shape shape, DType dtype, Fans fans, double gain, InitKey key);
Tensor xavier_uniform(Shape shape, DType dtype, Fans fans, double gain, InitKey key);

/// gain · Q of the QR factorisation of a matrix of normal variates, [first dimension, the rest],
/// with the sign that makes R's diagonal positive, so that Q is uniform over orthogonal matrices
/// (Saxe et al. 2013; torch.nn.init.orthogonal_): columns orthonormal when there are no more of
/// them than rows, else rows. Computed in float64. Recommended for recurrent weights, one H x H
/// block at a time. Throws Error below rank 2.
Tensor orthogonal(Shape shape, DType dtype, double gain, InitKey key);

/// A normal distribution cut off at both ends; the defaults are torch.nn.init.trunc_normal_'s.
struct TruncatedNormal {
  double mean = 0, deviation = 1, low = -2, high = 2;
};

/// Normal variates given that they lie in [low, high], drawn by inverting the distribution function
/// (torch.nn.init.trunc_normal_). Throws UsageError unless deviation > 0 and low < high.
Tensor truncated_normal(Shape shape, DType dtype, const TruncatedNormal& distribution, InitKey key);

}  // namespace sluice
SLUICE_API_END
