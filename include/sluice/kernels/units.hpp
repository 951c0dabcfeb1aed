#pragma once
// The vocabulary of units: activations, and gates built from two of them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Elementwise activations f(x); see kernels/activations.hpp for formulas and sources.
enum class Activation : std::uint8_t { identity, sigmoid, tanh, relu, gelu, gelu_tanh, silu };

/// A unit maps the output of a projection to a layer's output: either y = f(a) with a [.., N], or
/// gated, y = f(a) ⊙ g(b) with [a, b] = [.., 2N], `a` the first half (linear half, W of the paper)
/// and `b` the second (gate half, V), as in PyTorch's glu(dim=-1).
struct Unit {
  Activation f = Activation::identity;
  Activation g = Activation::identity;
  bool gated = false;

  /// Columns of the projection for n output channels: 2n if gated, else n.
  std::int64_t inputs(std::int64_t n) const { return gated ? 2 * n : n; }
  bool operator==(const Unit&) const = default;
};

/// Parses a unit's name: an activation ("relu"), a gate of DESIGN §4 ("glu", "gtu", "bilinear",
/// "reglu", "reglu_sigmoid", "geglu", "geglu_tanh", "swiglu"), or the generic forms "F(a)*b" and
/// "a*G(b)" with any activation. Throws UsageError naming the nearest known names.
Unit parse_unit(std::string_view name);

/// The shortest name that parse_unit reads back to the same unit.
std::string unit_name(const Unit& unit);

/// Names of every activation and named gate, gates first.
const std::vector<std::string>& unit_names();

/// The activation's name ("gelu_tanh"), and its inverse (UsageError for an unknown one).
std::string_view activation_name(Activation activation);
Activation parse_activation(std::string_view name);

}  // namespace sluice
