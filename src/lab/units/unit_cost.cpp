#include "sluice/lab/units/unit_cost.hpp"

#include <cstddef>
#include <string>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/detail/shortest_time.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {
namespace {

constexpr double budget = 0.015;  // seconds per number

// Nanoseconds per element of the shortest pass. The clock is read once for several passes, enough
// of them for its own cost not to matter.
template <class F>
double shortest_pass(F&& pass) {
  constexpr int passes = 8;
  const double seconds = shortest_time(budget, [&] {
    for (int i = 0; i < passes; ++i) pass();
  });
  return seconds / passes / static_cast<double>(unit_cost_elements) * 1e9;
}

// Values from -4 to 4 in an order that no branch predictor can learn.
Tensor spread(std::int64_t elements) {
  Tensor tensor({elements});
  std::uint32_t state = 1;
  for (float& value : tensor.span<float>()) {
    state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
    value = static_cast<float>(state >> 8U) * 0x1p-21F - 4;
  }
  return tensor;
}

constexpr std::int64_t channels = 512;
constexpr std::int64_t rows = unit_cost_elements / channels;

UnitCost kernel_cost(const Unit& unit) {
  const auto pitch = static_cast<std::size_t>(unit.inputs(channels));
  const Tensor z = spread(unit.inputs(unit_cost_elements));
  const Tensor dy = spread(unit_cost_elements);
  const Tensor y({unit_cost_elements});
  const Tensor dz(z.shape());
  const auto forward = [&] {
    kernels::unit_forward(kernels::UnitForward<float>{y.data<float>(), z.data<float>(), pitch},
                          rows, channels, unit);
  };
  UnitCost cost;
  cost.forward_ns = shortest_pass(forward);
  cost.forward_backward_ns = shortest_pass([&] {
    forward();
    kernels::unit_backward(kernels::UnitBackward<float>{dz.data<float>(), pitch, nullptr,
                                                        dy.data<float>(), z.data<float>(), pitch},
                           rows, channels, unit);
  });
  return cost;
}

UnitCost layer_cost(const std::string& name) {
  const ThreadCount one(1);
  const UnitLayer layer(name, channels, DType::f32, InitKey{});
  const Variable z(spread(rows * layer.inputs()).reshape({rows, layer.inputs()}), true);
  const RandomKey key{};
  UnitCost cost;
  cost.forward_ns = shortest_pass([&] {
    const NoGrad no_grad;
    layer.forward(z, true, key);
  });
  const Tensor dy = spread(unit_cost_elements).reshape({rows, channels});
  const Variable start(Tensor::zeros({1}), true);
  cost.forward_backward_ns = shortest_pass([&] {
    Tape tape;
    const Variable y = layer.forward(z, true, key);
    // Hands out dy before the unit's own closure runs; an op that did would take longer.
    tape.record([&] { y.gradient()->accumulate(dy.clone()); });
    tape.backward(start);
    z.zero_grad();
    start.zero_grad();
  });
  return cost;
}

}  // namespace

UnitCost measure_unit_cost(const UnitInfo& info) {
  return info.kind == UnitKind::layer ? layer_cost(info.name) : kernel_cost(parse_unit(info.name));
}

}  // namespace sluice
