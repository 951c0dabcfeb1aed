#include "sluice/kernels/units.hpp"

#include <algorithm>
#include <optional>

#include "sluice/base/error.hpp"
#include "unit_list.hpp"

namespace sluice {
namespace {

std::optional<Activation> find_activation(std::string_view name) {
  const auto found = std::find(kernels::kActivations.begin(), kernels::kActivations.end(), name);
  if (found == kernels::kActivations.end()) return std::nullopt;
  return static_cast<Activation>(found - kernels::kActivations.begin());
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  const std::string near = nearest_names(std::string(name), known.data(), known.size());
  if (!near.empty()) return "did you mean " + near + "?";
  std::string all = "known are ";
  for (std::size_t i = 0; i < known.size(); ++i) all += (i > 0 ? ", " : "") + known[i];
  return all + ".";
}

// One factor of "F(a)*G(b)": the argument alone, or an activation of it.
std::optional<Activation> parse_factor(std::string_view text, char argument) {
  if (text == std::string_view(&argument, 1)) return Activation::identity;
  if (text.size() < 4 || text.back() != ')' || text[text.size() - 2] != argument ||
      text[text.size() - 3] != '(') {
    return std::nullopt;
  }
  return parse_activation(text.substr(0, text.size() - 3));
}

std::string formula(const Unit& unit) {
  const auto factor = [](Activation activation, const char* argument) {
    if (activation == Activation::identity) return std::string(argument);
    return std::string(activation_name(activation)) + "(" + argument + ")";
  };
  return factor(unit.f, "a") + "*" + factor(unit.g, "b");
}

}  // namespace

std::string_view activation_name(Activation activation) {
  return kernels::kActivations.at(static_cast<std::size_t>(activation));
}

Activation parse_activation(std::string_view name) {
  if (const auto activation = find_activation(name)) return *activation;
  static const std::vector<std::string> known(kernels::kActivations.begin(),
                                              kernels::kActivations.end());
  throw UsageError("Activation: '" + std::string(name) + "' is unknown; " +
                   did_you_mean(name, known));
}

Unit parse_unit(std::string_view name) {
  for (const kernels::Gate& gate : kernels::kGates) {
    if (gate.name == name) return Unit{gate.f, gate.g, true};
  }
  if (const auto activation = find_activation(name)) {
    return Unit{*activation, Activation::identity, false};
  }
  const std::size_t star = name.find('*');
  if (star == std::string_view::npos) {
    throw UsageError("Unit: '" + std::string(name) + "' is unknown; " +
                     did_you_mean(name, unit_names()));
  }
  const auto f = parse_factor(name.substr(0, star), 'a');
  const auto g = parse_factor(name.substr(star + 1), 'b');
  if (!f || !g) {
    throw UsageError("Unit: '" + std::string(name) +
                     "' does not parse; write F(a)*b or a*G(b) with an activation for F or G, "
                     "for example swiglu or silu(a)*b.");
  }
  const Unit unit{*f, *g, true};
  kernels::require_kernel(unit);
  return unit;
}

std::string unit_name(const Unit& unit) {
  if (!unit.gated) return std::string(activation_name(unit.f));
  for (const kernels::Gate& gate : kernels::kGates) {
    if (gate.f == unit.f && gate.g == unit.g) return std::string(gate.name);
  }
  return formula(unit);
}

const std::vector<std::string>& unit_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    all.reserve(kernels::kGates.size() + kernels::kActivations.size());
    for (const kernels::Gate& gate : kernels::kGates) all.emplace_back(gate.name);
    all.insert(all.end(), kernels::kActivations.begin(), kernels::kActivations.end());
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
