#pragma once
// What came of claims: claims.json as structs (docs/formats.md states every field).
//
// Numbers that are unknown (the interval of one seed, the value of a run that diverged) are NaN or
// infinite here, and null in claims.json.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/lab/claims/verdicts.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// claims.json's format version that this library writes, and the newest it reads.
inline constexpr std::int64_t claims_format_version = 2;

/// The learning rates of a side's variants, and whether one of them was chosen and is at an end of
/// those tried.
struct SideRates {
  std::vector<double> lr;
  bool at_edge = false;
};

struct PartResult {
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

  std::string statement;
  ClaimVerdict verdict = ClaimVerdict::inconclusive;
  std::string measure;
  /// The measure's parameter, if it has one.
  std::optional<double> at;
  EffectKind kind = EffectKind::difference;
  Expect expect = Expect::less;
  double threshold = 0;
  Statistic statistic = Statistic::mean;
  /// See judge().
  std::optional<double> bound;
  std::string unit;
  /// The sides in words; b is absent when a is judged alone.
  std::string side_a;
  std::optional<std::string> side_b;
  SideRates rates_a;
  std::optional<SideRates> rates_b;
  /// The measure of each seed.
  std::vector<double> values_a, values_b;
  /// Their means (geometric ones for a ratio), the effect and its intervals, as in Effect.
  double a = unknown, b = unknown, effect = unknown;
  double low = unknown, high = unknown;
  /// Of the interval at the look that it is from: default_confidence where there was one look.
  double confidence = default_confidence;
  double wide_low = unknown, wide_high = unknown;
  /// Seeds; 0 when there is no interval.
  std::int64_t n = 0;
  /// The least error at which the values give the verdict, corrected for looks and, where it fails,
  /// for the claim's parts; 1 when it is inconclusive.
  double p = 1;
  /// Of measures that are means over the validation text: blocks that it was cut into, and the
  /// interval of the effect over blocks, the seeds as they are (block_bootstrap()); 0: none.
  std::int64_t text_blocks = 0;
  double text_low = unknown, text_high = unknown;
  /// Numbers of seeds at which to look, and how many of these looks there were.
  std::vector<std::int64_t> looks;
  std::int64_t looked = 1;
  /// Of a part that is inconclusive with looks to come: the first of these that would tell it in
  /// four of five cases (forecast()); 0: none would. None where that cannot be said. Computed from
  /// the fields above when a file is read, whatever it says.
  std::optional<std::int64_t> seeds_to_tell = {};
};

struct ClaimResult {
  std::string name, title, statement, source;
  /// The statement for someone new to the field; may be empty.
  std::string plain;
  /// What the verdict does not show; may be empty.
  std::string limits;
  /// Claim::design of what was run; empty in older files.
  std::string design;
  ClaimVerdict verdict = ClaimVerdict::inconclusive;
  std::vector<PartResult> parts;
  /// The least error of the verdict: the largest of its parts', of a claim that fails the smallest
  /// of those that do.
  double p = 1;
  /// In words.
  std::string budget;
  double seconds = 0;
  /// Runs, and those of them that looked for learning rates, with their seconds.
  std::int64_t runs = 0, search_runs = 0;
  double search_seconds = 0;
  /// Where its results.json files are, below the directory of claims.json.
  std::vector<std::string> directories;
  /// The command that makes it again; empty when there is none.
  std::string command;
};

/// The text that claims were run on.
struct ClaimData {
  std::vector<std::string> files;
  std::int64_t bytes = 0;
  std::string checksum;
  bool operator==(const ClaimData&) const = default;
};

struct ClaimResults {
  std::int64_t format_version = claims_format_version;
  std::string version, date;
  bool quick = false;
  ClaimData data;
  std::vector<ClaimResult> claims;
};

/// The text of claims.json.
std::string claims_json(const ClaimResults& results);

/// Reads such a text; `name` is what messages call it. Throws Error naming the field that is
/// missing, unknown or of the wrong type; and for a newer format.
ClaimResults parse_claim_results(std::string_view text, const std::string& name);

/// The p-values of all claims' verdicts corrected for their number (Holm 1979), in their order:
/// with those at most 1 - default_confidence, the probability that any of these verdicts is wrong
/// is at most that. Claims that are inconclusive count among them.
std::vector<double> corrected_p(const ClaimResults& results);

/// "GTU learns more than tanh: holds, 0.052 nats per token (0.031 to 0.074), n = 5".
std::string part_sentence(const PartResult& part);
/// How many claims are decided, and how many of these verdicts stand when they are corrected for
/// the number of claims.
std::string format_summary(const ClaimResults& results);
/// The verdict and its parts, a line each.
std::string format_claim(const ClaimResult& result);

}  // namespace sluice
SLUICE_API_END
