#pragma once
// Differentiable weight normalisation.

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Weight normalisation over the columns of v [.., N]: w = g ⊙ v / ‖v‖ (Salimans & Kingma 2016),
/// the norm over all dimensions but the last; g [N].
Variable weight_norm(const Variable& v, const Variable& g);

/// The gain under which weight_norm gives v itself: ‖v[.., j]‖, [N].
Tensor unchanging_gain(const Tensor& v);

}  // namespace sluice
SLUICE_API_END
