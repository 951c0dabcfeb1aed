// The gated convolutional model as a graph: its layers are products of the rows that a filter sees,
// side by side.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gcnn_export.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/graph.hpp"
#include "sluice/nn/norm.hpp"

namespace sluice {
namespace {

/// Filters w [M, C, K] as [M, K·C], the taps of a channel apart.
Tensor taps_outside(const Tensor& w) {
  const std::int64_t m = w.dim(0), c = w.dim(1), k = w.dim(2);
  Tensor out(Shape{m, k * c});
  const float* const from = w.data<float>();
  float* const to = out.data<float>();
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t channel = 0; channel < c; ++channel) {
      for (std::int64_t tap = 0; tap < k; ++tap) {
        to[row * k * c + tap * c + channel] = from[(row * c + channel) * k + tap];
      }
    }
  }
  return out;
}

/// x [B, T, C] with the K - 1 rows before each, [B, T, K·C].
GraphValue windows(StackGraph& stack, const GraphValue& x, std::int64_t kernel,
                   std::int64_t channels) {
  if (kernel == 1) return x;
  Graph& graph = stack.graph();
  const GraphValue rows = graph.concat({stack.state({kernel - 1, channels}), x}, 1);
  stack.carry(graph.slice_from(rows, 1, 1 - kernel));
  std::vector<GraphValue> taps;
  for (std::int64_t tap = 0; tap + 1 < kernel; ++tap) {
    taps.push_back(graph.slice(rows, 1, tap, tap + 1 - kernel));
  }
  taps.push_back(x);
  return graph.concat(std::move(taps), 2);
}

}  // namespace

GraphValue draw_gcnn(const ModelConfig& config, StackGraph& stack, const GraphValue& x) {
  const auto& shape = config.shape<GcnnShape>();
  Graph& graph = stack.graph();
  struct Rows {
    GraphValue value;
    std::int64_t width;
  };
  std::vector<Rows> inputs{{x, config.dim}};  // of layers
  if (shape.input_projection) {
    inputs.front() = {stack.linear(x, "input."), shape.layers.front().channels};
  }
  // Norms of what filters give, not of filters.
  const std::vector<std::string> norms = causal_norm_names();
  const bool normalises = std::find(norms.begin(), norms.end(), config.norm) != norms.end();
  for (std::size_t i = 0; i < shape.layers.size(); ++i) {
    const LayerSpec& layer = shape.layers[i];
    const auto name = [i](const char* part) { return fmt::format("layers.{}.{}", i, part); };
    const Rows& input = inputs.back();
    const Tensor w = taps_outside(stack.normalised_weight(name("")));
    GraphValue y = stack.product(windows(stack, input.value, layer.kernel, input.width), w);
    y = graph.op("Add", {y, stack.constant(name("bias"))});
    if (normalises) y = stack.norm(y, config.norm, config.groups, name("norm."));
    y = stack.unit(y, shape.unit, layer.channels, name("unit."));
    if (layer.residual > 0) {
      const Rows& source = inputs[inputs.size() - static_cast<std::size_t>(layer.residual)];
      const GraphValue residual = source.width == layer.channels
                                      ? source.value
                                      : stack.linear(source.value, name("projection."));
      y = graph.op("Mul", {graph.op("Add", {y, residual}), graph.number(std::sqrt(0.5))});
    }
    inputs.push_back({y, layer.channels});
  }
  return inputs.back().value;
}

}  // namespace sluice
