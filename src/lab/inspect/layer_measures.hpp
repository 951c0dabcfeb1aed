#pragma once
// Measures of each layer during a pass over a text: gates, activations, gradients.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/kernels/units.hpp"
#include "sluice/lab/inspect/inspection.hpp"
#include "sluice/nn/probe.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {

/// Where a unit's factor within (0, 1) is computed from, for units that have one.
struct UnitGate {
  Activation activation = Activation::sigmoid;
  /// The factor is activation(x) itself, or activation(x) / x.
  bool divided = false;
  /// It reads the second half of the projection.
  bool second = false;
  /// "sigmoid(b)", "silu(a)/a".
  std::string formula;
};
std::optional<UnitGate> gate_of(const UnitSpec& unit);

/// The distribution of a gate's values.
class GateMeasure {
 public:
  void add(double value);
  GateOpenness openness(const std::string& of) const;

 private:
  std::array<std::int64_t, gate_bins> histogram_{};
  std::int64_t count_ = 0, saturated_ = 0;
  double sum_ = 0;
};

/// Accumulates measures over chunks that are run with a tape; see inspect_model(). Gradients are
/// those of the loss times gradient_scale.
class LayerMeasures final : public Probe {
 public:
  bool wants(ProbePoint) const override { return true; }
  Variable see(const ProbePlace& place, const Variable& value) override;

  /// Applies to the gradients that follow.
  double gradient_scale = 1;

  std::vector<LayerInspection> layers() const;
  /// ‖dL/dx‖ of the token vectors.
  double embedded_gradient() const;

 private:
  struct Layer {
    std::string name, unit;
    std::optional<UnitSpec> spec;  // none for recurrent cells
    std::optional<UnitGate> gate;
    GateMeasure openness;
    std::vector<std::pair<std::string, GateMeasure>> cell_gates;
    double sum = 0, squares = 0, values = 0;
    double zeros = 0;
    // By channel: whether its unit gave anything, whether it read anything above 0, and the squares
    // of the gradient in what it read (in the first half, where there are two).
    std::vector<std::uint8_t> active, positive;
    std::vector<double> d_channel;
    double da = 0, db = 0, d_unit = 0, d_output = 0;  // squares of gradients
    LayerInspection inspection() const;
    LayerGradient gradient() const;
    double lost_share() const;
  };

  Layer& at(const ProbePlace& place);
  static void add_gate(GateMeasure& measure, const Tensor& z, const UnitGate& gate, bool halves);
  static void add_activation(Layer& layer, const Tensor& y);
  static void add_positive(Layer& layer, const Tensor& z, std::int64_t channels);

  std::vector<std::unique_ptr<Layer>> layers_;
  double embedded_ = 0;
};

}  // namespace sluice
