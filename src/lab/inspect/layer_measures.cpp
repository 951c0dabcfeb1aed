#include "inspect/layer_measures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sluice/autograd/detail/observe.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/fused_units.hpp"

namespace sluice {
namespace {

constexpr double nearly_closed = 0.05;
constexpr double nearly_open = 0.95;

bool self_gated(Activation f) {
  switch (f) {
    case Activation::silu:
    case Activation::gelu:
    case Activation::gelu_tanh:
    case Activation::hardswish:
    case Activation::mish:
      return true;
    default:
      return false;
  }
}

std::optional<UnitGate> gate_in(Activation f, bool second, char argument) {
  if (f == Activation::sigmoid || f == Activation::hardsigmoid) {
    return UnitGate{f, false, second, fmt::format("{}({})", activation_name(f), argument)};
  }
  if (!self_gated(f)) return {};
  return UnitGate{f, true, second,
                  fmt::format("{}({})/{}", activation_name(f), argument, argument)};
}

/// Σ x² over columns [first, first + count) of rows of `columns`.
double squares_of(const Tensor& x, std::int64_t columns, std::int64_t first, std::int64_t count) {
  const std::int64_t rows = x.elements() / columns;
  return dispatch_float(x.dtype(), [&](auto zero) {
    const auto* row = x.data<decltype(zero)>() + first;
    double sum = 0;
    for (std::int64_t r = 0; r < rows; ++r, row += columns) {
      sum += kernels::sum_of_squares(row, static_cast<std::size_t>(count));
    }
    return sum;
  });
}

double squares_of(const Tensor& x) { return squares_of(x, x.elements(), 0, x.elements()); }

/// Adds the squares of each of the first columns of x to `sums`, times `scale`.
void add_column_squares(std::vector<double>& sums, const Tensor& x, std::int64_t columns,
                        double scale) {
  const std::int64_t rows = x.elements() / columns;
  dispatch_float(x.dtype(), [&](auto zero) {
    const auto* row = x.data<decltype(zero)>();
    for (std::int64_t r = 0; r < rows; ++r, row += columns) {
      for (std::size_t c = 0; c < sums.size(); ++c) {
        const auto value = static_cast<double>(row[c]);
        sums[c] += scale * value * value;
      }
    }
  });
}

/// Channels with less of the layer's mean gradient than this learn nothing.
constexpr double lost_gradient = 1e-3;

/// NaN where the whole is 0.
double share(double part, double whole) { return whole > 0 ? part / whole : no_measure; }

}  // namespace

std::optional<UnitGate> gate_of(const UnitSpec& unit) {
  if (!unit.fused()) return {};
  if (!unit.unit.gated) return gate_in(unit.unit.f, false, 'x');
  if (auto second = gate_in(unit.unit.g, true, 'b')) return second;
  return gate_in(unit.unit.f, false, 'a');
}

void GateMeasure::add(double value) {
  // NaN counts as open; it must not become an index.
  const bool inside = value > 0 && value < 1;
  const auto bin = inside ? static_cast<std::size_t>(value * static_cast<double>(gate_bins))
                          : (value <= 0 ? 0 : gate_bins - 1);
  ++histogram_[std::min(bin, gate_bins - 1)];
  ++count_;
  sum_ += value;
  if (value < nearly_closed || value > nearly_open) ++saturated_;
}

GateOpenness GateMeasure::openness(const std::string& of) const {
  const auto count = static_cast<double>(count_);
  GateOpenness gate{.of = of,
                    .mean = sum_ / count,
                    .saturated_share = static_cast<double>(saturated_) / count,
                    .histogram = {}};
  for (const std::int64_t n : histogram_) gate.histogram.push_back(static_cast<double>(n) / count);
  return gate;
}

LayerMeasures::Layer& LayerMeasures::at(const ProbePlace& place) {
  for (const auto& layer : layers_) {
    if (layer->name == place.layer) return *layer;
  }
  auto layer = std::make_unique<Layer>();
  layer->name = place.layer;
  layer->unit = place.unit;
  layers_.push_back(std::move(layer));
  return *layers_.back();
}

void LayerMeasures::add_gate(GateMeasure& measure, const Tensor& z, const UnitGate& gate,
                             bool halves) {
  const std::int64_t rows = z.dim(0), columns = z.dim(1);
  const auto count = static_cast<std::size_t>(halves ? columns / 2 : columns);
  dispatch_float(z.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> x(count);
    std::vector<T> y(count);
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* from = z.data<T>() + r * columns + (gate.second ? columns / 2 : 0);
      std::copy_n(from, count, x.begin());
      if (gate.divided) {
        // The gate is continuous, so its value at 0 is that next to 0.
        constexpr T least = T(1e-12);
        for (T& value : x) value = std::abs(value) < least ? least : value;
      }
      kernels::activation_forward(y.data(), x.data(), count, gate.activation);
      for (std::size_t i = 0; i < count; ++i) {
        measure.add(static_cast<double>(gate.divided ? y[i] / x[i] : y[i]));
      }
    }
  });
}

void LayerMeasures::add_activation(Layer& layer, const Tensor& y) {
  const std::int64_t channels = y.dim(-1), rows = y.elements() / channels;
  layer.active.resize(static_cast<std::size_t>(channels));
  const bool rectifies = layer.spec && layer.spec->fused() && !layer.spec->unit.gated &&
                         self_gated(layer.spec->unit.f);
  dispatch_float(y.dtype(), [&](auto zero) {
    const auto* row = y.data<decltype(zero)>();
    for (std::int64_t r = 0; r < rows; ++r, row += channels) {
      for (std::size_t c = 0; c < layer.active.size(); ++c) {
        const auto value = static_cast<double>(row[c]);
        layer.sum += value;
        layer.squares += value * value;
        if (value == 0) layer.zeros += 1;
        if (rectifies ? value > 0 : value != 0) layer.active[c] = 1;
      }
    }
  });
  layer.values += static_cast<double>(y.elements());
}

