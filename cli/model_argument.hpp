#pragma once
// Models as commands that only ask them are given them: one, or several that are mixed.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "options.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/predictor.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice::cli {

/// A model and its share of a mixture, where one was given.
struct ModelShare {
  std::string path;
  std::optional<double> weight;
};

/// "MODEL" or "MODEL*0.6+MODEL2*0.4"; without weights all are equal. A path that exists is one
/// model, whatever characters it has. Throws UsageError for a part without a path, a weight that is
/// no number, and when only some have weights.
std::vector<ModelShare> parse_model_shares(const std::string& text);

/// What answers, and the tokenizer of its vocabulary.
struct LoadedPredictor {
  std::shared_ptr<const Predictor> predictor;
  std::shared_ptr<const Tokenizer> tokenizer;
  /// Where it is one neural model by itself.
  std::shared_ptr<const FrozenModel> model;
  /// The neural models that it is made of.
  std::vector<std::shared_ptr<const FrozenModel>> models;

  /// What those are.
  std::vector<const ModelConfig*> configs() const;
};

/// Loads each, for the same tokens: directories that sluice train made, and n-grams (ARPA files, or
/// what sluice arpa made of them). Throws Error for models of different vocabularies.
std::vector<LoadedPredictor> load_predictors(const std::vector<ModelShare>& shares,
                                             const FreezeOptions& options);
/// Loads what `text` names, mixed where it names several.
LoadedPredictor load_predictor(const std::string& text, const FreezeOptions& options);

/// The model under a label by name; itself for an empty one.
std::shared_ptr<const FrozenModel> conditioned(const std::shared_ptr<const FrozenModel>& model,
                                               const std::string& label);

/// Throws RankError when the processes that share a command's work were given other models, or none
/// that are alike: other weights, configurations, tokenizers, n-grams or shares. Nothing that is
/// large is read for it, n-grams apart.
void check_same_model(const std::string& text);

/// What every command that asks a model takes besides the model itself.
struct ModelFlags {
  std::string model;
  std::string precision = "f32";
  /// What texts are labelled with; empty: unknown.
  std::string condition = {};

  LoadedPredictor load(ConvPath conv = ConvPath::automatic) const;
};

/// MODEL, --precision and --threads.
void add_model_flags(CLI::App& app, ModelFlags& flags);
/// --condition, the label of all texts, which is `label`.
void add_condition_flag(CLI::App& app, std::string& label);
/// --precision, of the weights that a model is read with.
void add_precision_flag(CLI::App& app, std::string& precision);

}  // namespace sluice::cli
