// Norms and units in Python.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/kernels/unit_info.hpp"
#include "sluice/models/torch_form.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

/// f(x) of an activation; PyTorch's function of that name where there is one.
std::string activation_source(Activation activation, const ActivationParameters& parameters,
                              const std::string& x) {
  const auto name = std::string(activation_name(activation));
  switch (activation) {
    case Activation::identity:
      return x;
    case Activation::sigmoid:
    case Activation::tanh:
      return fmt::format("torch.{}({})", name, x);
    case Activation::gelu_tanh:
      return fmt::format("F.gelu({}, approximate=\"tanh\")", x);
    case Activation::silu:
      return fmt::format("{0} * torch.sigmoid({1} * {0})", x, parameters[0]);
    case Activation::hardsigmoid:
      return fmt::format("({} * {} + {}).clamp(0, 1)", parameters[0], x, parameters[1]);
    case Activation::relu6:
      return fmt::format("F.hardtanh({}, 0, {})", x, parameters[0]);
    case Activation::squared_relu:
      return fmt::format("F.relu({}) ** 2", x);
    case Activation::penalized_tanh:
      return fmt::format("F.leaky_relu(torch.tanh({}), {})", x, parameters[0]);
    default:
      break;
  }
  std::string arguments = x;
  for (std::size_t i = 0; i < unit_info(name).parameters.size(); ++i) {
    arguments += fmt::format(", {}", parameters[i]);
  }
  return fmt::format("F.{}({})", name, arguments);
}

std::string elementwise_source(const Unit& unit) {
  if (!unit.gated) return "return " + activation_source(unit.f, unit.f_parameters, "z");
  return fmt::format("a, b = z.chunk(2, -1)\n        return ({}) * ({})",
                     activation_source(unit.f, unit.f_parameters, "a"),
                     activation_source(unit.g, unit.g_parameters, "b"));
}

}  // namespace

std::string torch_norm(std::string_view name, std::int64_t groups) {
  switch (parse_enum<NormKind>(name)) {
    case NormKind::none:
      return "Norm = lambda channels: nn.Identity()\n";
    case NormKind::layer:
      return "Norm = nn.LayerNorm\n";
    case NormKind::rms:
      return R"(class Norm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        return self.weight * x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
)";
    case NormKind::batch:
      return R"(class Norm(nn.BatchNorm1d):
    def forward(self, x):
        return super().forward(x.flatten(0, 1)).view_as(x)
)";
    case NormKind::group:
      return fmt::format(R"(class Norm(nn.GroupNorm):
    def __init__(self, channels):
        super().__init__({}, channels)

    def forward(self, x):
        return super().forward(x.flatten(0, 1)).view_as(x)
)",
                         groups);
    default:
      throw Error(fmt::format("PyTorch has no norm '{}' of a position", name));
  }
}

std::string torch_unit(std::string_view text) {
  const UnitSpec spec = parse_unit_spec(text);
  std::string parameter, body;
  switch (spec.kind) {
    case UnitSpec::Kind::fused:
      body = elementwise_source(spec.unit);
      break;
    case UnitSpec::Kind::prelu:
      parameter = "weight";
      body = "return torch.where(z > 0, z, self.weight * z)";
      break;
    case UnitSpec::Kind::swish:
      parameter = "beta";
      body = "return z * torch.sigmoid(self.beta * z)";
      break;
    case UnitSpec::Kind::gelu:
      body = "return z * torch.bernoulli(torch.special.ndtr(z)) if self.training else F.gelu(z)";
      break;
    case UnitSpec::Kind::rrelu:
      body = fmt::format("return F.rrelu(z, {}, {}, self.training)", spec.lower, spec.upper);
      break;
    case UnitSpec::Kind::maxout:
      body = fmt::format("return z.unflatten(-1, ({}, -1)).amax(-2)", spec.pieces);
      break;
    case UnitSpec::Kind::softmax:
    case UnitSpec::Kind::log_softmax:
    case UnitSpec::Kind::softmin:
      body = fmt::format("return F.{}(z, -1)", spec.name());
      break;
  }
  std::string source = "class Unit(nn.Module):\n";
  if (!parameter.empty()) {
    source += fmt::format(R"(    def __init__(self, channels):
        super().__init__()
        self.{} = nn.Parameter(torch.ones({}))

)",
                          parameter, spec.shared ? "1" : "channels");
  } else {
    source += R"(    def __init__(self, channels):
        super().__init__()

)";
  }
  return source + fmt::format("    def forward(self, z):\n        {}\n", body);
}

}  // namespace sluice
