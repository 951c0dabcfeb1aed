// Recurrent models in PyTorch: nn.LSTM, nn.GRU and nn.RNN.

#include <fmt/format.h>

#include "gate_blocks.hpp"
#include "recurrent_export.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {
namespace {

constexpr const char* plain_source = R"(class Stack(nn.Module):
    """The state is that of nn.{cell}."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.{cell}({input}, {hidden}, {depth}{more}, batch_first=True)

    def forward(self, x, state=None):
        return self.rnn(x, state)
)";

constexpr const char* normed_source = R"({norm}

class Stack(nn.Module):
    """Layers of nn.{cell} one by one, with norms of their inputs and sums of inputs and outputs;
    the state is a list of theirs."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList()
        for width in [{input}] + [{hidden}] * ({depth} - 1):
            layer = nn.{cell}(width, {hidden}{more}, batch_first=True)
            layer.norm = Norm(width)
            self.layers.append(layer)

    def forward(self, x, state=None):
        carried = []
        for i, layer in enumerate(self.layers):
            y, after = layer(layer.norm(x), state[i] if state else None)
            carried.append(after)
            x = x + y if {residual} and x.shape == y.shape else y
        return x, carried
)";

/// PyTorch's name of a cell. Throws Error for those that it does not have.
const char* torch_cell(const RecurrentOptions& options) {
  switch (options.cell) {
    case CellKind::lstm:
      return "LSTM";
    case CellKind::rnn: {
      const Activation f = options.nonlinearity.f;
      if (f == Activation::tanh || f == Activation::relu) return "RNN";
      throw Error(
          fmt::format("cannot export to torch: its RNN has tanh or relu, this model's {}; export "
                      "to onnx instead",
                      unit_name(options.nonlinearity)));
    }
    case CellKind::gru:
      if (options.reset == GruReset::after) return "GRU";
      throw Error(
          "cannot export to torch: its GRU resets behind the matrix product, this model's before "
          "it; export to onnx instead");
    default:
      throw Error(
          fmt::format("cannot export to torch: it has no layers of {}; export to onnx "
                      "instead",
                      name_of(options.cell)));
  }
}

/// Our weights by name.
Tensor weight_of(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [own, tensor] : tensors) {
    if (own == name) return tensor;
  }
  return {};
}

}  // namespace

TorchStack torch_recurrent(const RecurrentStackOptions& layers, const Parameters& parameters) {
  const RecurrentOptions& options = layers.layer;
  const char* const cell = torch_cell(options);
  const bool plain = !layers.residual && layers.norm == name_of(NormKind::none);
  const bool relu = options.cell == CellKind::rnn && options.nonlinearity.f == Activation::relu;
  using fmt::arg;
  TorchStack out;
  out.source =
      fmt::format(fmt::runtime(plain ? plain_source : normed_source), arg("cell", cell),
                  arg("input", options.input), arg("hidden", options.hidden),
                  arg("depth", layers.layers), arg("more", relu ? ", nonlinearity=\"relu\"" : ""),
                  arg("norm", plain ? "" : torch_norm(layers.norm, layers.groups)),
                  arg("residual", layers.residual ? "True" : "False"));
  std::vector<GateBlock> order{0};
  if (options.cell == CellKind::gru) order = {0, 1, 2};
  if (options.cell == CellKind::lstm) {
    const LstmBlocks ours = lstm_blocks(options);
    order = {ours.input, ours.forget, ours.cell, ours.output};
  }
  const NamedTensors ours = stack_tensors(parameters);
  for (std::int64_t i = 0; i < layers.layers; ++i) {
    const std::string from = fmt::format("layers.{}.", i);
    const auto name = [&](const char* part) {
      return plain ? fmt::format("rnn.{}_l{}", part, i) : fmt::format("{}{}_l0", from, part);
    };
    const auto blocks = [&](const char* part) {
      return ordered_blocks(weight_of(ours, from + part), options.hidden, order);
    };
    const Shape bias_shape{static_cast<std::int64_t>(order.size()) * options.hidden};
    const Tensor bias = blocks("bias_ih").reshape(bias_shape);
    open_gates(bias, order);
    const bool two = weight_of(ours, from + "bias_hh").defined();
    out.tensors.emplace_back(name("weight_ih"), blocks("weight_ih"));
    out.tensors.emplace_back(name("weight_hh"), blocks("weight_hh"));
    out.tensors.emplace_back(name("bias_ih"), bias);
    out.tensors.emplace_back(
        name("bias_hh"), two ? blocks("bias_hh").reshape(bias_shape) : Tensor::zeros(bias_shape));
  }
  for (const auto& [name, tensor] : ours) {
    if (name.find(".norm.") != std::string::npos) out.tensors.emplace_back(name, tensor);
  }
  return out;
}

}  // namespace sluice
