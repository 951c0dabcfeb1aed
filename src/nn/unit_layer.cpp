#include "sluice/nn/unit_layer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>

#include <fmt/format.h>

#include "sluice/autograd/activations.hpp"
#include "sluice/autograd/softmax.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/kernels/unit_info.hpp"

namespace sluice {
namespace {

using Kind = UnitSpec::Kind;

struct LayerName {
  std::string_view name;
  Kind kind;
};
constexpr std::array<LayerName, 8> kLayers = {{{"prelu", Kind::prelu},
                                               {"swish", Kind::swish},
                                               {"rrelu", Kind::rrelu},
                                               {"gelu", Kind::gelu},
                                               {"maxout", Kind::maxout},
                                               {"softmax", Kind::softmax},
                                               {"log_softmax", Kind::log_softmax},
                                               {"softmin", Kind::softmin}}};

std::optional<Kind> layer_kind(std::string_view name) {
  for (const LayerName& layer : kLayers) {
    if (same_unit_name(layer.name, name)) return layer.kind;
  }
  return std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

[[noreturn]] void refuse(std::string_view spec, std::string_view expected) {
  throw UsageError(fmt::format("unit '{}' does not parse; expected {}.", spec, expected));
}

void read_slopes(UnitSpec& unit, std::string_view arguments, std::string_view spec) {
  const std::size_t comma = std::min(arguments.find(','), arguments.size());
  const auto lower = number<float>(trimmed(arguments.substr(0, comma)));
  const auto upper =
      number<float>(trimmed(arguments.substr(std::min(comma + 1, arguments.size()))));
  if (!lower || !upper || !(*lower >= 0 && *lower <= *upper && *upper <= 1e6F)) {
    refuse(spec, "rrelu(LOWER,UPPER) with 0 <= LOWER <= UPPER <= 1e6");
  }
  unit.lower = *lower;
  unit.upper = *upper;
}

void read_arguments(UnitSpec& unit, std::string_view arguments, std::string_view spec) {
  switch (unit.kind) {
    case Kind::prelu:
    case Kind::swish:
      if (trimmed(arguments) != "shared") {
        refuse(spec, fmt::format("{0} or {0}(shared)", spec.substr(0, spec.find('('))));
      }
      unit.shared = true;
      return;
    case Kind::rrelu:
      read_slopes(unit, arguments, spec);
      return;
    case Kind::gelu:
      if (trimmed(arguments) != "stochastic") refuse(spec, "gelu or gelu(stochastic)");
      return;
    case Kind::maxout: {
      const auto pieces = number<std::int64_t>(trimmed(arguments));
      if (!pieces || *pieces < 2 || *pieces > 64) refuse(spec, "maxout(K) with K from 2 to 64");
      unit.pieces = *pieces;
      return;
    }
    default:
      refuse(spec, "no arguments");
  }
}

// E[max(x_1, .., x_k)²] of standard normal variates, by the trapezoidal rule (the integrand and all
// its derivatives vanish at the ends, so that the error is far below 1e-12).
double mean_square_of_maximum(std::int64_t k) {
  constexpr double spacing = 0.01;
  constexpr int steps = 1200;  // to ±12
  double sum = 0;
  for (int i = -steps; i <= steps; ++i) {
    const double x = spacing * i;
    const double density = std::exp(-0.5 * x * x) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
    const double below = 0.5 * std::erfc(-x / std::numbers::sqrt2);
    sum += x * x * static_cast<double>(k) * density * std::pow(below, static_cast<double>(k - 1)) *
           spacing;
  }
  return sum;
}

}  // namespace

UnitSpec parse_unit_spec(std::string_view spec) {
  const std::size_t open = spec.find('(');
  const std::string_view name = spec.substr(0, open);
  UnitSpec unit;
  const auto kind = layer_kind(name);
  // gelu by itself, and in a gate, is an activation.
  const bool plain = open == std::string_view::npos || spec.find('*') != std::string_view::npos;
  if (kind && (*kind != Kind::gelu || !plain)) {
    unit.kind = *kind;
    if (open == std::string_view::npos) return unit;
    if (spec.back() != ')') refuse(spec, "')' at its end");
    read_arguments(unit, spec.substr(open + 1, spec.size() - open - 2), spec);
    return unit;
  }
  const auto& known = model_unit_names();
  const bool formula = spec.find('*') != std::string_view::npos;
  if (!formula && std::none_of(known.begin(), known.end(), [&](const std::string& each) {
        return same_unit_name(each, name);
      })) {
    throw UsageError(fmt::format("unknown unit '{}'; {}", spec, suggestion(name, known)));
  }
  unit.unit = parse_unit(spec);
  return unit;
}

const std::vector<std::string>& model_unit_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const UnitInfo& info : unit_infos()) all.push_back(info.name);
    return all;
  }();
  return names;
}

