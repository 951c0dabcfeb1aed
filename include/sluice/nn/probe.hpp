#pragma once
// Probes: what a forward pass shows of a model's insides to those who ask (lab/inspect.hpp).

#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

enum class ProbePoint : std::uint8_t {
  embedded,    ///< the token vectors that enter the stack, [B, T, D]
  projection,  ///< what a layer's unit reads, behind any norm: [R, unit.inputs(N)]
  unit,        ///< what the unit gives, [.., N]; of recurrent layers the hidden states
  gate,        ///< a gate of a recurrent cell, activated, [R, H]: constants
  output,      ///< what the layer hands on, residual and scale included, [.., N]
};

struct ProbePlace {
  ProbePoint point = ProbePoint::embedded;
  /// As its parameters' names begin: "layers.0", "blocks.0"; empty for `embedded`.
  std::string_view layer;
  /// The unit's name ("glu"), or the recurrent cell's ("lstm").
  std::string_view unit;
  /// Of `gate`: "input", "forget", "output", "reset" or "update".
  std::string_view gate;
};

/// Told of values as a forward pass makes them, in order. A probed pass computes what an unprobed
/// one does, up to rounding: to show projections it runs units apart from what they are fused with.
/// Told by the thread that runs the pass.
class Probe {
 public:
  virtual ~Probe() = default;
  /// Whether to see values of this kind. Those that nobody wants to see are not computed apart.
  virtual bool wants(ProbePoint point) const = 0;
  /// Shows `value`; the pass goes on with what is returned: `value`, observe(value, ..), or another
  /// of its shape. What is returned for a gate is not used.
  virtual Variable see(const ProbePlace& place, const Variable& value) = 0;
};

/// A probe at one layer. Without a probe it does nothing and allocates nothing.
struct LayerProbe {
  Probe* probe = nullptr;
  std::string layer;
  std::string unit;

  bool wants(ProbePoint point) const { return probe != nullptr && probe->wants(point); }
  /// `value`, or what the probe makes of it.
  Variable see(ProbePoint point, const Variable& value, std::string_view gate = {}) const {
    return wants(point) ? probe->see({point, layer, unit, gate}, value) : value;
  }
};

}  // namespace sluice
SLUICE_API_END
