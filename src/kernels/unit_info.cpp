#include "sluice/kernels/unit_info.hpp"

#include <array>
#include <charconv>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "unit_list.hpp"

namespace sluice {
namespace {

using kernels::ActivationEntry;
using kernels::entry_of;
using kernels::GateEntry;

std::string number(float value) {
  std::array<char, 32> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, 2);
  return {text.data(), end.ptr};
}

std::string bound_text(const ErrorBound& bound) {
  if (bound.ulp == 0 && bound.absolute == 0) return "exact";
  std::string text;
  if (bound.ulp > 0) text = number(bound.ulp) + " ULP";
  if (bound.relative_below > 0) text += " (below -1 relative " + number(bound.relative_below) + ")";
  if (bound.absolute > kernels::kFlushed) {
    text += (text.empty() ? "absolute " : " or absolute ") + number(bound.absolute);
  } else if (bound.absolute > 0) {
    text += ", 0 allowed below 2^-118";
  }
  return text;
}

UnitInfo describe(const ActivationEntry& entry) {
  UnitInfo info{.name = std::string(entry.name),
                .kind = UnitKind::activation,
                .formula = std::string(entry.formula),
                .derivative = std::string(entry.derivative),
                .range = std::string(entry.range),
                .saturation = std::string(entry.saturation),
                .source = std::string(entry.source),
                .accuracy = "Value " + bound_text(entry.value) + "; derivative " +
                            bound_text(entry.slope) + ".",
                .parameters = {},
                .value_error = entry.value,
                .slope_error = entry.slope};
  for (const kernels::ParameterEntry& parameter : entry.parameters) {
    if (parameter.name.empty()) continue;
    info.parameters.push_back(
        {std::string(parameter.name), parameter.standard, parameter.least, parameter.most});
  }
  return info;
}

std::string factor(Activation f, const std::string& argument) {
  return f == Activation::identity ? argument
                                   : std::string(entry_of(f).name) + "(" + argument + ")";
}
std::string slope(Activation f, const std::string& argument) {
  return f == Activation::identity ? ""
                                   : " " + std::string(entry_of(f).name) + "'(" + argument + ")";
}

// Where one factor shuts the gate, and where it stops learning.
std::string gate_saturation(const GateEntry& gate) {
  const auto half = [](Activation f, const char* argument) {
    return f == Activation::identity
               ? std::string(argument) + " linear: never"
               : std::string(argument) + " as " + std::string(entry_of(f).name) + ": " +
                     std::string(entry_of(f).saturation);
  };
  return half(gate.f, "a") + "; " + half(gate.g, "b");
}

// Most gates have a factor of either sign that is not bounded.
std::string gate_range(const GateEntry& gate) {
  if (gate.g == Activation::sigmoid && gate.f == Activation::tanh) return "(-1, 1)";
  if (gate.g == Activation::sigmoid && gate.f == Activation::relu) return "[0, Inf)";
  return "(-Inf, Inf)";
}

UnitInfo describe(const GateEntry& gate) {
  // Each factor's error and the product's.
  const ErrorBound& f = entry_of(gate.f).value;
  const ErrorBound& g = entry_of(gate.g).value;
  return {.name = std::string(gate.name),
          .kind = UnitKind::gate,
          .formula = factor(gate.f, "a") + " " + factor(gate.g, "b"),
          .derivative = "a: " + factor(gate.g, "b") + slope(gate.f, "a") +
                        "; b: " + factor(gate.f, "a") + slope(gate.g, "b"),
          .range = gate_range(gate),
          .saturation = gate_saturation(gate),
          .source = std::string(gate.source),
          .accuracy = "Value: the factors' bounds, " + bound_text(f) + " and " + bound_text(g) +
                      ", and 1 ULP for the product.",
          .parameters = {},
          .value_error = {},
          .slope_error = {}};
}

const std::vector<UnitInfo>& layer_infos() {
  static const std::vector<UnitInfo> infos = {
      {.name = "prelu",
       .kind = UnitKind::layer,
       .formula = "x if x > 0, else α x, α learned: one for each channel, or prelu(shared) for all",
       .derivative = "1 if x > 0, else α; α: 0 if x > 0, else x",
       .range = "(-Inf, Inf)",
       .saturation = "never, unless α becomes 0",
       .source = "He et al. 2015",
       .accuracy = "Value 1 ULP; derivative exact.",
       .parameters = {},
       .value_error = {},
       .slope_error = {}},
      {.name = "swish",
       .kind = UnitKind::layer,
       .formula = "x σ(βx), β learned: one for each channel, or swish(shared) for all",
       .derivative = "σ(βx) (1 + βx σ(-βx)); β: x² σ(βx) σ(-βx)",
       .range = "[-0.278/β, Inf)",
       .saturation = "fades to 0 for βx below -6",
       .source = "Ramachandran et al. 2017",
       .accuracy = "Value 4 ULP at β = 1; the rounding of βx adds relative |βx| 6e-8 else.",
       .parameters = {},
       .value_error = {},
       .slope_error = {}},
      {.name = "rrelu",
       .kind = UnitKind::layer,
       .formula = "x if x > 0, else s x, s uniform in [lower, upper) for each element while "
                  "training, (lower + upper) / 2 otherwise",
       .derivative = "1 if x > 0, else s",
       .range = "(-Inf, Inf)",
       .saturation = "never",
       .source = "Xu, Wang, Chen & Li 2015",
       .accuracy = "Value 1 ULP; derivative exact.",
       .parameters = {{"lower", 0.125F, 0, kernels::kMost},
                      {"upper", 1.0F / 3.0F, 0, kernels::kMost}},
       .value_error = {},
       .slope_error = {}},
      {.name = "maxout",
       .kind = UnitKind::layer,
       .formula = "max(x_1, .., x_k) over k projections: maxout(k)",
       .derivative = "1 for the first that is greatest, else 0",
       .range = "(-Inf, Inf)",
       .saturation = "never; a projection that never wins does not learn",
       .source = "Goodfellow et al. 2013",
       .accuracy = "Exact.",
       .parameters = {{"k", 2, 2, 64}},
       .value_error = {},
       .slope_error = {}},
      {.name = "softmax",
       .kind = UnitKind::layer,
       .formula = "e^x_i / Σ_j e^x_j over the channels of a position",
       .derivative = "y_i ([i = j] - y_j)",
       .range = "(0, 1)",
       .saturation = "where one channel leads the others by far",
       .source = "Bridle 1990",
       .accuracy = "As softmax() of autograd/softmax.hpp states.",
       .parameters = {},
       .value_error = {},
       .slope_error = {}},
      {.name = "log_softmax",
       .kind = UnitKind::layer,
       .formula = "x_i - log Σ_j e^x_j over the channels of a position",
       .derivative = "[i = j] - e^y_j",
       .range = "(-Inf, 0)",
       .saturation = "fades to 0 for the channel that leads the others by far",
       .source = "Bridle 1990",
       .accuracy = "As log_softmax() of autograd/softmax.hpp states.",
       .parameters = {},
       .value_error = {},
       .slope_error = {}},
      {.name = "softmin",
       .kind = UnitKind::layer,
       .formula = "softmax(-x)",
       .derivative = "-y_i ([i = j] - y_j)",
       .range = "(0, 1)",
       .saturation = "where one channel is below the others by far",
       .source = "torch.nn.Softmin",
       .accuracy = "As softmin() of autograd/softmax.hpp states.",
       .parameters = {},
       .value_error = {},
       .slope_error = {}},
  };
  return infos;
}

}  // namespace

