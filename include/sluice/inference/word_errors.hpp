#pragma once
// Word error rates of chosen hypotheses, and the weights that make them least.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/inference/rescore.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Insertions, deletions and substitutions of words that turn `reference` into `hypothesis`, the
/// fewest there are (Levenshtein 1966).
std::int64_t word_errors(std::string_view reference, std::string_view hypothesis);

/// A hypothesis as choosing and counting see it.
struct RatedHypothesis {
  double given = 0, log_probability = 0;
  std::int64_t words = 0, errors = 0;
};
/// Those of one list, and the words of its reference.
struct RatedList {
  std::vector<RatedHypothesis> hypotheses;
  std::int64_t reference_words = 0;
};
/// Lists in the order in which they come, their errors counted. Throws Error for a list without a
/// reference.
std::vector<RatedList> rate_hypotheses(std::span<const Hypothesis> hypotheses,
                                       const std::map<std::string, std::string>& references);

/// A share of errors, and the interval that holds it with 95% confidence: the 2.5th and 97.5th
/// percentile over 1000 draws of as many lists with replacement (Bisani & Ney 2004).
struct ErrorRate {
  double rate = 0, low = 0, high = 0;
};
/// Of the first hypotheses of each list with the highest total. The draws depend on `seed` alone.
ErrorRate word_error_rate(std::span<const RatedList> lists, const RescoreWeights& weights,
                          std::uint64_t seed = 1);
/// Of the hypotheses with the fewest errors: no weights do better.
double least_error_rate(std::span<const RatedList> lists);

/// The weights with the fewest errors that a search finds which goes, from several starts, along
/// one weight at a time to the best place on it, exactly (Och 2003): between two places where some
/// list's choice changes, in the middle. The model's weight is not below 0. With
/// `tune_words` false the word reward stays 0. Throws Error without lists.
RescoreWeights tune_weights(std::span<const RatedList> lists, bool tune_words = true);

/// References by list, as `format` has them: moses, line n + 1 for list n; kaldi, "utt words";
/// jsonl, {"id", "text"}. Throws Error naming the line.
std::map<std::string, std::string> read_references(std::istream& in, LineFormat format);

}  // namespace sluice
SLUICE_API_END
