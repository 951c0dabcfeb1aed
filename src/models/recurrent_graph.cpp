// Recurrent layers as a graph: ONNX's own LSTM, GRU and RNN, and loops for the cells that it does
// not have.

#include "recurrent_export.hpp"

#include <fmt/format.h>

#include "gate_blocks.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// One layer's part in a graph.
class LayerGraph {
 public:
  LayerGraph(StackGraph& stack, const RecurrentOptions& options, std::string prefix)
      : stack_(stack), graph_(stack.graph()), options_(options), prefix_(std::move(prefix)) {}

  /// x [B, T, C] to [B, T, H].
  GraphValue draw(const GraphValue& x) {
    switch (options_.cell) {
      case CellKind::lstm:
        return lstm(x);
      case CellKind::gru:
        return gru(x);
      case CellKind::rnn:
        return rnn(x);
      case CellKind::indrnn:
        return indrnn(x);
      case CellKind::mut1:
        return mut1(x);
    }
    throw Error(fmt::format("no graph holds the cell '{}'", name_of(options_.cell)));
  }

 private:
  /// Blocks of rows of a weight or a bias.
  Tensor blocks(const Tensor& w, const std::vector<GateBlock>& order) const {
    return ordered_blocks(w, options_.hidden, order);
  }

  /// Weights as ONNX's cells take them, [1, N, K].
  GraphValue kept(const char* name, const std::vector<GateBlock>& order) {
    const Tensor w = blocks(stack_.weight(prefix_ + name), order);
    return stack_.kept(w, Shape{1, w.dim(0), w.dim(1)}, 1);
  }

  /// Both biases, one behind the other, [1, 2N].
  GraphValue biases(const std::vector<GateBlock>& order) {
    const auto n = static_cast<std::int64_t>(order.size()) * options_.hidden;
    const Tensor both = Tensor::zeros(Shape{2, n});
    const auto take = [&](const char* name, std::int64_t row) {
      both.rows(row, row + 1)
          .copy_from(blocks(stack_.weight(prefix_ + name), order).reshape(Shape{1, n}));
    };
    take("bias_ih", 0);
    if (stack_.has(prefix_ + "bias_hh")) take("bias_hh", 1);
    open_gates(both.rows(0, 1), order);
    return graph_.constant(both.reshape(Shape{1, 2 * n}));
  }

  /// One of ONNX's own cells, with `states` tensors of state.
  GraphValue cell(const char* type, const GraphValue& x, const std::vector<GateBlock>& order,
                  std::size_t states, GraphAttributes attributes) {
    std::vector<GraphValue> inputs{graph_.transpose(x, {1, 0, 2}), kept("weight_ih", order),
                                   kept("weight_hh", order), biases(order), ""};
    for (std::size_t i = 0; i < states; ++i) {
      inputs.push_back(graph_.unsqueeze(stack_.state({options_.hidden}), 0));
    }
    attributes.push_back({"hidden_size", options_.hidden});
    const auto outputs = graph_.ops(type, std::move(inputs), 1 + states, std::move(attributes));
    for (std::size_t i = 0; i < states; ++i) stack_.carry(graph_.squeeze(outputs[1 + i], 0));
    return graph_.transpose(graph_.squeeze(outputs[0], 1), {1, 0, 2});
  }

  GraphValue lstm(const GraphValue& x) {
    const LstmBlocks ours = lstm_blocks(options_);
    return cell("LSTM", x, {ours.input, ours.output, ours.forget, ours.cell}, 2, {});
  }

  GraphValue gru(const GraphValue& x) {
    // Ours are r, z, n; ONNX's z, r, h.
    const std::int64_t after = options_.reset == GruReset::after ? 1 : 0;
    return cell("GRU", x, {1, 0, 2}, 1, {{"linear_before_reset", after}});
  }

  GraphValue rnn(const GraphValue& x) {
    const Activation f = options_.nonlinearity.f;
    if (f == Activation::relu || f == Activation::tanh) {
      const char* const name = f == Activation::relu ? "Relu" : "Tanh";
      return cell("RNN", x, {0}, 1, {{"activations", std::vector<std::string>{name}}});
    }
    const Tensor w = blocks(stack_.weight(prefix_ + "weight_hh"), {0});
    const GraphValue recurrent = graph_.transpose(stack_.kept(w, w.shape(), 0), {1, 0});
    return loop({projected(x, 0, 0)},
                [&](Graph& g, const GraphValue& h, const std::vector<GraphValue>& parts) {
                  const GraphValue sum = g.op("Add", {parts[0], g.op("MatMul", {h, recurrent})});
                  return draw_activation(g, options_.nonlinearity, sum);
                });
  }

