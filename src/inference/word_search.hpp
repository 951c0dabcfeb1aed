#pragma once
// The search for the most probable words that pieces spell.

#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/inference/next.hpp"

namespace sluice {

/// The most probable of what it is shown.
class BestWords {
 public:
  explicit BestWords(std::size_t most) : most_(most) {}
  void add(Continuation word);
  /// What a word must exceed to be among them.
  double bar() const { return words_.size() < most_ ? 0 : words_.top().probability; }
  std::vector<Continuation> sorted();

 private:
  struct Worse {
    bool operator()(const Continuation& a, const Continuation& b) const {
      return a.probability != b.probability ? a.probability > b.probability : a.text < b.text;
    }
  };
  std::size_t most_;
  std::priority_queue<Continuation, std::vector<Continuation>, Worse> words_;
};

/// One search. See NextText::words().
class WordSearch {
 public:
  WordSearch(const Predictor& predictor, const Tokenizer& tokenizer,
             const std::vector<std::string>& pieces, const NextOptions& options)
      : predictor_(predictor),
        tokenizer_(tokenizer),
        pieces_(pieces),
        options_(options),
        best_(static_cast<std::size_t>(options.top)) {}

  /// Words behind what `start` has read, with `before` (a blank, or nothing) between.
  NextWords run(const PredictorState& start, const std::string& before);

 private:
  /// The beginning of a word: what was read before its last token, and that token, which is read
  /// when its turn comes.
  struct Beginning {
    double probability = 0;
    std::string text;
    std::vector<TokenId> tokens;
    std::shared_ptr<PredictorState> state;
    bool operator<(const Beginning& other) const { return probability < other.probability; }
  };

  /// Whether a token begins with a blank or ends the line, so that the word before it is over.
  bool ends_word(TokenId id) const;
  /// Whether a text may become a word that begins as asked for.
  bool promising(std::string_view text) const;
  bool is_word(const Beginning& beginning) const;
  void begin(const PredictorState& start);
  void read_on(std::vector<Beginning> beginnings);
  void add(const Beginning& from, const std::shared_ptr<PredictorState>& state, TokenId id,
           std::string_view piece, double probability);

  const Predictor& predictor_;
  const Tokenizer& tokenizer_;
  const std::vector<std::string>& pieces_;
  const NextOptions& options_;
  std::string before_;
  std::priority_queue<Beginning> beginnings_;
  BestWords best_;
};

}  // namespace sluice
