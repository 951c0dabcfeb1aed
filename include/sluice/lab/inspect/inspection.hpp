#pragma once
// What an inspection found: inspect.json as structs (docs/formats.md states every field).
//
// A measure that does not exist (the gate share of a unit without a gate) or that is not finite is
// NaN; inspect.json has null for both.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// inspect.json's format version that this library writes, and the newest it reads.
inline constexpr std::int64_t inspect_format_version = 2;

inline constexpr double no_measure = std::numeric_limits<double>::quiet_NaN();

/// Bins of a gate's histogram.
inline constexpr std::size_t gate_bins = 20;

/// The distribution of a gate's values.
struct GateOpenness {
  /// The gate's formula, or its name in a recurrent cell.
  std::string of;
  double mean = no_measure;
  /// Share of the values below 0.05 or above 0.95.
  double saturated_share = no_measure;
  /// Shares in 20 bins of equal width from 0 to 1.
  std::vector<double> histogram;
};

struct ActivationMoments {
  double mean = no_measure, variance = no_measure;
};

/// The gradient at a layer, and how it divides between the halves of a gated unit.
struct LayerGradient {
  double norm = no_measure;
  double linear_share = no_measure, gate_share = no_measure;
  double linear_gain = no_measure, gate_gain = no_measure;
  /// Share of the unit's channels whose gradient is below a thousandth of their mean.
  double lost_share = no_measure;
};

struct LayerInspection {
  std::string name, unit;
  std::optional<GateOpenness> gate;
  ActivationMoments activation;
  double dead_share = no_measure;
  /// Shares of channels whose unit reads nothing above 0, and of values that are 0.
  double negative_share = no_measure, zero_share = no_measure;
  LayerGradient gradient;
  /// All gates of a recurrent cell; empty for other layers.
  std::vector<GateOpenness> gates;
};

/// A channel of a gate, and its mean under the unknown label and under another.
struct GateChannel {
  std::int64_t channel = 0;
  double from = no_measure, to = no_measure;
};

/// What a label opens and shuts in a gate of a layer, against the unknown label.
struct LabelGates {
  std::string label, layer;
  /// The gate's formula, or its name in a recurrent cell.
  std::string gate;
  double mean = no_measure, unknown_mean = no_measure;
  /// Of each at most three channels, those that change most first.
  std::vector<GateChannel> opened, shut;
};

/// Gradient norms over lags: k and norm have the same length.
struct LagGradients {
  std::vector<std::int64_t> k;
  std::vector<double> norm;
  std::int64_t positions = 0;
};

/// Losses over context lengths: the three lists have the same length.
struct ContextLosses {
  std::vector<std::int64_t> tokens;
  std::vector<double> loss, perplexity;
  std::int64_t positions = 0;
};

struct TokenSurprisal {
  std::string text;
  double nats = no_measure;
};

struct EmbeddedGradient {
  /// Of all token vectors together.
  double norm = no_measure;
};

struct EmbeddedInspection {
  EmbeddedGradient gradient;
};

struct InspectedModel {
  std::string summary;
  std::int64_t parameters = 0;
  /// None: all that came before.
  std::optional<std::int64_t> receptive_field;
  /// As config.json's "model".
  Value config;
};

struct InspectedText {
  std::string file;
  std::int64_t tokens = 0;
};

struct Inspection {
  std::int64_t format_version = inspect_format_version;
  std::string version, date;
  InspectedModel model;
  InspectedText text;
  std::int64_t probed_tokens = 0;
  double loss = no_measure;
  /// What was not measured is absent.
  std::optional<std::vector<LayerInspection>> layers;
  std::optional<EmbeddedInspection> embedded;
  std::optional<LagGradients> lags;
  std::optional<ContextLosses> context;
  /// Of a conditional model; all other measures are under the unknown label.
  std::vector<LabelGates> labels;
  std::vector<TokenSurprisal> surprisal;
};

/// The sections `layers`, `lags` and `context` as values, for those who keep one of them by itself,
/// and back. Reading throws as parse_inspection() does.
Value layers_value(const std::vector<LayerInspection>& layers);
Value lags_value(const LagGradients& lags);
Value context_value(const ContextLosses& context);
std::vector<LayerInspection> layers_from(const Value& value, const FieldPlace& place);
LagGradients lags_from(const Value& value, const FieldPlace& place);
ContextLosses context_from(const Value& value, const FieldPlace& place);

/// The text of inspect.json.
std::string inspection_json(const Inspection& inspection);

/// Reads such a text; `name` is what messages call it. Throws Error naming the field that is
/// missing, unknown or of the wrong type, or lists whose lengths differ; and for a newer format.
Inspection parse_inspection(std::string_view text, const std::string& name);

}  // namespace sluice
SLUICE_API_END
