#pragma once
// Normalisation layers.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/tensor/prepared_weight.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Which elements share statistics; C/G are the channels of a group.
///
///   kind       [R, C]   [B, T, C]       [N, C, H, W]   causal, any shape   source
///   batch      R        B, T            N, H, W        the same            Ioffe & Szegedy 2015
///   layer      C        C               C, H, W        C                   Ba et al. 2016
///   instance   refused  T               H, W           refused             Ulyanov et al. 2016
///   group      C/G      T, C/G          C/G, H, W      C/G                 Wu & He 2018
///   rms        C        C               C, H, W        C                   Zhang & Sennrich 2019
///
/// Sequences have channels last, images first. `none` is the identity. PyTorch's layers: batch
/// BatchNorm1d, BatchNorm2d; layer LayerNorm(C), and GroupNorm(1, C) for images; instance
/// InstanceNorm1d, InstanceNorm2d; group GroupNorm (its [N, C, L] is our [B, T, C]).
enum class NormKind : std::uint8_t { none, batch, layer, instance, group, rms };

/// "none", "batch", "layer", "instance", "group", "rms".
const EnumNames<NormKind>& enum_names(NormKind);
/// Those that a language model may have: each position's norm sees no later one.
std::vector<std::string> causal_norm_names();

struct NormOptions {
  std::int64_t groups = 1;  ///< for `group`
  double eps = 1e-5;
  bool affine = true;     ///< whether there are a weight (ones) and a bias (zeros; none for rms)
  double momentum = 0.1;  ///< for `batch`: the share of a new batch in the running statistics
  bool causal = false;    ///< no pooling over time but in batch norm's training
};

/// y = weight · x̂ + bias, formulas in kernels/norm.hpp. Batch norm takes the batch's statistics in
/// training and updates its running ones (mean zeros, variance ones at first), which it uses else;
/// the others do the same in both. Batch norm in training changes its statistics, so that one
/// thread at a time may use it; else forward passes that record nothing may run side by side.
class Norm {
 public:
  /// Throws UsageError when channels < 1, when groups do not divide them, and for a causal
  /// `instance`, which pools over time.
  Norm(NormKind kind, std::int64_t channels, const NormOptions& options = {},
       DType dtype = DType::f32);

  /// x [R, C], [B, T, C] or [N, C, H, W] (not causal); y as x. Throws Error for another number of
  /// channels, an empty x, and where statistics would be of one value (batch in training,
  /// instance).
  Variable forward(const Variable& x, bool training) const;

  /// forward() outside training, recorded by no tape: float32 in, float32 out.
  Tensor apply(const Tensor& x) const;
  /// The same layer for use without training, with tensors of its own if options.copy.
  Norm frozen(const FreezeOptions& options) const;

  NormKind kind() const { return kind_; }
  const NormOptions& options() const { return options_; }
  /// `weight`, `bias`, and for batch `running_mean`, `running_var`, which require no gradient; all
  /// [C], as PyTorch names them.
  void collect(Parameters& parameters, const std::string& prefix) const;

 private:
  NormKind kind_;
  std::int64_t channels_;
  NormOptions options_;
  Variable weight_, bias_, running_mean_, running_var_;
};

/// The norm of a language model by its name: none, layer, rms, group or batch. Throws UsageError
/// for `instance`, for unknown names, and as Norm does.
Norm make_causal_norm(std::string_view name, std::int64_t channels, std::int64_t groups = 1,
                      DType dtype = DType::f32);

}  // namespace sluice
SLUICE_API_END
