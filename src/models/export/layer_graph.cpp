// Norms and units as graphs.

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "sluice/base/error.hpp"
#include "sluice/models/graph.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

/// Formulas of activations (kernels/unit_list.hpp) in ONNX's operators.
class ActivationGraph {
 public:
  ActivationGraph(Graph& graph, const ActivationParameters& parameters)
      : graph_(graph), first_(parameters[0]), second_(parameters[1]) {}

  GraphValue apply(Activation activation, const GraphValue& x) const {
    switch (activation) {
      case Activation::identity:
        return x;
      case Activation::sigmoid:
        return op("Sigmoid", x);
      case Activation::tanh:
        return op("Tanh", x);
      case Activation::relu:
        return op("Relu", x);
      case Activation::gelu:
        return times(times(x, number(0.5)),
                     plus(op("Erf", times(x, number(std::numbers::sqrt2 / 2))), number(1)));
      case Activation::gelu_tanh: {
        const GraphValue cubic = times(x, times(x, times(x, number(0.044715))));
        const double scale = std::sqrt(8 / std::numbers::pi);
        return times(x, op("Sigmoid", times(plus(x, cubic), number(scale))));
      }
      case Activation::silu:
        return times(x, op("Sigmoid", times(x, number(first()))));
      case Activation::hardsigmoid:
        return op("HardSigmoid", x, {{"alpha", first_}, {"beta", second_}});
      case Activation::logsigmoid:
        return op("Neg", op("Softplus", op("Neg", x)));
      case Activation::hardtanh:
        return least(most(x, first()), second());
      case Activation::tanhshrink:
        return graph_.op("Sub", {x, op("Tanh", x)});
      case Activation::softsign:
        return op("Softsign", x);
      case Activation::softplus: {
        const GraphValue scaled = times(x, number(first()));
        return where_above(scaled, second(), x,
                           graph_.op("Div", {op("Softplus", scaled), number(first())}));
      }
      default:
        return apply_piecewise(activation, x);
    }
  }

 private:
  GraphValue apply_piecewise(Activation activation, const GraphValue& x) const {
    switch (activation) {
      case Activation::relu6:
        return least(op("Relu", x), first());
      case Activation::leaky_relu:
        return op("LeakyRelu", x, {{"alpha", first_}});
      case Activation::elu:
        return op("Elu", x, {{"alpha", first_}});
      case Activation::celu:
        return op("Celu", x, {{"alpha", first_}});
      case Activation::selu:
        return op("Selu", x);
      case Activation::mish:
        return times(x, op("Tanh", op("Softplus", x)));
      case Activation::hardswish:
        return times(x, op("HardSigmoid", x, {{"alpha", 1.0F / 6}, {"beta", 0.5F}}));
      case Activation::softshrink:
        return op("Shrink", x, {{"lambd", first_}, {"bias", first_}});
      case Activation::hardshrink:
        return op("Shrink", x, {{"lambd", first_}, {"bias", 0.0F}});
      case Activation::threshold:
        return where_above(x, first(), x, number(second()));
      case Activation::squared_relu: {
        const GraphValue positive = op("Relu", x);
        return times(positive, positive);
      }
      case Activation::penalized_tanh:
        return op("LeakyRelu", op("Tanh", x), {{"alpha", first_}});
      default:
        throw Error(fmt::format("no graph holds the activation '{}'", activation_name(activation)));
    }
  }

  double first() const { return static_cast<double>(first_); }
  double second() const { return static_cast<double>(second_); }
  GraphValue number(double value) const { return graph_.number(value); }
  GraphValue op(const char* type, const GraphValue& x, GraphAttributes attributes = {}) const {
    return graph_.op(type, {x}, std::move(attributes));
  }
  GraphValue times(const GraphValue& a, const GraphValue& b) const {
    return graph_.op("Mul", {a, b});
  }
  GraphValue plus(const GraphValue& a, const GraphValue& b) const {
    return graph_.op("Add", {a, b});
  }
  GraphValue least(const GraphValue& x, double bound) const {
    return graph_.op("Min", {x, number(bound)});
  }
  GraphValue most(const GraphValue& x, double bound) const {
    return graph_.op("Max", {x, number(bound)});
  }
  GraphValue where_above(const GraphValue& x, double bound, const GraphValue& above,
                         const GraphValue& else_value) const {
    return graph_.op("Where", {graph_.op("Greater", {x, number(bound)}), above, else_value});
  }

