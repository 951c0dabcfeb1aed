#pragma once
// Streaming: a model read token by token, in constant time and memory per token.

#include <cstdint>
#include <span>

#include "sluice/models/language_model.hpp"

namespace sluice {

/// A position in a text and the model's prediction of the next token there. The model is frozen
/// while the stream lives and unfrozen by its destructor; one stream per model at a time.
class Stream {
 public:
  explicit Stream(LanguageModel& model);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Reads `ids` (in parallel over time, in chunks); nothing is recomputed for what was read
  /// before. Throws Error when an id is outside the vocabulary.
  void feed(std::span<const std::int32_t> ids);
  void feed(std::int32_t id) { feed({&id, 1}); }
  /// Back to the start of a text.
  void reset();

  /// Tokens read so far.
  std::int64_t position() const { return position_; }
  /// ln p(token | what was read) for every token of the vocabulary, until the next feed() or
  /// reset(). Throws Error when nothing was read yet.
  std::span<const float> log_probabilities();

 private:
  LanguageModel& model_;
  ModelState state_;
  Tensor last_hidden_;  // [1, D], of the last token read
  Tensor log_probabilities_;
  std::int64_t position_ = 0;
};

}  // namespace sluice
