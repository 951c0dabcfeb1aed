#include "sluice/kernels/units.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "unit_list.hpp"

namespace sluice {
namespace {

using kernels::ActivationEntry;
using kernels::ParameterEntry;

const ActivationEntry* find_activation(std::string_view name) {
  const auto* const found =
      std::find_if(kernels::kActivations.begin(), kernels::kActivations.end(),
                   [&](const auto& entry) { return same_unit_name(entry.name, name); });
  return found == kernels::kActivations.end() ? nullptr : found;
}

const ActivationEntry& known_activation(std::string_view name) {
  if (const ActivationEntry* const entry = find_activation(name)) return *entry;
  static const std::vector<std::string> known = [] {
    std::vector<std::string> names;
    names.reserve(kernels::kActivations.size());
    for (const ActivationEntry& entry : kernels::kActivations) names.emplace_back(entry.name);
    return names;
  }();
  throw UsageError("unknown activation '" + std::string(name) + "'; " + suggestion(name, known));
}

// The shortest text that reads back to the same float.
std::string number(float value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

void check_parameters(Activation activation, const ActivationParameters& values) {
  const ActivationEntry& entry = kernels::entry_of(activation);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const ParameterEntry& parameter = entry.parameters[i];
    if (parameter.name.empty() || (values[i] >= parameter.least && values[i] <= parameter.most)) {
      continue;
    }
    throw UsageError("Activation: " + std::string(entry.name) + " got " +
                     std::string(parameter.name) + " = " + number(values[i]) + ", expected " +
                     number(parameter.least) + " to " + number(parameter.most) + ".");
  }
  if (activation == Activation::hardtanh && !(values[0] < values[1])) {
    throw UsageError("Activation: hardtanh got min = " + number(values[0]) +
                     " and max = " + number(values[1]) + ", expected min to be less than max.");
  }
}

struct Factor {
  Activation activation = Activation::identity;
  ActivationParameters parameters = {};
};

// "leaky_relu" or "leaky_relu(0.2)".
Factor parse_with_parameters(std::string_view text) {
  const std::size_t open = text.find('(');
  const ActivationEntry& entry = known_activation(text.substr(0, open));
  Factor factor{entry.activation, default_parameters(entry.activation)};
  if (open == std::string_view::npos) return factor;
  const auto refuse = [&](const std::string& why) {
    throw UsageError("activation '" + std::string(text) + "' does not parse; " + why);
  };
  if (text.back() != ')') refuse("expected ')' at its end.");
  const auto most = static_cast<std::size_t>(
      std::count_if(entry.parameters.begin(), entry.parameters.end(),
                    [](const ParameterEntry& parameter) { return !parameter.name.empty(); }));
  std::string_view rest = text.substr(open + 1, text.size() - open - 2);
  for (std::size_t i = 0;; ++i) {
    if (i == most) {
      refuse(std::string(entry.name) + " takes " +
             (most == 0 ? "no parameters."
                        : "at most " + std::to_string(most) +
                              (most == 1 ? " parameter." : " parameters.")));
    }
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view word = trimmed(rest.substr(0, comma));
    const auto read =
        std::from_chars(word.data(), word.data() + word.size(), factor.parameters.at(i));
    if (read.ec != std::errc() || read.ptr != word.data() + word.size()) {
      refuse("'" + std::string(word) + "' is not a number.");
    }
    if (comma == rest.size()) break;
    rest.remove_prefix(comma + 1);
  }
  check_parameters(factor.activation, factor.parameters);
  return factor;
}

// One factor of "F(a)*G(b)": the argument alone, or an activation of it.
std::optional<Factor> parse_factor(std::string_view text, char argument) {
  text = trimmed(text);
  if (text == std::string_view(&argument, 1)) return Factor{};
  if (text.size() < 4 || text.back() != ')' || text[text.size() - 2] != argument ||
      text[text.size() - 3] != '(') {
    return std::nullopt;
  }
  return parse_with_parameters(text.substr(0, text.size() - 3));
}

std::string factor_name(Activation activation, const ActivationParameters& parameters) {
  const ActivationParameters standard = default_parameters(activation);
  std::string name(activation_name(activation));
  if (parameters == standard) return name;
  name += "(" + number(parameters[0]);
  if (parameters[1] != standard[1]) name += "," + number(parameters[1]);
  return name + ")";
}

std::string formula(const Unit& unit) {
  const auto factor = [](Activation activation, const ActivationParameters& parameters,
                         const char* argument) {
    if (activation == Activation::identity) return std::string(argument);
    return factor_name(activation, parameters) + "(" + argument + ")";
  };
  return factor(unit.f, unit.f_parameters, "a") + "*" + factor(unit.g, unit.g_parameters, "b");
}

}  // namespace

bool same_unit_name(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  while (true) {
    while (i < a.size() && a[i] == '_') ++i;
    while (j < b.size() && b[j] == '_') ++j;
    if (i == a.size() || j == b.size()) return i == a.size() && j == b.size();
    if (a[i++] != b[j++]) return false;
  }
}

ActivationParameters default_parameters(Activation activation) {
  const auto& parameters = kernels::entry_of(activation).parameters;
  return {parameters[0].standard, parameters[1].standard};
}

std::string_view activation_name(Activation activation) {
  return kernels::kActivations.at(static_cast<std::size_t>(activation)).name;
}

Activation parse_activation(std::string_view name) { return known_activation(name).activation; }

Unit parse_unit(std::string_view name) {
  for (const kernels::GateEntry& gate : kernels::kGates) {
    if (same_unit_name(gate.name, name)) return Unit{gate.f, gate.g, true};
  }
  const std::size_t star = name.find('*');
  if (star == std::string_view::npos) {
    const std::string_view word = name.substr(0, name.find('('));
    if (find_activation(word) == nullptr) {
      throw UsageError("unknown unit '" + std::string(name) + "'; " +
                       suggestion(word, unit_names()));
    }
    const Factor factor = parse_with_parameters(name);
    return Unit{.f = factor.activation, .f_parameters = factor.parameters};
  }
  const auto f = parse_factor(name.substr(0, star), 'a');
  const auto g = parse_factor(name.substr(star + 1), 'b');
  if (!f || !g) {
    throw UsageError("unit '" + std::string(name) +
                     "' does not parse; write F(a)*b or a*G(b) with an activation for F or G, "
                     "for example swiglu or silu(a)*b.");
  }
  const Unit unit{f->activation, g->activation, true, f->parameters, g->parameters};
  kernels::require_kernel(unit);
  return unit;
}

std::string unit_name(const Unit& unit) {
  if (!unit.gated) return factor_name(unit.f, unit.f_parameters);
  for (const kernels::GateEntry& gate : kernels::kGates) {
    if (unit == Unit{gate.f, gate.g, true}) return std::string(gate.name);
  }
  return formula(unit);
}

void check_unit(const Unit& unit) {
  kernels::require_kernel(unit);
  check_parameters(unit.f, unit.f_parameters);
  if (unit.gated) check_parameters(unit.g, unit.g_parameters);
}

const std::vector<std::string>& unit_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    all.reserve(kernels::kGates.size() + kernels::kActivations.size());
    for (const kernels::GateEntry& gate : kernels::kGates) all.emplace_back(gate.name);
    for (const ActivationEntry& entry : kernels::kActivations) all.emplace_back(entry.name);
    return all;
  }();
  return names;
}

namespace kernels {

void require_kernel(const Unit& unit) {
  if (!unit.gated || gate_has_kernel(unit.f, unit.g)) return;
  throw UsageError("Unit: the gate " + formula(unit) +
                   " has no kernel; of gates with two activations only gtu and reglu_sigmoid have, "
                   "otherwise write F(a)*b or a*G(b).");
}

}  // namespace kernels
}  // namespace sluice
