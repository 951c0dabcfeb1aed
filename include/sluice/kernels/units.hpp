#pragma once
// The vocabulary of units: activations, and gates built from two of them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Elementwise activations, with σ(x) = 1 / (1 + e⁻ˣ) and Φ(x) = ½ erfc(-x/√2).
///
///   name       f(x)                      f'(x)                              source
///   identity   x                         1
///   sigmoid    σ(x)                      σ(x) σ(-x)
///   tanh       tanh x                    1 - tanh² x
///   relu       max(x, 0)                 1 if x > 0 else 0                  Nair & Hinton 2010
///   gelu       x Φ(x)                    Φ(x) + x e^(-x²/2) / √(2π)         Hendrycks & Gimpel
///   2016 gelu_tanh  x σ(w),                   σ(w) + x w' σ(w) σ(-w)             the same, its
///              w = √(8/π)(x + .044715x³)                                    tanh approximation
///   silu       x σ(x)                    σ(x) (1 + x σ(-x))                 Elfwing et al. 2017
///
/// Accuracy of the float kernels against float64, on every SIMD target, wherever the result is a
/// normal number (tests/kernels/accuracy_test.cpp enforces each):
///   value       sigmoid, tanh 4 ULP; gelu 8 ULP; silu 4 ULP; gelu_tanh 8 ULP for x > -1, and
///               relative error 2e-5 below (the argument's rounding, magnified by the exponential).
///               A result that would be less than 2⁻¹¹⁸ in magnitude may be ±0.
///   derivative  sigmoid, tanh 8 ULP; gelu, gelu_tanh, silu absolute 5e-7 (they cross zero).
/// ±Inf give the limits (σ(-Inf) = 0, silu(-Inf) = gelu(-Inf) = -0), and derivatives are finite.
enum class Activation : std::uint8_t { identity, sigmoid, tanh, relu, gelu, gelu_tanh, silu };

/// A unit maps the output of a projection to a layer's output: either y = f(a) with a [.., N], or
/// gated, y = f(a) ⊙ g(b) with [a, b] = [.., 2N], `a` the first half (linear half, W of the paper)
/// and `b` the second (gate half, V), as in PyTorch's glu(dim=-1). Gates that have a kernel are
/// those with a name, and any with f or g the identity.
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
