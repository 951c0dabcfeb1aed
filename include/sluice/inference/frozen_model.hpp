#pragma once
// A trained model for use: constant, shared by threads.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

class Session;

/// A model with its weights made ready once for the products that read them: weight normalisation
/// applied, rounded where the precision says so, transformed where convolutions compute by
/// transforms. It never changes: any number of threads may call it at once, without a lock between
/// them, and get the bits that one thread would. Made by freeze() or load_frozen_model() and held
/// by shared pointers; sessions hold the model they read with.
class FrozenModel : public std::enable_shared_from_this<FrozenModel> {
 public:
  /// Of a model that lives on: whatever becomes of it (training, other weights) is not seen here.
  /// Throws Error for a model of float64, UsageError when options.conv cannot serve it.
  static std::shared_ptr<const FrozenModel> freeze(const LanguageModel& model,
                                                   FreezeOptions options = {});
  /// Of a model that nobody needs any more: takes over the tensors that can stay as they are.
  static std::shared_ptr<const FrozenModel> freeze(std::unique_ptr<const LanguageModel> model,
                                                   FreezeOptions options = {});

  const ModelConfig& config() const { return config_; }
  std::int64_t vocabulary() const { return config_.vocabulary; }
  /// See LanguageModel::receptive_field().
  std::optional<std::int64_t> receptive_field() const { return receptive_field_; }

  /// This model under one label (ModelConfig::label(); 0: unknown), which all texts that are read
  /// with it then have: its weights are shared, so it costs nothing. Throws UsageError for a label
  /// that the model does not have.
  std::shared_ptr<const FrozenModel> conditioned(std::int32_t label) const;
  /// That label.
  std::int32_t label() const { return label_; }

  /// A text that nothing was read of yet.
  Session session() const;

  /// Last hidden layer of any number of texts, each read on by its own number of tokens: ids [ΣT],
  /// those of text i where `rows` says, each at least one; *states[i] is what came before them
  /// (StackState{}: the start of a text) and becomes what comes after them. Returns [ΣT, H]. Throws
  /// Error when sizes do not fit or an id is outside the vocabulary. States belong to the thread
  /// that calls.
  Tensor hidden(std::span<const std::int32_t> ids, const PackedRows& rows,
                std::span<StackState* const> states) const {
    return hidden(ids, rows, states, {.all = label_});
  }
  /// The same under labels of the rows' own.
  Tensor hidden(std::span<const std::int32_t> ids, const PackedRows& rows,
                std::span<StackState* const> states, const RowLabels& labels) const;
  /// -ln p(targets[r]) given row r of hidden [R, H], in nats; the whole distribution is not
  /// computed where the softmax is adaptive. Throws Error as hidden() does.
  std::vector<double> nll(const Tensor& hidden, std::span<const std::int32_t> targets) const;
  /// ln p of every token given rows of hidden [R, H]: float32 [R, V].
  Tensor log_probabilities(const Tensor& hidden) const;

 private:
  FrozenModel(const LanguageModel& model, const FreezeOptions& options);

  ModelConfig config_;
  std::optional<std::int64_t> receptive_field_;
  std::shared_ptr<const FrozenTokens> tokens_;
  std::shared_ptr<const FrozenStack> stack_;
  std::int32_t label_ = 0;
};

/// A model for use and its tokenizer, read from a directory.
struct LoadedFrozenModel {
  std::shared_ptr<const FrozenModel> model;
  std::unique_ptr<Tokenizer> tokenizer;
};

/// load_model() and freeze(); or load_runtime_model() of a directory that holds one, whose weights
/// are as they are: throws Error when `options` ask for another precision than float32, the
/// default, and theirs.
LoadedFrozenModel load_frozen_model(const std::filesystem::path& directory,
                                    const FreezeOptions& options = {});

}  // namespace sluice
SLUICE_API_END
