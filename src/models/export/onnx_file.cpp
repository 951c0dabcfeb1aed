// The messages of onnx.proto: https://github.com/onnx/onnx/blob/v1.12.0/onnx/onnx.proto

#include "onnx_file.hpp"

#include <fmt/format.h>

#include <memory>
#include <string_view>

#include "protobuf.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"

namespace sluice {
namespace {

/// What goes with the operators of opset 13, by onnx.proto's table of versions.
constexpr int ir_version = 7;
constexpr int opset = 13;
/// Readers of Protocol Buffers take no more.
constexpr std::size_t most_bytes = 0x7FFFFFFF;

/// TensorProto::DataType and AttributeProto::AttributeType.
enum DataType { float_data = 1, int8_data = 3, int64_data = 7 };
enum AttributeType {
  float_attribute = 1,
  int_attribute = 2,
  string_attribute = 3,
  graph_attribute = 5,
  ints_attribute = 7,
  strings_attribute = 8,
};

/// Weights that do not fit into their file.
struct Outside {
  std::unique_ptr<AtomicFile> file;
  std::string name;
  std::size_t size = 0;
};

ProtobufMessage pair_message(std::string_view key, std::string_view value) {
  ProtobufMessage pair;
  pair.text(1, key);
  pair.text(2, value);
  return pair;
}

void put_outside(ProtobufMessage& tensor, std::string_view bytes, Outside& outside) {
  // Places that a page of memory begins at can be mapped.
  constexpr std::size_t page = 4096;
  const std::size_t padding = (page - outside.size % page) % page;
  outside.file->write(std::string(padding, '\0'));
  outside.size += padding;
  tensor.message(13, pair_message("location", outside.name));
  tensor.message(13, pair_message("offset", std::to_string(outside.size)));
  tensor.message(13, pair_message("length", std::to_string(bytes.size())));
  constexpr int external = 1;
  tensor.integer(14, external);
  outside.file->write(bytes);
  outside.size += bytes.size();
}

/// TensorProto.
ProtobufMessage tensor_message(const GraphConstant& constant, Outside* outside) {
  ProtobufMessage out;
  const Tensor& tensor = constant.tensor;
  if (!tensor.defined()) {
    if (!constant.scalar) out.integer(1, static_cast<std::int64_t>(constant.integers.size()));
    out.integer(2, int64_data);
    out.text(8, constant.name);
    out.text(9, {reinterpret_cast<const char*>(constant.integers.data()),
                 constant.integers.size() * sizeof(std::int64_t)});
    return out;
  }
  for (int i = 0; i < tensor.shape().rank(); ++i) out.integer(1, tensor.dim(i));
  out.integer(2, tensor.dtype() == DType::i8 ? int8_data : float_data);
  out.text(8, constant.name);
  const std::string_view bytes(static_cast<const char*>(tensor.raw()), tensor.bytes());
  constexpr std::size_t small = 1024;
  if (outside != nullptr && bytes.size() >= small) {
    put_outside(out, bytes, *outside);
  } else {
    out.large(9, bytes);
  }
  return out;
}

/// ValueInfoProto.
ProtobufMessage port_message(const GraphPort& port) {
  ProtobufMessage shape, tensor, type, out;
  for (const GraphDim& dim : port.dims) {
    ProtobufMessage own;
    if (const auto* const size = std::get_if<std::int64_t>(&dim)) {
      own.integer(1, *size);
    } else {
      own.text(2, std::get<std::string>(dim));
    }
    shape.message(1, std::move(own));
  }
  tensor.integer(1, port.integers ? int64_data : float_data);
  tensor.message(2, std::move(shape));
  type.message(1, std::move(tensor));
  out.text(1, port.name);
  out.message(2, std::move(type));
  return out;
}

ProtobufMessage graph_message(const Graph& graph, const std::string& name, Outside* outside);

/// AttributeProto.
ProtobufMessage attribute_message(const GraphAttribute& attribute) {
  ProtobufMessage out;
  out.text(1, attribute.name);
  const auto& value = attribute.value;
  AttributeType type = graph_attribute;
  if (const auto* const number = std::get_if<float>(&value)) {
    type = float_attribute;
    out.number(2, *number);
  } else if (const auto* const integer = std::get_if<std::int64_t>(&value)) {
    type = int_attribute;
    out.integer(3, *integer);
  } else if (const auto* const text = std::get_if<std::string>(&value)) {
    type = string_attribute;
    out.text(4, *text);
  } else if (const auto* const integers = std::get_if<std::vector<std::int64_t>>(&value)) {
    type = ints_attribute;
    for (const std::int64_t each : *integers) out.integer(8, each);
  } else if (const auto* const texts = std::get_if<std::vector<std::string>>(&value)) {
    type = strings_attribute;
    for (const std::string& each : *texts) out.text(9, each);
  } else {
    out.message(
        6, graph_message(*std::get<std::shared_ptr<const Graph>>(value), attribute.name, nullptr));
  }
  out.integer(20, type);
  return out;
}

/// NodeProto.
ProtobufMessage node_message(const GraphNode& node) {
  ProtobufMessage out;
  for (const GraphValue& input : node.inputs) out.text(1, input);
  for (const GraphValue& output : node.outputs) out.text(2, output);
  out.text(3, node.outputs.front());
  out.text(4, node.type);
  for (const GraphAttribute& attribute : node.attributes) {
    out.message(5, attribute_message(attribute));
  }
  return out;
}

/// GraphProto.
ProtobufMessage graph_message(const Graph& graph, const std::string& name, Outside* outside) {
  ProtobufMessage out;
  for (const GraphNode& node : graph.nodes()) out.message(1, node_message(node));
  out.text(2, name);
  for (const GraphConstant& constant : graph.constants()) {
    out.message(5, tensor_message(constant, outside));
  }
  for (const GraphPort& port : graph.inputs()) out.message(11, port_message(port));
  for (const GraphPort& port : graph.outputs()) out.message(12, port_message(port));
  return out;
}

std::int64_t bytes_of(const Graph& graph) {
  std::size_t bytes = 0;
  for (const GraphConstant& constant : graph.constants()) {
    if (constant.tensor.defined()) bytes += constant.tensor.bytes();
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace

void write_onnx(const Graph& graph,
                const std::vector<std::pair<std::string, std::string>>& metadata,
                const std::filesystem::path& path, std::int64_t most_embedded) {
  Outside outside;
  if (bytes_of(graph) > most_embedded) {
    outside.name = path.filename().string() + ".weights";
    outside.file = std::make_unique<AtomicFile>(path.parent_path() / outside.name);
  }
  ProtobufMessage model, operators;
  model.integer(1, ir_version);
  model.text(2, "sluice");
  model.text(3, library_version());
  model.message(7, graph_message(graph, path.stem().string(), outside.file ? &outside : nullptr));
  operators.integer(2, opset);
  model.message(8, std::move(operators));
  for (const auto& [key, value] : metadata) model.message(14, pair_message(key, value));
  if (model.size() > most_bytes) {
    throw Error(fmt::format("cannot write '{}': it would have {} bytes, and readers take {}",
                            path.string(), model.size(), most_bytes));
  }
  AtomicFile file(path);
  model.write(file);
  if (outside.file) outside.file->commit();
  file.commit();
}

}  // namespace sluice
