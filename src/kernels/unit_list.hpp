#pragma once
// The list of units that names, parsing, the kernels' tables, the accuracy tests and the manual are
// made from. A new activation is an enumerator of Activation, an entry of kActivations, a
// specialisation of Act in one of the activations_*-inl.hpp and a case in activations_double.hpp; a
// new gate is a line of kGates (docs/operators.md).

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/kernels/unit_info.hpp"
#include "sluice/kernels/units.hpp"

namespace sluice::kernels {

struct ParameterEntry {
  std::string_view name;  // empty: there is none
  float standard = 0, least = 0, most = 0;
};

struct ActivationEntry {
  Activation activation;
  std::string_view name, formula, derivative, range, saturation, source;
  ErrorBound value, slope;
  std::array<ParameterEntry, 2> parameters = {};
};

// Results that would be less than this in magnitude may be 0: on the way to them there would be
// denormal numbers, which processors are slow with.
inline constexpr float kFlushed = 0x1p-118F;
inline constexpr float kLeast = 1e-6F;
inline constexpr float kMost = 1e6F;

inline constexpr std::array kActivations = {
    ActivationEntry{.activation = Activation::identity,
                    .name = "identity",
                    .formula = "x",
                    .derivative = "1",
                    .range = "(-Inf, Inf)",
                    .saturation = "never",
                    .source = "",
                    .value = {0},
                    .slope = {0}},
    ActivationEntry{.activation = Activation::sigmoid,
                    .name = "sigmoid",
                    .formula = "σ(x) = 1 / (1 + e^-x)",
                    .derivative = "σ(x) σ(-x)",
                    .range = "(0, 1)",
                    .saturation = "on both sides: the derivative falls below 0.01 beyond |x| = 4.6",
                    .source = "Cybenko 1989",
                    .value = {4, kFlushed},
                    .slope = {8, kFlushed}},
    ActivationEntry{.activation = Activation::tanh,
                    .name = "tanh",
                    .formula = "tanh x",
                    .derivative = "1 - tanh² x",
                    .range = "(-1, 1)",
                    .saturation = "on both sides: the derivative falls below 0.01 beyond |x| = 3",
                    .source = "LeCun et al. 1998",
                    .value = {4},
                    .slope = {8, kFlushed}},
    ActivationEntry{.activation = Activation::relu,
                    .name = "relu",
                    .formula = "max(x, 0)",
                    .derivative = "1 if x > 0, else 0",
                    .range = "[0, Inf)",
                    .saturation = "dies for x <= 0: no gradient",
                    .source = "Nair & Hinton 2010",
                    .value = {0},
                    .slope = {0}},
    ActivationEntry{.activation = Activation::gelu,
                    .name = "gelu",
                    .formula = "x Φ(x), Φ(x) = erfc(-x/√2) / 2",
                    .derivative = "Φ(x) + x e^(-x²/2) / √(2π)",
                    .range = "[-0.170, Inf)",
                    .saturation = "fades to 0 for x below -3; its derivative is 0 at -0.75",
                    .source = "Hendrycks & Gimpel 2016",
                    .value = {8, kFlushed},
                    .slope = {0, 5e-7F}},
    ActivationEntry{.activation = Activation::gelu_tanh,
                    .name = "gelu_tanh",
                    .formula = "x σ(w), w = √(8/π) (x + 0.044715 x³)",
                    .derivative = "σ(w) + x w' σ(w) σ(-w), w' = √(8/π) (1 + 0.134145 x²)",
                    .range = "[-0.170, Inf)",
                    .saturation = "as gelu, which it approximates to 5e-4",
                    .source = "Hendrycks & Gimpel 2016",
                    .value = {8, kFlushed, 2e-5F},
                    .slope = {0, 5e-7F}},
    ActivationEntry{.activation = Activation::silu,
                    .name = "silu",
                    .formula = "x σ(βx)",
                    .derivative = "σ(βx) (1 + βx σ(-βx))",
                    .range = "[-0.278/β, Inf)",
                    .saturation = "fades to 0 for βx below -6; its derivative is 0 at βx = -1.28",
                    .source = "Elfwing et al. 2017; Ramachandran et al. 2017 (swish)",
                    .value = {4, kFlushed},
                    .slope = {0, 5e-7F},
                    .parameters = {{{"β", 1, kLeast, kMost}}}},
    ActivationEntry{
        .activation = Activation::hardsigmoid,
        .name = "hardsigmoid",
        .formula = "min(max(slope x + offset, 0), 1)",
        .derivative = "slope if 0 < slope x + offset < 1, else 0",
        .range = "[0, 1]",
        .saturation = "dies beyond |x| = 3",
        .source = "Courbariaux et al. 2015; Howard et al. 2019 (this slope); Keras 2 and "
                  "Theano have slope 0.2",
        .value = {2},
        .slope = {1},
        .parameters = {{{"slope", 1.0F / 6.0F, kLeast, kMost}, {"offset", 0.5F, -kMost, kMost}}}},
    ActivationEntry{.activation = Activation::logsigmoid,
                    .name = "logsigmoid",
                    .formula = "log σ(x) = min(x, 0) - log(1 + e^-|x|)",
                    .derivative = "σ(-x)",
                    .range = "(-Inf, 0)",
                    .saturation = "fades to 0 for x above 5",
                    .source = "",
                    .value = {8, kFlushed},
                    .slope = {4, kFlushed}},
    ActivationEntry{.activation = Activation::hardtanh,
                    .name = "hardtanh",
                    .formula = "min(max(x, min), max)",
                    .derivative = "1 if min < x < max, else 0",
                    .range = "[min, max]",
                    .saturation = "dies outside (min, max)",
                    .source = "Collobert 2004",
                    .value = {0},
                    .slope = {0},
                    .parameters = {{{"min", -1, -kMost, kMost}, {"max", 1, -kMost, kMost}}}},
    ActivationEntry{.activation = Activation::tanhshrink,
                    .name = "tanhshrink",
                    .formula = "x - tanh x",
                    .derivative = "tanh² x",
                    .range = "(-Inf, Inf)",
                    .saturation = "flat around 0: x³/3; the derivative is below 0.01 within 0.1",
                    .source = "torch.nn.Tanhshrink",
                    .value = {10, kFlushed},
                    .slope = {10, kFlushed}},
    ActivationEntry{.activation = Activation::softsign,
                    .name = "softsign",
                    .formula = "x / (1 + |x|)",
                    .derivative = "1 / (1 + |x|)²",
                    .range = "(-1, 1)",
                    .saturation = "slowly on both sides: the derivative is below 0.01 beyond 9",
                    .source = "Bergstra et al. 2009",
                    .value = {2},
                    .slope = {5, kFlushed}},
    ActivationEntry{.activation = Activation::softplus,
                    .name = "softplus",
                    .formula = "log(1 + e^(βx)) / β, x where βx > threshold",
                    .derivative = "σ(βx), 1 where βx > threshold",
                    .range = "(0, Inf)",
                    .saturation = "fades to 0 for βx below -5",
                    .source = "Dugas et al. 2000",
                    .value = {8, kFlushed},
                    .slope = {4, kFlushed},
                    .parameters = {{{"β", 1, kLeast, kMost}, {"threshold", 20, 0, kMost}}}},
    ActivationEntry{.activation = Activation::relu6,
                    .name = "relu6",
                    .formula = "min(max(x, 0), max)",
                    .derivative = "1 if 0 < x < max, else 0",
                    .range = "[0, max]",
                    .saturation = "dies for x <= 0 and x >= max",
                    .source = "Krizhevsky 2010",
                    .value = {0},
                    .slope = {0},
                    .parameters = {{{"max", 6, kLeast, kMost}}}},
    ActivationEntry{.activation = Activation::leaky_relu,
                    .name = "leaky_relu",
                    .formula = "x if x > 0, else slope x",
                    .derivative = "1 if x > 0, else slope",
                    .range = "(-Inf, Inf)",
                    .saturation = "never",
                    .source = "Maas et al. 2013",
                    .value = {1},
                    .slope = {0},
                    .parameters = {{{"slope", 0.01F, kLeast, kMost}}}},
    ActivationEntry{.activation = Activation::elu,
                    .name = "elu",
                    .formula = "x if x > 0, else α (e^x - 1)",
                    .derivative = "1 if x > 0, else α e^x",
                    .range = "(-α, Inf)",
                    .saturation = "at -α for x below -5",
                    .source = "Clevert et al. 2015",
                    .value = {5},
                    .slope = {5, kFlushed},
                    .parameters = {{{"α", 1, kLeast, kMost}}}},
    ActivationEntry{.activation = Activation::celu,
                    .name = "celu",
                    .formula = "x if x > 0, else α (e^(x/α) - 1)",
                    .derivative = "1 if x > 0, else e^(x/α)",
                    .range = "(-α, Inf)",
                    .saturation = "at -α for x below -5α",
                    .source = "Barron 2017",
                    .value = {5},
                    .slope = {5, kFlushed},
                    .parameters = {{{"α", 1, kLeast, kMost}}}},
    ActivationEntry{.activation = Activation::selu,
                    .name = "selu",
                    .formula = "λ x if x > 0, else λα (e^x - 1), λ = 1.0507010, α = 1.6732632",
                    .derivative = "λ if x > 0, else λα e^x",
                    .range = "(-1.758, Inf)",
                    .saturation = "at -1.758 for x below -5",
                    .source = "Klambauer et al. 2017",
                    .value = {6},
                    .slope = {6, kFlushed}},
    ActivationEntry{.activation = Activation::mish,
                    .name = "mish",
                    .formula = "x tanh(log(1 + e^x))",
                    .derivative = "t + x σ(x) (1 - t²), t = tanh(log(1 + e^x))",
                    .range = "[-0.309, Inf)",
                    .saturation = "fades to 0 for x below -6; its derivative is 0 at -1.19",
                    .source = "Misra 2019",
                    .value = {8, kFlushed},
                    .slope = {0, 5e-7F}},
    ActivationEntry{.activation = Activation::hardswish,
                    .name = "hardswish",
                    .formula = "x min(max(x + 3, 0), 6) / 6",
                    .derivative = "0 if x <= -3, 1 if x >= 3, else (2x + 3) / 6",
                    .range = "[-0.375, Inf)",
                    .saturation = "dies for x <= -3; its derivative is 0 at -1.5",
                    .source = "Howard et al. 2019",
                    .value = {3, kFlushed},
                    .slope = {0, 2e-7F}},
    ActivationEntry{.activation = Activation::softshrink,
                    .name = "softshrink",
                    .formula = "x - λ if x > λ, x + λ if x < -λ, else 0",
                    .derivative = "1 if |x| > λ, else 0",
                    .range = "(-Inf, Inf)",
                    .saturation = "dies within λ of 0",
                    .source = "Donoho & Johnstone 1994",
                    .value = {1},
                    .slope = {0},
                    .parameters = {{{"λ", 0.5F, 0, kMost}}}},
    ActivationEntry{.activation = Activation::hardshrink,
                    .name = "hardshrink",
                    .formula = "x if |x| > λ, else 0",
                    .derivative = "1 if |x| > λ, else 0",
                    .range = "(-Inf, Inf)",
                    .saturation = "dies within λ of 0",
                    .source = "Donoho & Johnstone 1994",
                    .value = {0},
                    .slope = {0},
                    .parameters = {{{"λ", 0.5F, 0, kMost}}}},
    ActivationEntry{.activation = Activation::threshold,
                    .name = "threshold",
                    .formula = "x if x > threshold, else value",
                    .derivative = "1 if x > threshold, else 0",
                    .range = "value and (threshold, Inf)",
                    .saturation = "dies for x <= threshold",
                    // PyTorch has no defaults; these are the paper's.
                    .source = "Konda et al. 2014",
                    .value = {0},
                    .slope = {0},
                    .parameters = {{{"threshold", 1, -kMost, kMost}, {"value", 0, -kMost, kMost}}}},
    ActivationEntry{.activation = Activation::squared_relu,
                    .name = "squared_relu",
                    .formula = "max(x, 0)²",
                    .derivative = "2 max(x, 0)",
                    .range = "[0, Inf)",
                    .saturation = "dies for x <= 0, and is flat just above",
                    .source = "So et al. 2021 (Primer)",
                    .value = {1, kFlushed},
                    .slope = {0, 0x1p-58F}},
    ActivationEntry{.activation = Activation::penalized_tanh,
                    .name = "penalized_tanh",
                    .formula = "tanh x if x > 0, else a tanh x",
                    .derivative = "1 - tanh² x if x > 0, else a (1 - tanh² x)",
                    .range = "(-a, 1)",
                    .saturation = "on both sides, as tanh",
                    .source = "Xu, Huang & Li 2016",
                    .value = {4},
                    .slope = {8, kFlushed},
                    .parameters = {{{"a", 0.25F, kLeast, kMost}}}},
};

constexpr const ActivationEntry& entry_of(Activation activation) {
  return kActivations[static_cast<std::size_t>(activation)];
}

// Entries are in the order of the enumeration.
static_assert([] {
  for (std::size_t i = 0; i < kActivations.size(); ++i) {
    if (static_cast<std::size_t>(kActivations[i].activation) != i) return false;
  }
  return true;
}());

struct GateEntry {
  std::string_view name;
  Activation f, g;
  std::string_view source;
};

/// Named gates f(a) ⊙ g(b), at their activations' default parameters.
inline constexpr std::array<GateEntry, 10> kGates = {{
    {"glu", Activation::identity, Activation::sigmoid, "Dauphin et al. 2017, eq. 1"},
    {"gtu", Activation::tanh, Activation::sigmoid,
     "van den Oord et al. 2016, eq. 2; Dauphin et al. 2017, section 3"},
    {"bilinear", Activation::identity, Activation::identity, "Mnih & Hinton 2007; Shazeer 2020"},
    {"reglu", Activation::relu, Activation::identity, "Shazeer 2020, eq. 5"},
    {"reglu_sigmoid", Activation::relu, Activation::sigmoid,
     "surveys' rectified GLU; not Shazeer 2020's"},
    {"geglu", Activation::gelu, Activation::identity, "Shazeer 2020, eq. 5"},
    {"geglu_tanh", Activation::gelu_tanh, Activation::identity,
     "Shazeer 2020, eq. 5, with the tanh approximation"},
    {"swiglu", Activation::silu, Activation::identity, "Shazeer 2020, eq. 5, with β = 1"},
    {"seglu", Activation::selu, Activation::identity, "Shazeer 2020's form, with selu"},
    {"leglu", Activation::leaky_relu, Activation::identity, "Shazeer 2020's form, with leaky_relu"},
}};

/// Whether f(a) ⊙ g(b) has kernels. All pairs would be hundreds for each SIMD target; these are the
/// ones anybody uses.
constexpr bool gate_has_kernel(Activation f, Activation g) {
  if (f == Activation::identity || g == Activation::identity) return true;
  for (const GateEntry& gate : kGates) {
    if (gate.f == f && gate.g == g) return true;
  }
  return false;
}

/// Throws UsageError unless the unit has kernels.
void require_kernel(const Unit& unit);

}  // namespace sluice::kernels
