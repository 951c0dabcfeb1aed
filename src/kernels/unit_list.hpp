#pragma once
// The list of units that names, parsing and the kernels' tables are made from. A new activation is
// an enumerator of Activation, a line of kActivations, a specialisation of Act in
// activations-inl.hpp and a case in activations_double.hpp; a new gate is a line of kGates.

#include <array>
#include <cstddef>
#include <string_view>

#include "sluice/kernels/units.hpp"

namespace sluice::kernels {

/// Names, in the order of the enumeration.
inline constexpr std::array<std::string_view, 7> kActivations = {
    "identity", "sigmoid", "tanh", "relu", "gelu", "gelu_tanh", "silu"};
static_assert(static_cast<std::size_t>(Activation::silu) + 1 == kActivations.size());

struct Gate {
  std::string_view name;
  Activation f, g;
};

/// Named gates f(a) ⊙ g(b), and where they come from.
inline constexpr std::array<Gate, 8> kGates = {{
    {"glu", Activation::identity, Activation::sigmoid},        // Dauphin et al. 2017, eq. 1
    {"gtu", Activation::tanh, Activation::sigmoid},            // van den Oord et al. 2016, eq. 2
    {"bilinear", Activation::identity, Activation::identity},  // Mnih & Hinton 2007; Shazeer 2020
    {"reglu", Activation::relu, Activation::identity},         // Shazeer 2020, eq. 5
    {"reglu_sigmoid", Activation::relu, Activation::sigmoid},  // of surveys, not of Shazeer 2020
    {"geglu", Activation::gelu, Activation::identity},         // Shazeer 2020, eq. 5
    {"geglu_tanh", Activation::gelu_tanh, Activation::identity},
    {"swiglu", Activation::silu, Activation::identity},  // Shazeer 2020, eq. 5, β = 1
}};

/// Whether f(a) ⊙ g(b) has kernels. All pairs would be 49 of each kind for each SIMD target; these
/// are the ones anybody uses.
constexpr bool gate_has_kernel(Activation f, Activation g) {
  if (f == Activation::identity || g == Activation::identity) return true;
  for (const Gate& gate : kGates) {
    if (gate.f == f && gate.g == g) return true;
  }
  return false;
}

/// Index into a table with a row for each f and a column for each g and for "not gated".
inline constexpr std::size_t kUnitTableSize = kActivations.size() * (kActivations.size() + 1);
constexpr std::size_t unit_index(const Unit& unit) {
  const std::size_t columns = kActivations.size() + 1;
  const std::size_t g = unit.gated ? static_cast<std::size_t>(unit.g) : kActivations.size();
  return static_cast<std::size_t>(unit.f) * columns + g;
}
constexpr Unit unit_at(std::size_t index) {
  const std::size_t columns = kActivations.size() + 1;
  const std::size_t g = index % columns;
  const bool gated = g < kActivations.size();
  return Unit{static_cast<Activation>(index / columns),
              gated ? static_cast<Activation>(g) : Activation::identity, gated};
}

/// Throws UsageError unless the unit has kernels.
void require_kernel(const Unit& unit);

}  // namespace sluice::kernels