  Graph& graph_;
  float first_, second_;
};

GraphValue elementwise(Graph& graph, const Unit& unit, const GraphValue& x, std::int64_t channels) {
  const ActivationGraph f(graph, unit.f_parameters);
  if (!unit.gated) return f.apply(unit.f, x);
  const std::vector<GraphValue> halves = graph.split(x, 2, channels);
  const ActivationGraph g(graph, unit.g_parameters);
  return graph.op("Mul", {f.apply(unit.f, halves[0]), g.apply(unit.g, halves[1])});
}

}  // namespace

GraphValue draw_activation(Graph& graph, const Unit& unit, const GraphValue& x) {
  return ActivationGraph(graph, unit.f_parameters).apply(unit.f, x);
}

GraphValue StackGraph::unit(const GraphValue& x, std::string_view name, std::int64_t channels,
                            const std::string& prefix) {
  const UnitSpec spec = parse_unit_spec(name);
  constexpr std::int64_t last = -1;
  switch (spec.kind) {
    case UnitSpec::Kind::fused:
      return elementwise(graph_, spec.unit, x, channels);
    case UnitSpec::Kind::prelu:
      return graph_.op("PRelu", {x, constant(prefix + "weight")});
    case UnitSpec::Kind::swish:
      return graph_.op(
          "Mul", {x, graph_.op("Sigmoid", {graph_.op("Mul", {x, constant(prefix + "beta")})})});
    case UnitSpec::Kind::gelu:  // of which the mean is left once it is trained
      return ActivationGraph(graph_, default_parameters(Activation::gelu))
          .apply(Activation::gelu, x);
    case UnitSpec::Kind::rrelu:  // which takes the mean of its slopes once it is trained
      return graph_.op("LeakyRelu", {x}, {{"alpha", (spec.lower + spec.upper) / 2}});
    case UnitSpec::Kind::maxout:
      return graph_.op("Max", graph_.split(x, static_cast<std::size_t>(spec.pieces), channels));
    case UnitSpec::Kind::softmax:
      return graph_.op("Softmax", {x}, {{"axis", last}});
    case UnitSpec::Kind::log_softmax:
      return graph_.op("LogSoftmax", {x}, {{"axis", last}});
    case UnitSpec::Kind::softmin:
      return graph_.op("Softmax", {graph_.op("Neg", {x})}, {{"axis", last}});
  }
  throw Error(fmt::format("no graph holds the unit '{}'", name));
}

GraphValue StackGraph::norm(const GraphValue& x, std::string_view name, std::int64_t groups,
                            const std::string& prefix) {
  const auto kind = parse_enum<NormKind>(name);
  if (kind == NormKind::none) return x;
  const GraphValue eps = graph_.number(NormOptions{}.eps);
  const auto root = [&](const GraphValue& variance) {
    return graph_.op("Sqrt", {graph_.op("Add", {variance, eps})});
  };
  const auto mean = [&](const GraphValue& values) {
    return graph_.op("ReduceMean", {values},
                     {{"axes", std::vector<std::int64_t>{-1}}, {"keepdims", std::int64_t{1}}});
  };
  const auto squared = [&](const GraphValue& values) {
    return graph_.op("Pow", {values, graph_.number(2)});
  };
  const std::int64_t channels = weight(prefix + "weight").elements();
  GraphValue y;
  switch (kind) {
    case NormKind::batch:
      y = graph_.op("Div", {graph_.op("Sub", {x, constant(prefix + "running_mean")}),
                            root(constant(prefix + "running_var"))});
      break;
    case NormKind::rms:
      y = graph_.op("Div", {x, root(mean(squared(x)))});
      break;
    case NormKind::layer:
    case NormKind::group: {
      const bool grouped = kind == NormKind::group && groups > 1;
      const GraphValue rows = grouped ? graph_.reshape(x, {0, 0, groups, channels / groups}) : x;
      const GraphValue centred = graph_.op("Sub", {rows, mean(rows)});
      y = graph_.op("Div", {centred, root(mean(squared(centred)))});
      if (grouped) y = graph_.reshape(y, {0, 0, channels});
      break;
    }
    default:
      throw Error(fmt::format("no graph holds the norm '{}'", name));
  }
  y = graph_.op("Mul", {y, constant(prefix + "weight")});
  return has(prefix + "bias") ? graph_.op("Add", {y, constant(prefix + "bias")}) : y;
}

}  // namespace sluice
