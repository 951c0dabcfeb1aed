#pragma once
// What came of a comparison: results.json and runs.csv (docs/formats.md), and a table for people.
//
// Numbers that are infinite or unknown (the loss of a run that diverged, the interval of one seed)
// are NaN or infinite here, and null in results.json.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/value.hpp"
#include "sluice/lab/compare/compare.hpp"
#include "sluice/lab/compare/curves.hpp"
#include "sluice/lab/compare/statistics.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// results.json's format version that this library writes, and the newest it reads.
inline constexpr std::int64_t results_format_version = 1;

inline constexpr double unknown_number = std::numeric_limits<double>::quiet_NaN();

/// Values, one per seed, with their mean and its interval.
struct Summary {
  std::vector<double> values;
  double mean = unknown_number, deviation = unknown_number;
  double low = unknown_number, high = unknown_number;
};

/// Mean loss over the seeds, against tokens and against seconds.
struct CurveBands {
  Band tokens, seconds;
};

struct VariantCurves {
  CurveBands train, validation;
};

/// A learning rate that was tried.
struct RateResult {
  double lr = 0;
  Summary loss;
  /// Runs that diverged, or ended above the loss of a uniform distribution.
  std::int64_t diverged = 0;
  bool chosen = false;
};

/// What the learning rates that were not chosen cost.
struct SearchCost {
  std::int64_t runs = 0, tokens = 0;
  double seconds = 0;
};

struct MatchResult {
  double factor = 1;
  std::int64_t count = 0;
  double error = 0;
};

struct VariantResult {
  std::string name;
  /// The varied fields and their values, an object.
  Value fields;
  /// As in config.json; training without the learning rate and the seed.
  Value model, training;
  std::int64_t parameters = 0, flops_per_token = 0;
  double training_flops = 0;
  std::int64_t memory = 0;
  MatchResult match;
  std::vector<RateResult> rates;
  double lr = 0;
  bool lr_at_edge = false;
  SearchCost search;
  Summary loss, best_loss, train_loss, seconds, tokens_per_second;
  VariantCurves curves;

  /// batch · context.
  std::int64_t tokens_per_step() const;
};

struct PairRecord {
  std::string a, b;
  std::int64_t n = 0;
  double difference = unknown_number, low = unknown_number, high = unknown_number;
  double t = unknown_number, p = unknown_number, p_holm = unknown_number;
  Verdict verdict = Verdict::untested;

  /// Whether it is about the variant `name`.
  bool has(const std::string& name) const { return a == name || b == name; }
};

/// One run: its record, and which run it is.
struct RunResult : RunRecord {
  /// Its hash.
  std::string run;
  std::string variant;
  double lr = 0;
  std::uint64_t seed = 0;
  /// Whether its variant is judged by it: by this learning rate, with this seed.
  bool chosen = false;
};

struct ResultFiles {
  std::vector<std::string> train, valid;
  double valid_fraction = 0;
};

struct ResultTokenizer {
  std::string kind;
  std::int64_t vocabulary = 0, min_count = 1;
  std::string fingerprint;
};

struct ResultData {
  ResultFiles files;
  ResultTokenizer tokenizer;
  /// Fingerprints of the tokens, and how many there are.
  std::string train, valid;
  std::int64_t train_tokens = 0, valid_tokens = 0;
};

/// Limits of each run; 0: none.
struct ResultBudget {
  std::int64_t epochs = 0;
  double minutes = 0;
  std::int64_t steps = 0, tokens = 0;
};

/// All of a comparison.
struct Results {
  std::int64_t format_version = results_format_version;
  std::string version, date;
  /// What variants are compared by.
  std::string measure;
  double confidence = default_confidence;
  ResultData data;
  std::vector<std::string> varied;
  ResultBudget budget;
  MatchBy match = MatchBy::parameters;
  /// All that any variant has: the variants' are the first of these.
  std::vector<std::uint64_t> seeds;
  std::int64_t threads = 0, jobs = 0;
  bool same_batches = true;
  std::vector<VariantResult> variants;
  std::vector<PairRecord> pairs;
  std::vector<RunResult> runs;

  /// The variant of that name; null when there is none.
  const VariantResult* find_variant(std::string_view name) const;
  /// The seeds of the variant that has the fewest: less than all where a claim added some.
  std::size_t fewest_seeds() const;
  /// How many seeds both variants of a pair have.
  std::size_t shared_seeds(const PairRecord& pair) const;
};

/// All of a comparison whose runs are done. Curves are read from the runs' directories.
Results results_of(const Comparison& comparison);

/// The text of results.json.
std::string results_json(const Results& results);

/// Reads such a text; `name` is what messages call it. Throws Error naming the field that is
/// missing, unknown or of the wrong type, lists whose lengths differ, or a variant that is not
/// there; and for a newer format.
Results parse_results(std::string_view text, const std::string& name);

/// One line per run.
std::string runs_csv(const Results& results);

/// Replaces results.json and runs.csv in `directory`.
void write_results(const std::filesystem::path& directory, const Results& results);

/// The variants, the pairs with their verdicts and what the search for learning rates cost, as
/// text.
std::string format_results(const Results& results);

/// The verdict on a pair: "unit=glu is better than unit=tanh: difference -0.0312 (-0.0414 to
/// -0.0210), p = 0.0012 after Holm's correction".
std::string pair_sentence(const PairRecord& pair);

}  // namespace sluice
SLUICE_API_END
