#pragma once
// The feed-forward layer of a Transformer, with any unit.

#include <cstdint>
#include <string>

#include "sluice/autograd/feed_forward.hpp"
#include "sluice/base/api.hpp"
#include "sluice/nn/frozen_transformer.hpp"
#include "sluice/nn/init.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/nn/probe.hpp"
#include "sluice/nn/unit_layer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The width F of a feed-forward layer around vectors of `dim`: 4·dim (Vaswani et al. 2017), or for
/// a gated unit, which has three matrices instead of two, 2/3 of it, so that the numbers of
/// parameters match (Shazeer 2020 §2); 2/(k+1) of it for maxout's k pieces. All but the first are
/// rounded to the nearest multiple of 8.
std::int64_t shazeer_width(std::int64_t dim, const UnitSpec& unit);

/// y = unit(x·W_inᵀ + b_in)·W_outᵀ + b_out: one op (gated_feed_forward) for the elementwise units
/// and their gates, several for the others of nn/unit_layer.hpp.
///
/// Parameters, in PyTorch's Linear layout: in.weight [M, D], in.bias [M], out.weight [D, F],
/// out.bias [D], with M = unit.inputs(F), the a half first; no biases where told so; `unit.*` as
/// UnitLayer's. Initial
/// weights: Kaiming-normal into the unit (He et al. 2015, unit_gain), and for the way out normal of
/// deviation output_scale / √F. A layer shares its parameters with its copies. One thread at a time
/// may train or change it; forward passes that record nothing may run side by side.
class GatedFeedForward {
 public:
  struct Options {
    std::int64_t dim = 0, width = 0;
    /// Any unit of nn/unit_layer.hpp.
    std::string unit = "swiglu";
    bool bias = true;
    /// Of the last weights, for layers that end in a sum of many (TransformerStack).
    double output_scale = 1;
  };

  /// Draws from streams key.stream and key.stream + 1. Throws UsageError for sizes below 1.
  GatedFeedForward(const Options& options, DType dtype, InitKey key);

  /// x [.., D] to the same shape; call.unit is ignored in favour of the layer's own. Random units
  /// (rrelu) draw from `random` in training. `probe` sees projection and unit.
  Variable forward(const Variable& x, FeedForward call, bool training = false,
                   const RandomKey& random = {}, const LayerProbe& probe = {}) const;
  /// For use without training; independent of this layer if options.copy. float32 layers only.
  FrozenFeedForward freeze(const FreezeOptions& options) const;
  /// Scalars that are trained, without building the layer.
  static std::int64_t parameter_count(const Options& options);

  const Options& options() const { return options_; }
  void collect(Parameters& parameters, const std::string& prefix) const;

 private:
  Options options_;
  UnitLayer unit_;
  Variable in_, in_bias_, out_, out_bias_;
};

}  // namespace sluice
SLUICE_API_END
