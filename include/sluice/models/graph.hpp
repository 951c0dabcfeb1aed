#pragma once
// Models as graphs of ONNX operators (opset 13), in memory: what an architecture draws itself with
// for runtimes of others. https://github.com/onnx/onnx/blob/v1.12.0/docs/Operators.md

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/one_of.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/nn/module.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

class Graph;

/// The name of a value of a graph.
using GraphValue = std::string;

/// What an operator is given besides values.
struct GraphAttribute {
  std::string name;
  OneOf<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<std::string>,
        std::shared_ptr<const Graph>>
      value;
};
using GraphAttributes = std::vector<GraphAttribute>;

/// One operator at work. An empty input is one that is left out.
struct GraphNode {
  std::string type;
  std::vector<GraphValue> inputs, outputs;
  GraphAttributes attributes;
};

/// A constant: a tensor of float32 or int8, or whole numbers (a vector, or one by itself).
struct GraphConstant {
  GraphValue name;
  Tensor tensor;
  std::vector<std::int64_t> integers = {};
  bool scalar = false;
};

/// The size of a dimension, or the name of one that callers choose.
using GraphDim = OneOf<std::int64_t, std::string>;

/// What enters or leaves a graph: float32, or int64.
struct GraphPort {
  GraphValue name;
  bool integers = false;
  std::vector<GraphDim> dims;
};

/// Nodes in the order in which they are computed, constants, what enters and what leaves. One
/// thread at a time.
class Graph {
 public:
  /// `names` goes in front of the names of values: those of a graph within another must differ from
  /// the outer's, whose values it may use.
  explicit Graph(std::string names = "v") : names_(std::move(names)) {}

  /// Adds a node and returns its output.
  GraphValue op(std::string_view type, std::vector<GraphValue> inputs,
                GraphAttributes attributes = {});
  /// The same of a node with several outputs.
  std::vector<GraphValue> ops(std::string_view type, std::vector<GraphValue> inputs,
                              std::size_t outputs, GraphAttributes attributes = {});
  /// A node whose output has this name.
  void named_op(const GraphValue& output, std::string_view type, std::vector<GraphValue> inputs,
                GraphAttributes attributes = {});

  GraphValue constant(const Tensor& tensor);
  /// One number, [1].
  GraphValue number(double value);
  GraphValue integers(std::vector<std::int64_t> values);
  /// A whole number without dimensions.
  GraphValue integer(std::int64_t value);

  /// x[.., begin:end, ..] along an axis; negative places count from the end.
  GraphValue slice(const GraphValue& x, std::int64_t axis, std::int64_t begin, std::int64_t end);
  /// The last places of an axis from `begin` (negative) on.
  GraphValue slice_from(const GraphValue& x, std::int64_t axis, std::int64_t begin);
  /// x in equal parts along its last axis, each `size` wide.
  std::vector<GraphValue> split(const GraphValue& x, std::size_t parts, std::int64_t size);
  GraphValue concat(std::vector<GraphValue> values, std::int64_t axis);
  /// Sizes of 0 are those that x has at that place, one of -1 is what is left.
  GraphValue reshape(const GraphValue& x, std::vector<std::int64_t> dims);
  GraphValue transpose(const GraphValue& x, std::vector<std::int64_t> order);
  GraphValue squeeze(const GraphValue& x, std::int64_t axis);
  GraphValue unsqueeze(const GraphValue& x, std::int64_t axis);
  /// The size of a dimension of x, int64, [1], or without dimensions.
  GraphValue size_of(const GraphValue& x, std::int64_t dim);
  GraphValue scalar_size_of(const GraphValue& x, std::int64_t dim);
  /// x as float32, or as int64.
  GraphValue to_float(const GraphValue& x);
  GraphValue to_integers(const GraphValue& x);

  void add_input(GraphPort port) { inputs_.push_back(std::move(port)); }
  void add_output(GraphPort port) { outputs_.push_back(std::move(port)); }
  /// Moves the nodes from the `first`-th on in front of the others.
  void to_front(std::size_t first);

  const std::vector<GraphNode>& nodes() const { return nodes_; }
  const std::vector<GraphConstant>& constants() const { return constants_; }
  const std::vector<GraphPort>& inputs() const { return inputs_; }
  const std::vector<GraphPort>& outputs() const { return outputs_; }

