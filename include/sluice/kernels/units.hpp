#pragma once
// The vocabulary of units: activations, and gates built from two of them.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Elementwise activations. Formula, derivative, range, source, parameters and guaranteed accuracy
/// of each: unit_info() of sluice/kernels/unit_info.hpp, written down in
/// src/kernels/unit_list.hpp. Names are those of torch.nn.functional where it has the function
/// (hardsigmoid, logsigmoid, hardswish), and underscores do not matter (hard_sigmoid); gelu_tanh is
/// its gelu(approximate="tanh").
///
/// ±Inf give the limits, and derivatives are finite. At a kink the derivative is that of the left
/// side, or 0 where PyTorch has 0. NaN gives NaN.
enum class Activation : std::uint8_t {
  identity,
  sigmoid,
  tanh,
  relu,
  gelu,
  gelu_tanh,
  silu,
  hardsigmoid,
  logsigmoid,
  hardtanh,
  tanhshrink,
  softsign,
  softplus,
  relu6,
  leaky_relu,
  elu,
  celu,
  selu,
  mish,
  hardswish,
  softshrink,
  hardshrink,
  threshold,
  squared_relu,
  penalized_tanh,
};

/// The numbers an activation takes beside its argument, in the order of PyTorch's arguments: none,
/// one or two, the rest 0.
using ActivationParameters = std::array<float, 2>;

/// The parameters an activation has unless others are given: PyTorch's.
ActivationParameters default_parameters(Activation activation);

/// A unit maps the output of a projection to a layer's output: either y = f(a) with a [.., N], or
/// gated, y = f(a) ⊙ g(b) with [a, b] = [.., 2N], `a` the first half (linear half, W of the paper)
/// and `b` the second (gate half, V), as in PyTorch's glu(dim=-1). Gates that have a kernel are
/// those with a name, and any with f or g the identity.
struct Unit {
  Activation f = Activation::identity;
  Activation g = Activation::identity;
  bool gated = false;
  ActivationParameters f_parameters = default_parameters(f);
  ActivationParameters g_parameters = default_parameters(g);

  /// Columns of the projection for n output channels: 2n if gated, else n.
  std::int64_t inputs(std::int64_t n) const { return gated ? 2 * n : n; }
  bool operator==(const Unit&) const = default;
};

/// Parses a unit: an activation with its parameters or without ("relu", "elu(0.5)",
/// "hardtanh(-2,2)"), a named gate ("glu", "swiglu"), or the generic forms "F(a)*b" and
/// "a*G(b)" with any activation ("silu(a)*b", "leaky_relu(0.2)(a)*b"). Throws UsageError naming the
/// nearest known names, or the parameter that is out of range.
Unit parse_unit(std::string_view name);

/// Whether two names mean one unit: they may differ by underscores ("hard_sigmoid").
bool same_unit_name(std::string_view a, std::string_view b);

/// The shortest name that parse_unit reads back to the same unit; parameters that are the defaults
/// are left out.
std::string unit_name(const Unit& unit);

/// Throws UsageError when a parameter of the unit is out of range, or a gate has no kernel.
void check_unit(const Unit& unit);

/// Names of every activation and named gate, gates first.
const std::vector<std::string>& unit_names();

/// The activation's name ("gelu_tanh"), and its inverse (UsageError for an unknown one).
std::string_view activation_name(Activation activation);
Activation parse_activation(std::string_view name);

}  // namespace sluice
SLUICE_API_END
