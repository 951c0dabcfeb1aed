#pragma once
// What sources of the fused units pass to each other: activations alone are compiled apart from
// gates, which are twice as many.

#include <array>
#include <cstddef>

#include "sluice/kernels/units.hpp"
#include "unit_list.hpp"

namespace sluice::kernels {

/// The parameters of a unit's two factors, with what is divided by more than once.
struct UnitParameters {
  explicit UnitParameters(const Unit& unit)
      : f(unit.f_parameters), g(unit.g_parameters), f_inverse(1 / f[0]), g_inverse(1 / g[0]) {}

  ActivationParameters f, g;
  float f_inverse, g_inverse;
};

/// The arguments of unit_forward and unit_backward. `far`: the inputs are fetched ahead; `stream`:
/// the results are written past the caches (sluice/kernels/traffic.hpp).
struct ForwardCall {
  float* y;
  const float* z;
  std::size_t z_pitch;
  const float* bias;
  const float* residual;
  float scale;
  std::size_t rows, n;
  UnitParameters parameters;
  bool far, stream;
};
struct BackwardCall {
  float* dz;
  std::size_t dz_pitch;
  float* dbias;
  const float* dy;
  const float* z;
  std::size_t z_pitch;
  const float* bias;
  float scale;
  std::size_t rows, n;
  UnitParameters parameters;
  bool far, stream;
};

/// Gates in the tables of kernels: every F(a)*b, then every a*G(b), then the named ones.
inline constexpr std::size_t kGateTableSize = 2 * kActivations.size() + kGates.size();
constexpr std::size_t gate_index(Activation f, Activation g) {
  if (g == Activation::identity) return static_cast<std::size_t>(f);
  if (f == Activation::identity) return kActivations.size() + static_cast<std::size_t>(g);
  std::size_t named = 0;
  while (named < kGates.size() && !(kGates[named].f == f && kGates[named].g == g)) ++named;
  return 2 * kActivations.size() + named;
}
struct GateFactors {
  Activation f, g;
};
constexpr GateFactors gate_at(std::size_t index) {
  if (index < kActivations.size()) return {static_cast<Activation>(index), Activation::identity};
  index -= kActivations.size();
  if (index < kActivations.size()) return {Activation::identity, static_cast<Activation>(index)};
  const GateEntry& named = kGates[index - kActivations.size()];
  return {named.f, named.g};
}
/// Whether the table's entry is the one gate_index finds; others stay empty.
constexpr bool gate_is_found_at(std::size_t index) {
  return gate_index(gate_at(index).f, gate_at(index).g) == index;
}

void gate_forward(const ForwardCall& call, std::size_t gate);
void gate_backward(const BackwardCall& call, std::size_t gate);

}  // namespace sluice::kernels
