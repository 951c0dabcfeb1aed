#pragma once
// The answers of tasks (tasks.hpp) in a text, and what of them can be guessed without the question.

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "sluice/text/corpus.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice {

/// Where in an answer a token stands: how many tokens of it come before, and the last of these, -1
/// for none.
struct AnswerPlace {
  std::int64_t place = 0;
  TokenId before = -1;
};

/// Tells token by token which belong to answers: those after "=" up to the end of the line, and
/// after "/" up to ">", which included. The end of a line is none: of numbers with a fixed count of
/// digits it is known without having read them.
class AnswerFinder {
 public:
  explicit AnswerFinder(const Tokenizer& tokenizer);

  /// The place of the text's next token; nothing when it belongs to no answer.
  std::optional<AnswerPlace> read(TokenId token);

 private:
  enum class Mark : std::uint8_t { none, line_end, equals, slash, closing };

  /// Of each token of the vocabulary.
  std::vector<Mark> marks_;
  bool after_equals_ = false, after_slash_ = false;
  AnswerPlace next_;
};

/// The best guess of whoever has not read the question: at each place of an answer, after each
/// token of it, the token that came there most often in the training text. Where that place and
/// token were not seen together it goes by the place.
class AnswerGuess {
 public:
  AnswerGuess(const Tokenizer& tokenizer, const TokenShards& train);

  /// -1: no such place was seen.
  TokenId at(const AnswerPlace& place) const;

 private:
  struct Best {
    TokenId token = -1;
    std::int64_t count = 0;
  };

  std::uint64_t context(const AnswerPlace& place) const;

  std::uint64_t vocabulary_;
  std::unordered_map<std::uint64_t, Best> best_;
};

}  // namespace sluice
