#pragma once
// Fair sizes: models of different units, norms or architectures brought to the same number of
// parameters or of floating-point operations. Which widths a model has, its architecture says
// (Architecture::widths).

#include <cstdint>
#include <string>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/models/config.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What is made equal: nothing (the widths are those asked for), ModelConfig::parameter_count(), or
/// flops_per_token().
enum class MatchBy : std::uint8_t { width, parameters, flops };
/// "width", "parameters", "flops".
const EnumNames<MatchBy>& enum_names(MatchBy);

/// Floating-point operations of the forward pass per token; training takes three times as many. A
/// multiplication and an addition for
///   each of the stack's multiplications (Architecture::multiplications): each trainable scalar
///   between the embedding and the softmax, used once per position or step (biases and norms count
///   likewise, which is little beside the matrices), and what an architecture multiplies besides;
///   each of the softmax's output weights, the tails' excepted (softmax_multiplications()).
std::int64_t flops_per_token(const ModelConfig& model);

/// `model` with every width of ModelWidths::together times `factor`, rounded to its step, at least
/// one step.
ModelConfig scaled(const ModelConfig& model, double factor);

/// How far a matched count may be from its target.
inline constexpr double match_tolerance = 0.01;

struct Match {
  ModelConfig model;
  /// What scaled() was given; 1: untouched.
  double factor = 1;
  /// What was matched, of this model, and (count - target) / target.
  std::int64_t count = 0;
  double error = 0;
  /// Whether |error| <= match_tolerance.
  bool matched = false;
};

/// The count that `by` compares models by: parameters, also for `width`, or FLOPs per token.
std::int64_t match_count(const ModelConfig& model, MatchBy by);

/// `model` changed as little as it takes to bring its count within match_tolerance of `target`: not
/// at all when it is there already; else by one factor for all widths; and where whole widths are
/// too coarse for that, with one width set apart (ModelWidths::apart). The nearest when none is
/// near enough. Throws UsageError for an invalid model.
Match match_model(const ModelConfig& model, MatchBy by, std::int64_t target);

/// The widths of a model in words: "layers [(91,4)]*4, dim 91".
std::string widths_string(const ModelConfig& model);

}  // namespace sluice
SLUICE_API_END
