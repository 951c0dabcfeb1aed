#pragma once
// What comes next in a text: the most probable tokens or words, and given continuations.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/inference/predictor.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Something that may come next, and how probable it is. A line's end is "\n".
struct Continuation {
  std::string text;
  double probability = 0;
};

struct NextOptions {
  /// As many as are asked for; >= 1.
  std::int64_t top = 10;
  /// Only words that begin with this.
  std::string starting_with = {};
  /// Texts that the search for words reads on by one token, at most; >= 1.
  std::int64_t most_steps = 20000;

  /// Throws UsageError for values out of range and for a beginning with white space in it.
  void validate() const;
};

/// What was found.
struct NextWords {
  /// Most probable first.
  std::vector<Continuation> words;
  /// Whether nothing that was not looked at can be more probable than the last of them: always but
  /// where most_steps came first.
  bool exact = true;
};

/// What was read of a text, kept from one question to the next by whoever asks about a text that
/// grows: only what is new is read then. It belongs to one NextText and to one thread at a time.
class ReadText {
 public:
  /// Tokens read.
  std::size_t size() const { return ids_.size(); }

 private:
  friend class NextText;
  std::vector<TokenId> ids_;
  PredictorState state_;
};

/// Answers about texts of one predictor. Constant: any number of threads may ask.
///
/// A word is what stands between blanks. The last word of `text` counts as over, and blanks at the
/// end of `text` as the one before the next word. Texts are not copied: a tokenizer must outlive
/// this.
class NextText {
 public:
  /// Throws Error when the tokenizer's vocabulary is not the predictor's.
  NextText(std::shared_ptr<const Predictor> predictor, const Tokenizer& tokenizer);

  /// The most probable next tokens after exactly this text, as they would be printed.
  std::vector<Continuation> tokens(std::string_view text, std::int64_t top) const;

  /// The most probable next words, each with p(word | text, the word before is over): the product
  /// over its tokens, as the tokenizer cuts it, and the probability that it ends there (where words
  /// are tokens, that of the token). Found by following the most probable beginnings first: what
  /// begins with something is no more probable than that, so the search ends, exactly, when the
  /// words found are as probable as the most probable beginning left.
  /// With `read`, what a question before this one read of the text's beginning is not read again;
  /// it is then what was read of this text. Probabilities may differ by rounding.
  NextWords words(std::string_view text, const NextOptions& options,
                  ReadText* read = nullptr) const;

  /// p(continuation | text) of each: the product over its tokens, whatever follows; the first
  /// begins a new word. With `normalize` they are divided by their sum.
  std::vector<Continuation> candidates(std::string_view text,
                                       std::span<const std::string> continuations,
                                       bool normalize) const;

 private:
  struct Start;
  Start start(std::string_view text, ReadText* read) const;
  NextWords words_that_are_tokens(const Start& start, const NextOptions& options) const;

  std::shared_ptr<const Predictor> predictor_;
  const Tokenizer* tokenizer_;
  /// What each token adds to a text that is not at the start of a line.
  std::vector<std::string> pieces_;
};

}  // namespace sluice
SLUICE_API_END