const EnumNames<UnitKind>& enum_names(UnitKind) {
  static const EnumNames<UnitKind> names(
      "kind of unit",
      {{UnitKind::gate, "gate"}, {UnitKind::activation, "activation"}, {UnitKind::layer, "layer"}});
  return names;
}

const std::vector<UnitInfo>& unit_infos() {
  static const std::vector<UnitInfo> infos = [] {
    std::vector<UnitInfo> all;
    all.reserve(std::size(kernels::kGates) + std::size(kernels::kActivations) +
                layer_infos().size());
    for (const GateEntry& gate : kernels::kGates) all.push_back(describe(gate));
    for (const ActivationEntry& entry : kernels::kActivations) all.push_back(describe(entry));
    all.insert(all.end(), layer_infos().begin(), layer_infos().end());
    return all;
  }();
  return infos;
}

const UnitInfo& unit_info(std::string_view name) {
  for (const UnitInfo& info : unit_infos()) {
    if (same_unit_name(info.name, name)) return info;
  }
  std::vector<std::string> known;
  known.reserve(unit_infos().size());
  for (const UnitInfo& info : unit_infos()) known.push_back(info.name);
  throw UsageError("unknown unit '" + std::string(name) + "'; " + suggestion(name, known));
}

}  // namespace sluice
