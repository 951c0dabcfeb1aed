#pragma once
// Weight normalisation split over threads, for the ops that apply it on the way.

#include "sluice/autograd/variable.hpp"

namespace sluice {

/// Norms of the columns of v [.., N], and what normalisation scales the columns by, gain / norm;
/// both [N].
struct WeightNorms {
  Tensor norm, scale;
};
WeightNorms weight_norms(const Tensor& v, const Tensor& gain);

/// Gives dv and dgain, unless null, the gradients of v and gain from dw, that of gain ⊙ v / ‖v‖,
/// which v's takes the place of.
void weight_norm_gradients(const Gradient& dv, const Gradient& dgain, const Tensor& dw,
                           const Tensor& v, const Tensor& gain, const Tensor& norm);

}  // namespace sluice