std::int64_t UnitSpec::inputs(std::int64_t n) const {
  if (kind == Kind::maxout) return pieces * n;
  return fused() ? unit.inputs(n) : n;
}

std::int64_t UnitSpec::parameter_count(std::int64_t n) const {
  if (kind != Kind::prelu && kind != Kind::swish) return 0;
  return shared ? 1 : n;
}

double UnitSpec::gain() const {
  switch (kind) {
    case Kind::fused:
      return unit_gain(unit);
    case Kind::prelu:
      return calculate_gain("prelu");
    case Kind::swish:
      return calculate_gain("silu");
    case Kind::gelu:
      return calculate_gain("gelu");
    case Kind::rrelu:
      return calculate_gain("leaky_relu",
                            (static_cast<double>(lower) + static_cast<double>(upper)) / 2);
    case Kind::maxout:
      return 1 / std::sqrt(mean_square_of_maximum(pieces));
    default:
      return 1.0;
  }
}

std::string UnitSpec::name() const {
  if (fused()) return unit_name(unit);
  const auto* const layer = std::find_if(kLayers.begin(), kLayers.end(),
                                         [&](const LayerName& each) { return each.kind == kind; });
  const std::string_view plain = layer->name;
  if (kind == Kind::gelu) return "gelu(stochastic)";
  if (shared) return fmt::format("{}(shared)", plain);
  const UnitSpec standard{.kind = kind, .unit = {}};
  if (*this == standard) return std::string(plain);
  return kind == Kind::maxout ? fmt::format("{}({})", plain, pieces)
                              : fmt::format("{}({},{})", plain, lower, upper);
}

UnitLayer::UnitLayer(std::string_view spec, std::int64_t channels, DType dtype, InitKey key)
    : spec_(parse_unit_spec(spec)), channels_(channels) {
  if (channels < 1) {
    throw UsageError(fmt::format("Unit {}: expected at least one channel, got {}", spec, channels));
  }
  const std::int64_t count = parameter_count();
  if (count == 0) return;
  const double start = spec_.kind == Kind::prelu ? 0.25 : 1.0;
  parameter_ = Variable(constant(Shape{count}, dtype, key.seed ? start : 0.0), true);
}

const Unit& UnitLayer::unit() const {
  if (!fused()) {
    throw Error(
        fmt::format("UnitLayer: {} is no elementwise unit that a projection can be fused "
                    "with; call forward() on the projection",
                    spec_.name()));
  }
  return spec_.unit;
}

Variable UnitLayer::forward(const Variable& z, bool training, const RandomKey& key) const {
  const Shape& shape = z.shape();
  if (shape.rank() != 2 || shape[1] != inputs()) {
    const bool halves = spec_.fused() && spec_.unit.gated;
    const bool odd = halves && shape.rank() == 2 && shape[1] % 2 != 0;
    throw Error(fmt::format("Unit {}: expected [R, {}] for {} channels, got {}{}", spec_.name(),
                            inputs(), channels_, shape.str(),
                            odd ? ", whose odd last dimension cannot be halved" : ""));
  }
  switch (spec_.kind) {
    case Kind::fused:
      return sluice::unit(z, spec_.unit);
    case Kind::prelu:
      return prelu(z, parameter_);
    case Kind::swish:
      return swish(z, parameter_);
    case Kind::rrelu:
      return rrelu(z, spec_.lower, spec_.upper, training, key);
    case Kind::gelu:
      return training ? stochastic_gelu(z, key) : sluice::unit(z, Unit{.f = Activation::gelu});
    case Kind::maxout:
      return maxout(z, spec_.pieces);
    case Kind::softmax:
      return softmax(z);
    case Kind::log_softmax:
      return log_softmax(z);
    case Kind::softmin:
      return softmin(z);
  }
  return {};
}

Tensor UnitLayer::apply(const Tensor& z) const {
  const NoGrad no_grad;
  return forward(Variable(z), false, RandomKey{}).value();
}

UnitLayer UnitLayer::frozen(const FreezeOptions& options) const {
  UnitLayer copy = *this;
  if (parameter_.defined()) copy.parameter_ = Variable(frozen_tensor(parameter_.value(), options));
  return copy;
}

void UnitLayer::collect(Parameters& parameters, const std::string& prefix) const {
  if (!parameter_.defined()) return;
  const char* const name = spec_.kind == Kind::prelu ? "weight" : "beta";
  parameters.push_back({prefix + name, parameter_, {}, {}, false});
}

}  // namespace sluice
