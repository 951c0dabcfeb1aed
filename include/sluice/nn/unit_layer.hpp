#pragma once
// The units a model may end a projection with, the learned and random ones among them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/nn/init.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/tensor/prepared_weight.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a model's unit is, before it has parameters.
struct UnitSpec {
  enum class Kind : std::uint8_t {
    fused,    ///< an elementwise unit: everything parse_unit reads
    prelu,    ///< prelu, prelu(shared)
    swish,    ///< swish, swish(shared): x σ(βx), β learned
    rrelu,    ///< rrelu, rrelu(lower,upper)
    gelu,     ///< gelu(stochastic): x · Bernoulli(Φ(x)) in training, its mean, gelu, otherwise
    maxout,   ///< maxout, maxout(k): k = 2 unless given
    softmax,  ///< over the channels of a position
    log_softmax,  ///< the same
    softmin,      ///< the same
  };
  Kind kind = Kind::fused;
  Unit unit;                                  ///< if fused
  bool shared = false;                        ///< prelu, swish: one parameter for all channels
  float lower = 0.125F, upper = 1.0F / 3.0F;  ///< rrelu: PyTorch's
  std::int64_t pieces = 2;                    ///< maxout's k

  /// Whether it is a plain Unit, which ops can fuse with a projection.
  bool fused() const { return kind == Kind::fused; }
  /// Columns of the projection for n output channels: n, 2n for gates, k n for maxout.
  std::int64_t inputs(std::int64_t n) const;
  /// Learned scalars for n output channels.
  std::int64_t parameter_count(std::int64_t n) const;
  /// The gain of Kaiming initialisation for the projection before it: unit_gain() if fused;
  /// calculate_gain("prelu") and of rrelu's mean slope; √2 for swish, as silu, and gelu; for maxout
  /// 1 / √E[max²] of k standard normal variates; 1 for the softmax family.
  double gain() const;
  /// The shortest name that parse_unit_spec reads back.
  std::string name() const;
  bool operator==(const UnitSpec&) const = default;
};

/// Reads any unit a model may use. Throws UsageError naming the nearest known names, or the
/// argument that does not fit.
UnitSpec parse_unit_spec(std::string_view spec);

/// Names of all of them, without arguments: gates, activations, then the rest.
const std::vector<std::string>& model_unit_names();

/// A unit with its parameters, if it has any: prelu's `weight` (1/4 at first, He et al. 2015) and
/// swish's `beta` (1 at first, where swish is silu), [N] or when shared [1]. A layer shares its
/// parameters with its copies. One thread at a time may train or change it; forward passes that
/// record nothing may run side by side.
class UnitLayer {
 public:
  /// For `channels` output channels. Throws UsageError when spec does not parse, or channels < 1.
  UnitLayer(std::string_view spec, std::int64_t channels, DType dtype, InitKey key);

  const UnitSpec& spec() const { return spec_; }
  std::int64_t channels() const { return channels_; }
  std::int64_t inputs() const { return spec_.inputs(channels_); }
  bool fused() const { return spec_.fused(); }
  /// The unit to fuse; throws Error unless fused().
  const Unit& unit() const;
  double gain() const { return spec_.gain(); }

  /// z [R, inputs()] to [R, N]. `training` and `key` are those of rrelu and the stochastic gelu.
  /// Throws Error for other shapes.
  Variable forward(const Variable& z, bool training, const RandomKey& key) const;

  /// forward() outside training, recorded by no tape.
  Tensor apply(const Tensor& z) const;
  /// The same layer for use without training, with tensors of its own if options.copy.
  UnitLayer frozen(const FreezeOptions& options) const;

  void collect(Parameters& parameters, const std::string& prefix) const;
  std::int64_t parameter_count() const { return spec_.parameter_count(channels_); }

 private:
  UnitSpec spec_;
  std::int64_t channels_;
  Variable parameter_;
};

}  // namespace sluice
SLUICE_API_END
