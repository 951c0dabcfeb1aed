#pragma once
// Reading a text token by token, in constant time and memory per token; many texts side by side.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "sluice/base/api.hpp"
#include "sluice/inference/frozen_model.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A position in a text, and what a model predicts there. A value: a copy is another text with the
/// same beginning, costs no more than a few pointers, and goes its own way. It holds its model,
/// which any number of sessions share; its own memory is the state (bytes()). One thread at a time
/// may use a session.
class Session {
 public:
  /// The start of a text. `model` must not be null.
  explicit Session(std::shared_ptr<const FrozenModel> model);

  /// Reads `ids` (in parallel over time, in passes of bounded size); nothing is computed again for
  /// what was read before. Throws Error for an id outside the vocabulary, and has then read none.
  void feed(std::span<const std::int32_t> ids);
  void feed(std::int32_t id) { feed({&id, 1}); }
  /// Back to the start of a text.
  void reset();

  /// Tokens read so far.
  std::int64_t position() const { return state_.position; }
  /// ln p(token | what was read) for every token of the vocabulary: float32 [V], computed anew by
  /// each call. Throws Error when nothing was read yet.
  Tensor log_probabilities() const;
  /// The last hidden layer at the last token read: [1, H]; undefined when nothing was read yet.
  const Tensor& hidden() const { return hidden_; }

  const FrozenModel& model() const { return *model_; }
  /// Memory of its state (what copies share is counted in each).
  std::size_t bytes() const;

  /// feed() for many sessions of one model in one batch: sessions[i] reads ids[i], which may be
  /// empty. Throws Error for sessions of different models, a session named twice, sizes that
  /// differ, or an id outside the vocabulary; no session has then read anything.
  static void step(std::span<Session* const> sessions,
                   std::span<const std::span<const std::int32_t>> ids);

 private:
  std::shared_ptr<const FrozenModel> model_;
  StackState state_;
  Tensor hidden_;
};

}  // namespace sluice
SLUICE_API_END