  /// A loop over the positions of `sequences`, each [B, T, ..]: `body` is given what they are at
  /// one of them, and the state before it.
  template <class Body>
  GraphValue loop(const std::vector<GraphValue>& sequences, Body body) {
    auto inner = std::make_shared<Graph>(prefix_);
    const GraphValue before = prefix_ + "before", after = prefix_ + "after",
                     given = prefix_ + "given";
    const std::vector<GraphDim> dims{"batch", options_.hidden};
    inner->add_input({before, false, dims});
    std::vector<GraphValue> parts;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      parts.push_back(fmt::format("{}part{}", prefix_, i));
      inner->add_input({parts.back(), false, dims});
    }
    inner->named_op(after, "Identity", {body(*inner, before, parts)});
    inner->named_op(given, "Identity", {after});
    inner->add_output({after, false, dims});
    inner->add_output({given, false, dims});
    std::vector<GraphValue> inputs{stack_.state({options_.hidden})};
    inputs.insert(inputs.end(), sequences.begin(), sequences.end());
    const auto outputs =
        graph_.ops("Scan", std::move(inputs), 2,
                   {{"body", std::shared_ptr<const Graph>(inner)},
                    {"num_scan_inputs", static_cast<std::int64_t>(sequences.size())},
                    {"scan_input_axes", std::vector<std::int64_t>(sequences.size(), 1)},
                    {"scan_output_axes", std::vector<std::int64_t>{1}}});
    stack_.carry(outputs[0]);
    return outputs[1];
  }

  /// x·Wᵀ + b of one block of weight_ih and bias_ih.
  GraphValue projected(const GraphValue& x, std::int64_t block, std::int64_t of_bias) {
    const GraphValue y = stack_.product(x, blocks(stack_.weight(prefix_ + "weight_ih"), {block}));
    return graph_.op("Add", {y, bias(of_bias)});
  }
  GraphValue bias(std::int64_t block) {
    return graph_.constant(
        blocks(stack_.weight(prefix_ + "bias_ih"), {block}).reshape(Shape{options_.hidden}));
  }

  /// h = relu(W·x + b + u ⊙ h₋).
  GraphValue indrnn(const GraphValue& x) {
    const GraphValue u = stack_.constant(prefix_ + "weight_hh");
    return loop({projected(x, 0, 0)},
                [&](Graph& g, const GraphValue& h, const std::vector<GraphValue>& parts) {
                  return g.op("Relu", {g.op("Add", {parts[0], g.op("Mul", {u, h})})});
                });
  }

  /// r = σ(Wᵣ·x + Uᵣ·h₋ + bᵣ), z = σ(W_z·x + b_z), n = tanh(U·(r ⊙ h₋) + tanh(x or W·x) + b),
  /// h = z ⊙ n + (1 - z) ⊙ h₋.
  GraphValue mut1(const GraphValue& x) {
    const bool projects = options_.input != options_.hidden;
    const GraphValue r = projected(x, 0, 0);
    const GraphValue z = graph_.op("Sigmoid", {projected(x, 1, 1)});
    const GraphValue own =
        projects ? stack_.product(x, blocks(stack_.weight(prefix_ + "weight_ih"), {2})) : x;
    const GraphValue u = graph_.op("Add", {graph_.op("Tanh", {own}), bias(2)});
    const auto recurrent = [&](std::int64_t block) {
      const Tensor w = blocks(stack_.weight(prefix_ + "weight_hh"), {block});
      return graph_.transpose(stack_.kept(w, w.shape(), 0), {1, 0});
    };
    const GraphValue for_reset = recurrent(0), for_candidate = recurrent(1);
    return loop({r, z, u},
                [&](Graph& g, const GraphValue& h, const std::vector<GraphValue>& parts) {
                  const GraphValue reset =
                      g.op("Sigmoid", {g.op("Add", {parts[0], g.op("MatMul", {h, for_reset})})});
                  const GraphValue seen = g.op("MatMul", {g.op("Mul", {reset, h}), for_candidate});
                  const GraphValue n = g.op("Tanh", {g.op("Add", {parts[2], seen})});
                  // z ⊙ n + (1 - z) ⊙ h
                  return g.op("Add", {h, g.op("Mul", {parts[1], g.op("Sub", {n, h})})});
                });
  }

  StackGraph& stack_;
  Graph& graph_;
  RecurrentOptions options_;
  std::string prefix_;
};

}  // namespace

GraphValue draw_recurrent(const RecurrentStackOptions& layers, StackGraph& stack,
                          const GraphValue& x) {
  GraphValue y = x;
  for (std::int64_t i = 0; i < layers.layers; ++i) {
    const RecurrentOptions layer = layer_options(layers, i);
    const std::string prefix = fmt::format("layers.{}.", i);
    const GraphValue input = stack.norm(y, layers.norm, layers.groups, prefix + "norm.");
    const GraphValue out = LayerGraph(stack, layer, prefix).draw(input);
    const bool adds = layers.residual && layer.input == layer.hidden;
    y = adds ? stack.graph().op("Add", {out, y}) : out;
  }
  return y;
}

}  // namespace sluice
