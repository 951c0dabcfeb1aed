#include "sluice/models/graph.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice {
namespace {

// Numbers of onnx::TensorProto::DataType.
constexpr std::int64_t float_type = 1;
constexpr std::int64_t integer_type = 7;

}  // namespace

GraphValue Graph::fresh() { return names_ + std::to_string(made_++); }

std::vector<GraphValue> Graph::ops(std::string_view type, std::vector<GraphValue> inputs,
                                   std::size_t outputs, GraphAttributes attributes) {
  std::vector<GraphValue> made;
  for (std::size_t i = 0; i < outputs; ++i) made.push_back(fresh());
  nodes_.push_back({std::string(type), std::move(inputs), made, std::move(attributes)});
  return made;
}

GraphValue Graph::op(std::string_view type, std::vector<GraphValue> inputs,
                     GraphAttributes attributes) {
  return ops(type, std::move(inputs), 1, std::move(attributes)).front();
}

void Graph::named_op(const GraphValue& output, std::string_view type,
                     std::vector<GraphValue> inputs, GraphAttributes attributes) {
  nodes_.push_back({std::string(type), std::move(inputs), {output}, std::move(attributes)});
}

GraphValue Graph::constant(const Tensor& tensor) {
  constants_.push_back({.name = fresh(), .tensor = tensor});
  return constants_.back().name;
}

GraphValue Graph::number(double value) {
  const auto rounded = static_cast<float>(value);
  return constant(Tensor::of(Shape{1}, std::span<const float>(&rounded, 1)));
}

GraphValue Graph::integers(std::vector<std::int64_t> values) {
  constants_.push_back({.name = fresh(), .tensor = {}, .integers = std::move(values)});
  return constants_.back().name;
}

GraphValue Graph::integer(std::int64_t value) {
  GraphValue name = integers({value});
  constants_.back().scalar = true;
  return name;
}

GraphValue Graph::slice(const GraphValue& x, std::int64_t axis, std::int64_t begin,
                        std::int64_t end) {
  return op("Slice", {x, integers({begin}), integers({end}), integers({axis})});
}

GraphValue Graph::slice_from(const GraphValue& x, std::int64_t axis, std::int64_t begin) {
  return slice(x, axis, begin, std::numeric_limits<std::int64_t>::max());
}

std::vector<GraphValue> Graph::split(const GraphValue& x, std::size_t parts, std::int64_t size) {
  return ops("Split", {x, integers(std::vector<std::int64_t>(parts, size))}, parts,
             {{"axis", std::int64_t{-1}}});
}

GraphValue Graph::concat(std::vector<GraphValue> values, std::int64_t axis) {
  if (values.size() == 1) return values.front();
  return op("Concat", std::move(values), {{"axis", axis}});
}

GraphValue Graph::reshape(const GraphValue& x, std::vector<std::int64_t> dims) {
  return op("Reshape", {x, integers(std::move(dims))});
}

GraphValue Graph::transpose(const GraphValue& x, std::vector<std::int64_t> order) {
  return op("Transpose", {x}, {{"perm", std::move(order)}});
}

GraphValue Graph::squeeze(const GraphValue& x, std::int64_t axis) {
  return op("Squeeze", {x, integers({axis})});
}

GraphValue Graph::unsqueeze(const GraphValue& x, std::int64_t axis) {
  return op("Unsqueeze", {x, integers({axis})});
}

GraphValue Graph::size_of(const GraphValue& x, std::int64_t dim) {
  return op("Gather", {op("Shape", {x}), integers({dim})});
}

GraphValue Graph::scalar_size_of(const GraphValue& x, std::int64_t dim) {
  return op("Gather", {op("Shape", {x}), integer(dim)});
}

GraphValue Graph::to_float(const GraphValue& x) { return op("Cast", {x}, {{"to", float_type}}); }

GraphValue Graph::to_integers(const GraphValue& x) {
  return op("Cast", {x}, {{"to", integer_type}});
}

void Graph::to_front(std::size_t first) {
  std::rotate(nodes_.begin(), nodes_.begin() + static_cast<std::ptrdiff_t>(first), nodes_.end());
}

}  // namespace sluice