 private:
  GraphValue fresh();

  std::string names_;
  std::int64_t made_ = 0;
  std::vector<GraphNode> nodes_;
  std::vector<GraphConstant> constants_;
  std::vector<GraphPort> inputs_, outputs_;
};

/// An activation (of `unit`, which is no gate) of each element of x. Throws Error for one that no
/// graph holds.
GraphValue draw_activation(Graph& graph, const Unit& unit, const GraphValue& x);

/// Rows of a matrix that tokens pick, and that products may read, too: [V, D], of int8 with a scale
/// for each row (and a zero) where there is one.
struct GraphTable {
  GraphValue rows, scales = {}, zeros = {};
};

/// What a stack of layers is drawn with: a graph of float32 values [B, T, C], the weights of a
/// model, and the state that goes from one part of a text to the next. One thread at a time.
class StackGraph {
 public:
  /// What is carried for each text, [B, dims]: zeros at the start of a text.
  struct State {
    std::vector<std::int64_t> dims;
    GraphValue before, after;
  };

  /// `streaming`: states are what the caller gives; else texts start here. `int8`: weights of
  /// products are int8 with a scale for each output, and what they multiply is rounded to 8 bits on
  /// the way (QDQ).
  StackGraph(const Parameters& parameters, bool streaming, bool int8);

  Graph& graph() { return graph_; }
  bool streaming() const { return streaming_; }

  bool has(const std::string& name) const { return weights_.contains(name); }
  /// The model's tensor of that name in its file's layout. Throws Error when there is none.
  Tensor weight(const std::string& name) const;
  /// PREFIXweight [N, .., K], or PREFIXweight_g and PREFIXweight_v multiplied out (weight
  /// normalisation over all dimensions but the first).
  Tensor normalised_weight(const std::string& prefix) const;
  /// weight(name) as a constant.
  GraphValue constant(const std::string& name) { return graph_.constant(weight(name)); }

  /// x·Wᵀ for x [.., K] and a constant W [N, K].
  GraphValue product(const GraphValue& x, const Tensor& w);
  /// x·Wᵀ of a table's rows.
  GraphValue product(const GraphValue& x, const GraphTable& table);
  /// x·Wᵀ + b, W normalised_weight(prefix) [N, K], b PREFIXbias where there is one.
  GraphValue linear(const GraphValue& x, const std::string& prefix);
  /// A constant of these elements, of int8 if weights are, with a scale for each of the N leading
  /// rows: w [N, K] laid out as `shape`, whose dimension `axis` is N.
  GraphValue kept(const Tensor& w, const Shape& shape, std::int64_t axis);
  GraphTable table(const Tensor& w);
  /// Rows of a table, [B, T, D] for ids [B, T].
  GraphValue pick(const GraphTable& table, const GraphValue& ids);

  /// A norm by its name in a model's configuration, of each position's channels of x.
  GraphValue norm(const GraphValue& x, std::string_view name, std::int64_t groups,
                  const std::string& prefix);
  /// A unit by its name, of x [.., inputs] to [.., channels]. Throws Error for one that no graph
  /// holds.
  GraphValue unit(const GraphValue& x, std::string_view spec, std::int64_t channels,
                  const std::string& prefix);

  /// What is carried from before, [B, dims].
  GraphValue state(const std::vector<std::int64_t>& dims);
  /// What that state is from here on. States are given in the order in which they were asked for.
  void carry(const GraphValue& after);
  const std::vector<State>& states() const { return states_; }

  /// The value [B, T] that sizes are asked of.
  void set_tokens(GraphValue tokens) { tokens_ = std::move(tokens); }
  const GraphValue& tokens() const { return tokens_; }

 private:
  GraphValue rounded(const GraphValue& x);
  GraphValue multiply(const GraphValue& x, const GraphValue& w);
  GraphValue dequantized(const Tensor& rows, const Tensor& scales, std::int64_t axis);

  Graph graph_;
  std::map<std::string, const Parameter*> weights_;
  bool streaming_, int8_;
  GraphValue tokens_;
  std::vector<State> states_;
  std::size_t carried_ = 0;
  std::map<GraphValue, GraphValue> rounded_;
};

}  // namespace sluice
SLUICE_API_END
