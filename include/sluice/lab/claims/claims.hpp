#pragma once
// Claims: statements about models that comparisons can test. A claim is a small JSON file
// (docs/claims.md); those in claims/ are built into the library.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/lab/claims/verdicts.hpp"
#include "sluice/lab/compare/compare.hpp"
#include "sluice/lab/compare/matching.hpp"
#include "sluice/lab/compare/variants.hpp"
#include "sluice/lab/tasks/tasks.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Which of a variant's learning rates its runs are taken from.
struct ClaimRate {
  enum class Kind : std::uint8_t {
    /// The one with the lowest mean validation loss (compare/rates.hpp).
    chosen,
    lowest,
    highest,
    /// `value`, one of the comparison's.
    given
  };
  Kind kind = Kind::chosen;
  double value = 0;
};

/// Selects the variants of a comparison that match every field of `variant` (a value, or a list of
/// accepted values). The mean over the selected variants counts.
struct ClaimSelection {
  std::string comparison;
  Value::Object variant;
  ClaimRate rate;
};

struct ClaimPart;
/// The selections that a part reads.
std::vector<const ClaimSelection*> selections_of(const ClaimPart& part);

/// Whether `variant` matches `wanted`, the fields of a selection.
bool selects(const Value::Object& wanted, const Variant& variant);

/// What is measured on one side: a selection, minus another one if there is a second.
struct ClaimSide {
  ClaimSelection of;
  std::optional<ClaimSelection> minus;
};

struct ClaimPart {
  std::string statement;
  /// A name of measures() (measures.hpp), and its parameter where it has one.
  std::string measure;
  double at = 0;
  ClaimSide a;
  std::optional<ClaimSide> b;
  EffectKind effect = EffectKind::difference;
  Expect expect = Expect::less;
  double threshold = 0;
  /// What stands for the middle of the seeds' effects.
  Statistic statistic = Statistic::mean;
  /// Effects nearer to none than this are as good as none: the part may be decided as equal.
  std::optional<double> bound;
};

struct ClaimComparison {
  std::string name;
  /// `tokens` is the budget of each run.
  ModelRequest model;
  Given<TrainConfig> training;
  std::vector<Variation> vary;
  MatchBy match = MatchBy::parameters;
  std::int64_t seeds = 0;
  /// Ascending.
  std::vector<double> rates;
  RateSearch search;

  std::int64_t tokens() const { return training.values.tokens; }
  /// The number of runs that it trains, at least where it searches for rates: these count with the
  /// fewest that end a search. And those at its beginning, which choose the rates.
  std::int64_t runs() const;
  std::int64_t first_runs() const;
  /// Steps of its runs, where the variants differ in batch or context several numbers.
  std::set<std::int64_t> steps() const;
};

struct ClaimBudget {
  std::int64_t runs = 0;
  /// Whether a search for rates may add some.
  bool at_least = false;
  /// Of the runs, as different as they are.
  std::set<std::int64_t> tokens = {}, steps = {};

  /// "40 runs of 400,000 tokens (391 steps)", "at least 40 runs of 60,000 to 400,000 tokens (59 to
  /// 391 steps)".
  std::string text() const;
};

/// Claim::most_seeds unless a claim says otherwise.
inline constexpr std::int64_t default_most_seeds = 40;

struct Claim {
  /// The name to run it by: the file's name without ".json".
  std::string name;
  std::string title;
  std::string statement;
  std::string source;
  /// The statement for someone new to the field; may be empty.
  std::string plain;
  /// What its verdict does not show; may be empty.
  std::string limits;
  /// The author's estimate of the minutes it takes on two cores.
  double minutes = 0;
  bool quick = false;
  Given<TokenizerOptions> tokenizer;
  /// What it is run on instead of the text that is given.
  std::optional<TaskOptions> task;
  /// Bytes at the end of the text to validate on, at most a tenth of it.
  std::int64_t validation = 0;
  /// Seeds at most, where they are added until the claim is decided.
  std::int64_t most_seeds = default_most_seeds;
  std::vector<ClaimComparison> comparisons;
  std::vector<ClaimPart> parts;
  /// XXH3 of all that the verdict hangs on, in hexadecimal: of text, comparisons, most_seeds and
  /// parts as the file has them, whatever the order of its fields, without what they are called and
  /// what is said of them (statements, plain, limits, minutes).
  std::string design;

  const ClaimComparison& comparison(const std::string& which) const;
  /// Of all comparisons.
  ClaimBudget budget() const;
};

/// Reads a claim, with its "quick" fields in place of the others when asked to. `file` is what
/// messages call it, and where its name comes from. Throws UsageError naming `file` and the line
/// and column of a syntax error, or the JSON pointer (RFC 6901) of what is missing, unknown, of the
/// wrong type or out of range.
Claim parse_claim(std::string_view text, const std::string& file, bool quick = false);

/// The claims of the library, by name: name and JSON text.
const std::vector<std::pair<std::string, std::string>>& shipped_claims();

/// The claim that a user calls `name`: a shipped one, or a file (what ends in ".json" or has a
/// slash). Throws UsageError for an unknown name, naming the nearest, and as parse_claim does;
/// Error when the file cannot be read.
Claim find_claim(const std::string& name, bool quick = false);
/// The JSON text of that claim.
std::string claim_text(const std::string& name);

}  // namespace sluice
SLUICE_API_END
