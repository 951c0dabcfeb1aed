#include "sluice/lab/units/unit_description.hpp"

#include <cstddef>
#include <string>
#include <vector>

#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

/// What is known of the activation, with its own numbers.
UnitInfo with_numbers(Activation activation, const ActivationParameters& numbers) {
  UnitInfo info = unit_info(activation_name(activation));
  if (numbers == default_parameters(activation)) return info;
  info.name = unit_name(Unit{.f = activation, .f_parameters = numbers});
  for (std::size_t i = 0; i < info.parameters.size(); ++i) {
    info.parameters[i].standard = numbers.at(i);
  }
  info.accuracy = "At the default parameters: " + info.accuracy;
  return info;
}

/// F(a)*b, or a*G(b).
UnitInfo gate_info(const Unit& unit) {
  const std::string name = unit_name(unit);
  for (const UnitInfo& known : unit_infos()) {
    if (known.name == name) return known;
  }
  const bool first = unit.f != Activation::identity;
  const UnitInfo inner =
      first ? with_numbers(unit.f, unit.f_parameters) : with_numbers(unit.g, unit.g_parameters);
  const std::string own = first ? "a" : "b", other = first ? "b" : "a";
  const std::string value = inner.name + "(" + own + ")";
  const std::string slope = other + " " + inner.name + "'(" + own + ")";
  UnitInfo info{
      .name = name,
      .kind = UnitKind::gate,
      .formula = first ? value + " b" : "a " + value,
      .derivative = first ? "a: " + slope + "; b: " + value : "a: " + value + "; b: " + slope,
      .range = "(-Inf, Inf)",
      .saturation =
          own + " as " + inner.name + ": " + inner.saturation + "; " + other + " linear: never",
      .source = "",
      .accuracy = "As " + inner.name + ", and 1 ULP for the product.",
      .parameters = inner.parameters,
      .value_error = {},
      .slope_error = {}};
  return info;
}

UnitInfo stochastic_gelu() {
  UnitInfo info = unit_info("gelu");
  info.kind = UnitKind::layer;
  info.formula =
      "x with probability Φ(x), else 0, for each element while training; gelu, their mean, "
      "otherwise";
  info.derivative = "while training 1 where x was kept, else 0; otherwise gelu's";
  return info;
}

}  // namespace

UnitInfo describe_unit(std::string_view name) {
  if (name.find_first_of("(*") == std::string_view::npos) return unit_info(name);
  const UnitSpec spec = parse_unit_spec(name);
  if (spec.fused()) {
    return spec.unit.gated ? gate_info(spec.unit)
                           : with_numbers(spec.unit.f, spec.unit.f_parameters);
  }
  const std::string full = spec.name();
  UnitInfo info = spec.kind == UnitSpec::Kind::gelu ? stochastic_gelu()
                                                    : unit_info(full.substr(0, full.find('(')));
  info.name = full;
  std::vector<float> numbers;
  if (spec.kind == UnitSpec::Kind::rrelu) numbers = {spec.lower, spec.upper};
  if (spec.kind == UnitSpec::Kind::maxout) numbers = {static_cast<float>(spec.pieces)};
  for (std::size_t i = 0; i < numbers.size(); ++i) info.parameters.at(i).standard = numbers[i];
  return info;
}

}  // namespace sluice
