#include "inspect/label_measures.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "inspect/layer_measures.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/lab/compare/statistics.hpp"

namespace sluice {
namespace {

/// Channels named of a gate, of those that a label changes most.
constexpr std::size_t most_channels = 3;

/// Means of each gate's channels over passes of so many positions in all, which see the same gates
/// in the same order.
class GateMeans final : public Probe {
 public:
  explicit GateMeans(std::int64_t positions) : positions_(positions) {}
  void begin_pass() { next_ = 0; }

  struct Gate {
    std::string layer, of;
    std::vector<double> mean;
  };

  bool wants(ProbePoint point) const override {
    return point == ProbePoint::projection || point == ProbePoint::gate;
  }
  Variable see(const ProbePlace& place, const Variable& value) override {
    if (place.point == ProbePoint::gate) {
      add(place, std::string(place.gate), value.value(), {});
    } else if (const auto gate = gate_of(parse_unit_spec(place.unit))) {
      add(place, gate->formula, value.value(), gate);
    }
    return value;
  }
  const std::vector<Gate>& gates() const { return gates_; }

 private:
  void add(const ProbePlace& place, const std::string& of, const Tensor& value,
           const std::optional<UnitGate>& gate) {
    const Tensor z = value.to(DType::f32);
    const std::int64_t rows = z.dim(0), columns = z.dim(1);
    const bool halves = gate && parse_unit_spec(place.unit).unit.gated;
    const auto count = static_cast<std::size_t>(halves ? columns / 2 : columns);
    if (next_ == gates_.size()) gates_.push_back({std::string(place.layer), of, {}});
    Gate& found = gates_[next_++];
    found.mean.resize(count);
    std::vector<float> x(count), y(count);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* const from =
          z.data<float>() + r * columns + (gate && gate->second ? columns / 2 : 0);
      std::copy_n(from, count, x.begin());
      y = x;
      if (gate) kernels::activation_forward(y.data(), x.data(), count, gate->activation);
      for (std::size_t i = 0; i < count; ++i) {
        constexpr float least = 1e-12F;
        const bool divided = gate && gate->divided;
        const float by = divided ? (std::abs(x[i]) < least ? least : x[i]) : 1;
        found.mean[i] += static_cast<double>(y[i] / by) / static_cast<double>(positions_);
      }
    }
  }

  std::int64_t positions_;
  std::vector<Gate> gates_;
  std::size_t next_ = 0;
};

/// The channels that change most in the direction of `sign`.
std::vector<GateChannel> changed(const std::vector<double>& from, const std::vector<double>& to,
                                 double sign) {
  std::vector<GateChannel> channels;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (sign * (to[i] - from[i]) > 0) {
      channels.push_back({static_cast<std::int64_t>(i), from[i], to[i]});
    }
  }
  std::stable_sort(channels.begin(), channels.end(), [](const auto& a, const auto& b) {
    return std::abs(a.to - a.from) > std::abs(b.to - b.from);
  });
  channels.resize(std::min(channels.size(), most_channels));
  return channels;
}

}  // namespace

std::int64_t label_passes(const ModelConfig& config) {
  if (config.labels.empty()) return 0;
  return 1 + std::min(static_cast<std::int64_t>(config.labels.size()), most_labels_inspected);
}

std::vector<LabelGates> label_gates(LanguageModel& model, const TokenShards& text,
                                    const DocumentEnds& documents, std::int64_t tokens,
                                    const std::function<void(std::int64_t)>& spend) {
  const std::int64_t time = std::min({tokens, text.size(), most_label_tokens});
  std::vector<TokenId> ids(static_cast<std::size_t>(time)), targets(ids.size());
  text.read_pairs(0, time, ids.data(), targets.data());
  const NoGrad guard;
  const auto gates_under = [&](std::int32_t label) {
    GateMeans means(time);
    ForwardOptions options{.conv = ConvPath::direct};
    options.probe = &means;
    options.labels = {.all = label};
    std::int64_t end = 0;
    for (std::int64_t begin = 0; begin < time; begin = end) {
      end = std::min(documents.end(documents.at(begin)), time);
      ModelState state;
      means.begin_pass();
      model.hidden(std::span(ids).subspan(static_cast<std::size_t>(begin),
                                          static_cast<std::size_t>(end - begin)),
                   1, end - begin, state, options);
    }
    spend(time);
    return means.gates();
  };
  const auto unknown = gates_under(0);
  std::vector<LabelGates> found;
  for (std::int64_t label = 1; label < label_passes(model.config()); ++label) {
    const auto gates = gates_under(static_cast<std::int32_t>(label));
    for (std::size_t i = 0; i < gates.size(); ++i) {
      const std::vector<double>& from = unknown[i].mean;
      const std::vector<double>& to = gates[i].mean;
      found.push_back({.label = model.config().labels[static_cast<std::size_t>(label - 1)],
                       .layer = gates[i].layer,
                       .gate = gates[i].of,
                       .mean = mean(to),
                       .unknown_mean = mean(from),
                       .opened = changed(from, to, 1),
                       .shut = changed(from, to, -1)});
    }
  }
  return found;
}

}  // namespace sluice
