#pragma once
// Scoring lines: one line in, one score out, each line on its own.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// One token of a scored line.
struct TokenScore {
  /// As the tokenizer writes it ("<eos>" for the line's end, "<unk>" for an unknown word).
  std::string text;
  /// ln p(token | the line's tokens before it).
  double log_probability = 0;
  bool oov = false;
};

/// The score of one line: its tokens and the <eos> that ends it, given an <eos> before it.
struct LineScore {
  /// Natural logarithm, summed over the tokens.
  double log_probability = 0;
  /// Tokens in the sum, the final <eos> included.
  std::int64_t tokens = 0;
  /// Tokens that are not in the vocabulary.
  std::int64_t oov = 0;
  /// exp(-log_probability / tokens).
  double perplexity = 0;
  /// Each token's share, when ScoreOptions::words asks for it.
  std::vector<TokenScore> words;
};

struct ScoreOptions {
  /// Fill LineScore::words.
  bool words = false;
  /// Positions of all lines in one forward pass; lines that are longer are chunked.
  std::int64_t positions = 2048;
};

/// Scores `lines` (without their line ends), results in the order of the lines. Lines of similar
/// length share a batch. Any number of threads may score with one model at once. Throws Error for
/// text that is not UTF-8, naming the line (counted from `first_line`).
std::vector<LineScore> score_lines(const FrozenModel& model, const Tokenizer& tokenizer,
                                   std::span<const std::string> lines,
                                   const ScoreOptions& options = {}, std::int64_t first_line = 1);

/// Reads lines until the end of `in` ("\n" or "\r\n"; a last line without an end counts) and calls
/// `emit` for each in order, in blocks of bounded size. When `in` has nothing more to offer at once
/// (an interactive pipe) what is there is scored without waiting. Returns the number of lines.
std::int64_t score_stream(const FrozenModel& model, const Tokenizer& tokenizer, std::istream& in,
                          const std::function<void(const LineScore&)>& emit,
                          const ScoreOptions& options = {});

}  // namespace sluice
SLUICE_API_END
