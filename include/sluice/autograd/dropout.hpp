#pragma once
// Dropout: what it is drawn from, and the differentiable op.

#include <cstdint>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"
#include "sluice/base/random.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Dropout drawn from counter-based random numbers (base/random.hpp): element i of the op's input
/// is dropped according to word i of (seed, stream, step). probability 0 does nothing.
struct Dropout {
  float probability = 0;
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::uint32_t step = 0;

  RandomKey key() const { return {seed, stream, step}; }
};

/// Inverted dropout (Srivastava et al. 2014).
Variable dropout(const Variable& x, const Dropout& dropout);

/// Dropout of x [B, T, C] with one mask for all steps (Gal & Ghahramani 2016): element (b, t, c) is
/// dropped according to word b·C + c of (seed, stream, step).
Variable dropout_over_time(const Variable& x, const Dropout& dropout);

}  // namespace sluice
SLUICE_API_END
