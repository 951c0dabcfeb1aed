// The gated convolutional model in PyTorch: nn.Conv1d under nn.utils.weight_norm.

#include <fmt/format.h>

#include <algorithm>

#include "gcnn_export.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

constexpr const char* gcnn_source = R"({norm}

{unit}

class Stack(nn.Module):
    """Gated causal convolutions (Dauphin et al. 2017); the state is the last inputs of each."""

    layout = [{layers}]  # channels, kernel, residual

    def __init__(self):
        super().__init__()
        normed = {normed}
        widths = [{first}]
        self.input = {input}
        self.layers = nn.ModuleList()
        for channels, kernel, residual in self.layout:
            layer = normed(nn.Conv1d(widths[-1], {inputs} * channels, kernel))
            layer.norm, layer.unit = Norm({inputs} * channels), Unit(channels)
            layer.projection = (normed(nn.Linear(widths[-residual], channels))
                                if residual and widths[-residual] != channels else nn.Identity())
            self.layers.append(layer)
            widths.append(channels)

    def forward(self, x, state=None):
        inputs, carried = [self.input(x)], []
        for i, (layer, (_, kernel, residual)) in enumerate(zip(self.layers, self.layout)):
            y = inputs[-1].transpose(1, 2)
            past = state[i] if state else y.new_zeros(*y.shape[:2], kernel - 1)
            y = torch.cat([past, y], 2)
            carried.append(y[:, :, y.size(2) - kernel + 1:])
            y = layer.unit(layer.norm(layer(y).transpose(1, 2)))
            if residual:
                y = (y + layer.projection(inputs[-residual])) * 0.5 ** 0.5
            inputs.append(y)
        return inputs[-1], carried
)";

}  // namespace

TorchStack torch_gcnn(const ModelConfig& config, const Parameters& parameters) {
  const auto& shape = config.shape<GcnnShape>();
  std::string layers;
  for (const LayerSpec& layer : shape.layers) {
    layers += fmt::format("{}({}, {}, {})", layers.empty() ? "" : ", ", layer.channels,
                          layer.kernel, layer.residual);
  }
  const std::vector<std::string> norms = causal_norm_names();
  const bool between = std::find(norms.begin(), norms.end(), config.norm) != norms.end();
  const std::int64_t first = shape.input_projection ? shape.layers.front().channels : config.dim;
  using fmt::arg;
  return {fmt::format(gcnn_source,
                      arg("norm", torch_norm(between ? config.norm : name_of(NormKind::none),
                                             config.groups)),
                      arg("unit", torch_unit(shape.unit)), arg("layers", layers),
                      arg("normed", between ? "lambda module: module" : "nn.utils.weight_norm"),
                      arg("first", first), arg("inputs", parse_unit_spec(shape.unit).inputs(1)),
                      arg("input", shape.input_projection
                                       ? fmt::format("normed(nn.Linear({}, {}))", config.dim, first)
                                       : "nn.Identity()")),
          stack_tensors(parameters)};
}

}  // namespace sluice
