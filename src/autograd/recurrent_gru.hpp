#pragma once
// Cells whose candidate sees r ⊙ h₋ through a matrix.

#include "recurrent_support.hpp"

namespace sluice::recurrent {

/// The GRU of Cho et al. 2014, or MUT1 of Jozefowicz et al. 2015, arguments checked.
Variable reset_before(const Variable& x, const RecurrentWeights& weights, const Call& call,
                      bool mut1, Tensor& h);

}  // namespace sluice::recurrent
