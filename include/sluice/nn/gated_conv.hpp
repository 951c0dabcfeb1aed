#pragma once
// The causal convolution layer of the gated convolutional language model.

#include <cstdint>
#include <memory>
#include <string>

#include "sluice/autograd/convolution.hpp"
#include "sluice/base/api.hpp"
#include "sluice/base/random.hpp"
#include "sluice/nn/condition.hpp"
#include "sluice/nn/frozen_conv.hpp"
#include "sluice/nn/init.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/nn/probe.hpp"
#include "sluice/nn/unit_layer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// y = (unit(norm(x' ∗ W + b) + V·h) + residual) · scale, x' = dropout(x) with its left context:
/// the gated convolution of Dauphin et al. 2017 (eq. 1) for a gated unit, a plain one otherwise;
/// V·h is what a label adds, if there are labels (nn/condition.hpp). The norm is of W, per output
/// channel ("weight", Salimans & Kingma 2016), of the projection, all M channels of a position,
/// both halves of a gated unit's among them (a name of make_causal_norm), or "none".
///
/// Parameters, as files name and shape them (PyTorch's Conv1d): weight_v [M, C, K], weight_g
/// [M, 1, 1] (or `weight`), bias [M], with M = unit.inputs(N); `norm.*` as Norm's, `condition.*` as
/// Condition's, `unit.*` as UnitLayer's. With kernel 1 and `linear_layout` they are a Linear's:
/// weight_v [M, C], weight_g [M, 1]. A layer shares its parameters with its copies. One thread at a
/// time may train or change it; forward passes that record nothing may run side by side.
class GatedConv1d {
 public:
  struct Options {
    std::int64_t channels = 0, outputs = 0, kernel = 1;
    /// Any unit of nn/unit_layer.hpp.
    std::string unit = "identity";
    std::string norm = "weight";
    /// Of norm "group".
    std::int64_t groups = 1;
    bool linear_layout = false;
    /// Labels that gates are conditional on, the unknown one not counted.
    std::int64_t labels = 0;
  };

  GatedConv1d(const Options& options, DType dtype, InitKey key);

  /// How a pass runs besides the convolution: in training random units (rrelu) draw from `random`.
  struct Pass {
    bool training = false;
    RandomKey random = {};
    RowLabels labels = {};
  };

  /// x [B, T, C]; conv.unit is ignored in favour of the layer's own; see causal_conv_unit.
  /// conv.scale is that of a sum with a residual. `probe` sees projection, unit and output.
  Variable forward(const Variable& x, const Variable& residual, CausalConv conv, const Pass& pass,
                   Tensor* next_context, const LayerProbe& probe = {}) const;

  const Options& options() const { return options_; }
  /// Channels M of the projection.
  std::int64_t projected() const { return unit_.inputs(); }
  /// Scalars that are trained, without building the layer.
  static std::int64_t parameter_count(const Options& options);
  void collect(Parameters& parameters, const std::string& prefix) const;

  /// For use without training; independent of this layer if options.copy.
  FrozenConv freeze(const FreezeOptions& options) const;

 private:
  Options options_;
  UnitLayer unit_;
  Norm norm_;
  Condition condition_;
  Variable v_, g_, bias_;
};

}  // namespace sluice
SLUICE_API_END
