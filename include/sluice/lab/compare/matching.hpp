#pragma once
// Fair sizes: models of different units, norms or architectures brought to the same number of
// parameters or of floating-point operations.
//
// Models are config.json's "model" objects, complete as json(ModelConfig) writes them.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace sluice {

/// What is made equal: nothing (the widths are those asked for), ModelConfig::parameter_count(), or
/// flops_per_token().
enum class MatchBy : std::uint8_t { width, parameters, flops };
/// "width", "parameters" or "flops", and its inverse (UsageError naming the nearest).
std::string match_name(MatchBy by);
MatchBy parse_match(const std::string& name);

/// Floating-point operations of the forward pass per token; training takes three times as many. A
/// multiplication and an addition for
///   each trainable scalar between the embedding and the softmax, whatever the architecture: a
///   convolution uses each of its K·C·N weights once per position, a recurrent cell its matrices
///   once per step (biases and norms count likewise, which is little beside them);
///   Transformers, beside that, each layer's 2·W·D products of queries with keys and of
///   probabilities with values, W the window;
///   each of the softmax's output weights: D·V for the full one; for the adaptive one its head,
///   D·(first cutoff + tails), since the tails are computed only for the tokens in them.
std::int64_t flops_per_token(const nlohmann::json& model);

/// `model` with every width times `factor`, rounded, at least 1: gcnn: the channels of all layers,
/// and dim; recurrent: hidden, and dim; transformer: dim and ffn_width, dim staying a multiple of
/// the heads (of twice as many with rotary positions). With norm "group", channels stay a multiple
/// of the groups.
nlohmann::json scaled(const nlohmann::json& model, double factor);

/// How far a matched count may be from its target.
inline constexpr double match_tolerance = 0.01;

// NOLINTNEXTLINE(bugprone-exception-escape): moving JSON throws nothing, its checks only might.
struct Match {
  nlohmann::json model;
  /// What scaled() was given; 1: untouched.
  double factor = 1;
  /// What was matched, of this model, and (count - target) / target.
  std::int64_t count = 0;
  double error = 0;
  /// Whether |error| <= match_tolerance.
  bool matched = false;
};

/// The count that `by` compares models by: parameters, also for `width`, or FLOPs per token.
std::int64_t match_count(const nlohmann::json& model, MatchBy by);

/// `model` changed as little as it takes to bring its count within match_tolerance of `target`: not
/// at all when it is there already; else by one factor for all widths; and where whole widths are
/// too coarse for that, with one width set apart (a transformer's ffn_width, else dim, unless it is
/// tied). The nearest when none is near enough. Throws UsageError for an invalid model.
Match match_model(const nlohmann::json& model, MatchBy by, std::int64_t target);

/// The widths of a model in words: "layers [(91,4)]*4, dim 91".
std::string widths_string(const nlohmann::json& model);

}  // namespace sluice