void LayerMeasures::add_positive(Layer& layer, const Tensor& z, std::int64_t channels) {
  const std::int64_t columns = z.dim(-1), rows = z.elements() / columns;
  layer.positive.resize(static_cast<std::size_t>(channels));
  dispatch_float(z.dtype(), [&](auto zero) {
    const auto* row = z.data<decltype(zero)>();
    for (std::int64_t r = 0; r < rows; ++r, row += columns) {
      for (std::size_t c = 0; c < layer.positive.size(); ++c) {
        if (row[c] > 0) layer.positive[c] = 1;
      }
    }
  });
}

Variable LayerMeasures::see(const ProbePlace& place, const Variable& value) {
  const auto add_squares = [this, scale = gradient_scale](double& to) {
    return [&to, scale](const Tensor& dy) { to += scale * scale * squares_of(dy); };
  };
  if (place.point == ProbePoint::embedded) return observe(value, add_squares(embedded_));
  Layer& layer = at(place);
  switch (place.point) {
    case ProbePoint::projection: {
      if (!layer.spec) {
        layer.spec = parse_unit_spec(place.unit);
        layer.gate = gate_of(*layer.spec);
      }
      const bool halves = layer.spec->fused() && layer.spec->unit.gated;
      if (layer.gate) add_gate(layer.openness, value.value(), *layer.gate, halves);
      const std::int64_t columns = value.shape()[-1], n = halves ? columns / 2 : columns;
      add_positive(layer, value.value(), n);
      layer.d_channel.resize(static_cast<std::size_t>(n));
      return observe(value, [&layer, columns, n, scale = gradient_scale](const Tensor& dz) {
        add_column_squares(layer.d_channel, dz, columns, scale * scale);
        layer.da += scale * scale * squares_of(dz, columns, 0, n);
        if (n < columns) layer.db += scale * scale * squares_of(dz, columns, n, n);
      });
    }
    case ProbePoint::unit:
      add_activation(layer, value.value());
      return observe(value, add_squares(layer.d_unit));
    case ProbePoint::gate: {
      auto found = std::find_if(layer.cell_gates.begin(), layer.cell_gates.end(),
                                [&](const auto& gate) { return gate.first == place.gate; });
      if (found == layer.cell_gates.end()) {
        layer.cell_gates.emplace_back(place.gate, GateMeasure());
        found = layer.cell_gates.end() - 1;
      }
      dispatch_float(value.dtype(), [&](auto zero) {
        for (const auto each : value.value().span<decltype(zero)>()) {
          found->second.add(static_cast<double>(each));
        }
      });
      return value;
    }
    default:
      return observe(value, add_squares(layer.d_output));
  }
}

LayerGradient LayerMeasures::Layer::gradient() const {
  const bool halves = spec && spec->fused() && spec->unit.gated;
  const auto gain = [&](double path) { return share(std::sqrt(path), std::sqrt(d_unit)); };
  return {.norm = std::sqrt(d_output),
          .linear_share = halves ? share(da, da + db) : no_measure,
          .gate_share = halves ? share(db, da + db) : no_measure,
          .linear_gain = spec ? gain(da) : no_measure,
          .gate_gain = halves ? gain(db) : no_measure,
          .lost_share = lost_share()};
}

double LayerMeasures::Layer::lost_share() const {
  if (d_channel.empty()) return no_measure;
  double norms = 0;
  for (const double squares_of_one : d_channel) norms += std::sqrt(squares_of_one);
  const double least = lost_gradient * norms / static_cast<double>(d_channel.size());
  // Where no gradient arrives at all, all of it is lost.
  const auto lost = std::count_if(d_channel.begin(), d_channel.end(), [&](double squares_of_one) {
    return squares_of_one == 0 || std::sqrt(squares_of_one) < least;
  });
  return static_cast<double>(lost) / static_cast<double>(d_channel.size());
}

LayerInspection LayerMeasures::Layer::inspection() const {
  const double mean = sum / values;
  const auto dead = std::count(active.begin(), active.end(), 0);
  LayerInspection layer{
      .name = name,
      .unit = unit,
      .gate = {},
      .activation = {.mean = mean, .variance = std::max(squares / values - mean * mean, 0.0)},
      .dead_share = static_cast<double>(dead) / static_cast<double>(active.size()),
      .negative_share = positive.empty()
                            ? no_measure
                            : static_cast<double>(std::count(positive.begin(), positive.end(), 0)) /
                                  static_cast<double>(positive.size()),
      .zero_share = zeros / values,
      .gradient = gradient(),
      .gates = {}};
  if (gate) layer.gate = openness.openness(gate->formula);
  for (const auto& [of, measure] : cell_gates) {
    layer.gates.push_back(measure.openness(of));
    // The gate that keeps, or replaces, what the cell remembers.
    if (of == "forget" || of == "update") layer.gate = layer.gates.back();
  }
  return layer;
}

std::vector<LayerInspection> LayerMeasures::layers() const {
  std::vector<LayerInspection> all;
  for (const auto& layer : layers_) all.push_back(layer->inspection());
  return all;
}

double LayerMeasures::embedded_gradient() const { return std::sqrt(embedded_); }

}  // namespace sluice
