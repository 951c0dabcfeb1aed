#pragma once
// Differentiable normalisation. Formulas, accuracy and what NaN and ±Inf do: kernels/norm.hpp.
//
// Inputs are [R, C] or [B, T, C] with channels last, or images [N, C, H, W]. `weight` γ and `bias`
// β may each be undefined (1 and 0). All throw Error when a weight's or bias's shape or type does
// not fit, when there is nothing to normalise, and UsageError when groups do not divide channels.
//
// Which are safe in a language model: layer_norm over the channels, rms_norm, and position_norm
// look at one position only; batch_norm mixes positions in training only; group_norm and
// instance_norm of [B, T, C] look at the future.

#include <cstdint>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Over the last `dims` dimensions of x; weight and bias have their shape (Ba et al. 2016;
/// torch.nn.LayerNorm).
Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    double eps = 1e-5, int dims = 1);

/// y = γ x / √(mean(x²) + eps) over the last dimension of x, weight [C] (Zhang & Sennrich 2019).
Variable rms_norm(const Variable& x, const Variable& weight, double eps = 1e-5);

/// Over the channels of each of `groups` groups at one position, x [.., C], weight and bias [C]:
/// group norm as a language model may use it (Wu & He 2018, without their pooling over positions).
Variable position_norm(const Variable& x, std::int64_t groups, const Variable& weight,
                       const Variable& bias, double eps = 1e-5);

/// Over all positions and the channels of a group (Wu & He 2018; torch.nn.GroupNorm, whose
/// [N, C, L] is our [B, T, C]): H, W, C/G of an image, T, C/G of a sequence, C/G of a row. weight
/// and bias [C]. Where not `centred` the mean stays in: with one group, RMS norm of an image.
Variable group_norm(const Variable& x, std::int64_t groups, const Variable& weight,
                    const Variable& bias, double eps = 1e-5, bool centred = true);

/// Over all positions of each channel: H, W of an image, T of [B, T, C] (Ulyanov et al. 2016;
/// torch.nn.InstanceNorm1d, InstanceNorm2d, without running statistics). Throws Error for [R, C],
/// and for a single position, whose result would be 0.
Variable instance_norm(const Variable& x, const Variable& weight, const Variable& bias,
                       double eps = 1e-5);

/// Where batch normalisation keeps the statistics evaluation uses: mean and var [C].
struct RunningStatistics {
  Tensor mean, var;
  /// The share that a new batch's have in them.
  double momentum = 0.1;
};

/// Over everything but the channels (Ioffe & Szegedy 2015; torch.nn.BatchNorm1d, BatchNorm2d). In
/// training by the batch's statistics, and `running` is updated in place:
///   running = (1 - momentum) running + momentum (mean, var n / (n - 1)),
/// where n counts a channel's values. Else by `running`, which are constants to the gradient.
/// Throws Error in training when n = 1.
Variable batch_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    const RunningStatistics& running, bool training, double eps = 1e-5);

}  // namespace sluice
SLUICE_API_END
