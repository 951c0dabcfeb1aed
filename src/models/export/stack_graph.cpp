// Weights, products and state of a stack's graph.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "sluice/base/error.hpp"
#include "sluice/models/graph.hpp"

namespace sluice {
namespace {

/// w [N, K] as [K, N].
template <class T>
Tensor transposed(const Tensor& w) {
  const std::int64_t n = w.dim(0), k = w.dim(1);
  Tensor out(Shape{k, n}, w.dtype());
  const T* const from = w.data<T>();
  T* const to = out.data<T>();
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < k; ++j) to[j * n + i] = from[i * k + j];
  }
  return out;
}

/// A matrix rounded to int8, and what its rows are to be multiplied by.
struct RoundedRows {
  Tensor rows;    // int8 [N, K]
  Tensor scales;  // [N]
};

/// To the nearest of -127..127 times a scale for each row, its greatest magnitude / 127.
RoundedRows round_rows(const Tensor& w) {
  constexpr float most = 127;
  const std::int64_t n = w.dim(0), k = w.elements() / std::max<std::int64_t>(n, 1);
  RoundedRows out{Tensor(Shape{n, k}, DType::i8), Tensor(Shape{n})};
  for (std::int64_t i = 0; i < n; ++i) {
    const std::span<const float> row(w.data<float>() + i * k, static_cast<std::size_t>(k));
    float greatest = 0;
    for (const float value : row) greatest = std::max(greatest, std::abs(value));
    const float scale = greatest > 0 ? greatest / most : 1.0F;
    out.scales.data<float>()[i] = scale;
    std::int8_t* const to = out.rows.data<std::int8_t>() + i * k;
    for (std::size_t j = 0; j < row.size(); ++j) {
      to[j] = static_cast<std::int8_t>(std::clamp(std::nearbyint(row[j] / scale), -most, most));
    }
  }
  return out;
}

}  // namespace

GraphValue StackGraph::dequantized(const Tensor& rows, const Tensor& scales, std::int64_t axis) {
  return graph_.op("DequantizeLinear",
                   {graph_.constant(rows), graph_.constant(scales),
                    graph_.constant(Tensor::zeros(scales.shape(), DType::i8))},
                   {{"axis", axis}});
}

StackGraph::StackGraph(const Parameters& parameters, bool streaming, bool int8)
    : streaming_(streaming), int8_(int8) {
  for (const Parameter& parameter : parameters) weights_[parameter.name] = &parameter;
}

Tensor StackGraph::weight(const std::string& name) const {
  const auto found = weights_.find(name);
  if (found == weights_.end()) throw Error(fmt::format("the model has no tensor '{}'", name));
  return found->second->in_file(found->second->variable.value());
}

Tensor StackGraph::normalised_weight(const std::string& prefix) const {
  if (!has(prefix + "weight_v")) return weight(prefix + "weight");
  const Tensor v = weight(prefix + "weight_v"), g = weight(prefix + "weight_g");
  Tensor w(v.shape());
  const std::int64_t rows = v.dim(0), size = v.elements() / rows;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::span<const float> row(v.data<float>() + r * size, static_cast<std::size_t>(size));
    double squares = 0;
    for (const float value : row)
      squares += static_cast<double>(value) * static_cast<double>(value);
    const double gain = static_cast<double>(g.data<float>()[r]) / std::sqrt(squares);
    std::transform(row.begin(), row.end(), w.data<float>() + r * size, [gain](float value) {
      return static_cast<float>(static_cast<double>(value) * gain);
    });
  }
  return w;
}

/// The same value rounded to 8 bits with one scale for all of it, once however often it is asked
/// for.
GraphValue StackGraph::rounded(const GraphValue& x) {
  GraphValue& value = rounded_[x];
  if (value.empty()) {
    value = graph_.op("DequantizeLinear", graph_.ops("DynamicQuantizeLinear", {x}, 3));
  }
  return value;
}

GraphValue StackGraph::multiply(const GraphValue& x, const GraphValue& w) {
  return graph_.op("MatMul", {int8_ ? rounded(x) : x, w});
}

GraphValue StackGraph::kept(const Tensor& w, const Shape& shape, std::int64_t axis) {
  if (!int8_) return graph_.constant(w.reshape(shape));
  const RoundedRows rounded = round_rows(w);
  return dequantized(rounded.rows.reshape(shape), rounded.scales, axis);
}

GraphValue StackGraph::product(const GraphValue& x, const Tensor& w) {
  if (!int8_) return multiply(x, graph_.constant(transposed<float>(w)));
  const RoundedRows rounded = round_rows(w);
  return multiply(x, dequantized(transposed<std::int8_t>(rounded.rows), rounded.scales, 1));
}

GraphValue StackGraph::product(const GraphValue& x, const GraphTable& table) {
  GraphValue w = graph_.transpose(table.rows, {1, 0});
  if (!table.scales.empty()) {
    w = graph_.op("DequantizeLinear", {w, table.scales, table.zeros}, {{"axis", std::int64_t{1}}});
  }
  return multiply(x, w);
}

GraphValue StackGraph::linear(const GraphValue& x, const std::string& prefix) {
  const GraphValue y = product(x, normalised_weight(prefix));
  return has(prefix + "bias") ? graph_.op("Add", {y, constant(prefix + "bias")}) : y;
}

GraphTable StackGraph::table(const Tensor& w) {
  if (!int8_) return {graph_.constant(w)};
  const RoundedRows rounded = round_rows(w);
  return {graph_.constant(rounded.rows), graph_.constant(rounded.scales),
          graph_.constant(Tensor::zeros(rounded.scales.shape(), DType::i8))};
}

GraphValue StackGraph::pick(const GraphTable& table, const GraphValue& ids) {
  GraphValue rows = graph_.op("Gather", {table.rows, ids});
  if (table.scales.empty()) return rows;
  const GraphValue scales = graph_.unsqueeze(graph_.op("Gather", {table.scales, ids}), -1);
  return graph_.op("Mul", {graph_.to_float(rows), scales});
}

GraphValue StackGraph::state(const std::vector<std::int64_t>& dims) {
  State state{.dims = dims, .before = fmt::format("state.{}", states_.size()), .after = {}};
  if (!streaming_) {
    std::vector<GraphValue> shape{graph_.size_of(tokens_, 0), graph_.integers(dims)};
    state.before = graph_.op("ConstantOfShape", {graph_.concat(std::move(shape), 0)});
  }
  states_.push_back(std::move(state));
  return states_.back().before;
}

void StackGraph::carry(const GraphValue& after) { states_.at(carried_++).after = after; }

}  // namespace sluice
