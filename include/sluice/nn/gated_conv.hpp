#pragma once
// The causal convolution layer of the gated convolutional language model.

#include <cstdint>
#include <memory>
#include <string>

#include "sluice/autograd/ops.hpp"
#include "sluice/nn/init.hpp"
#include "sluice/nn/module.hpp"

namespace sluice {

/// y = (unit(x' ∗ W + b) + residual) · scale, x' = dropout(x) with its left context: the gated
/// convolution of Dauphin et al. 2017 (eq. 1) for a gated unit, a plain one otherwise. W is weight
/// normalised (Salimans & Kingma 2016) per output channel unless told not to.
///
/// Parameters, as files name and shape them (PyTorch's Conv1d): weight_v [M, C, K], weight_g
/// [M, 1, 1] (or `weight`), bias [M], with M = unit.inputs(N). With kernel 1 and `linear_layout`
/// they are a Linear's: weight_v [M, C], weight_g [M, 1].
class GatedConv1d {
 public:
  struct Options {
    std::int64_t channels = 0, outputs = 0, kernel = 1;
    Unit unit;
    bool weight_norm = true;
    bool linear_layout = false;
  };

  GatedConv1d(const Options& options, DType dtype, InitKey key);

  /// x [B, T, C]; conv.unit is ignored in favour of the layer's own; see causal_conv_unit.
  Variable forward(const Variable& x, const Variable& residual, CausalConv conv,
                   Tensor* next_context) const;

  const Options& options() const { return options_; }
  void collect(Parameters& parameters, const std::string& prefix) const;

  /// Keeps the filters, once made ready for a path, until unfreeze().
  void freeze();
  void unfreeze() { kept_.reset(); }

 private:
  Options options_;
  Variable v_, g_, bias_;
  std::shared_ptr<KeptFilters> kept_;
};

}  // namespace sluice
