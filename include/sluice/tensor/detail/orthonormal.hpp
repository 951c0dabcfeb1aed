#pragma once
// Orthonormal rows.

#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// Makes the rows of v [M, L] orthonormal, M <= L, float64: modified Gram-Schmidt (Golub & Van Loan
/// 2013, section 5.2), in which R's diagonal is positive by construction. Results do not depend
/// on the number of threads.
void orthonormalise(const Tensor& v);

}  // namespace sluice
