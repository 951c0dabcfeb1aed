#pragma once
// Measures that a claim may take of trained runs.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/value.hpp"
#include "sluice/lab/claims/verdicts.hpp"
#include "sluice/lab/compare/compare.hpp"
#include "sluice/lab/compare/curves.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A run of a comparison that has been trained.
struct MeasuredRun {
  const Comparison& comparison;
  const CompareRun& run;

  const PlannedVariant& variant() const { return comparison.variants()[run.variant]; }
  std::filesystem::path directory() const { return comparison.directory_of(run); }
};

/// Thrown when measuring was stopped. Only the value being measured is lost.
struct MeasuringStopped {};

/// The context of measuring. Measured values are kept in OUT/measured/HASH.json, so running a claim
/// again measures nothing twice. One thread at a time.
class Measuring {
 public:
  explicit Measuring(std::filesystem::path out, const std::atomic<int>* stop = nullptr)
      : out_(std::move(out)), stop_(stop) {}

  /// The value kept for the run under `key`, else what `make` returns, which is kept.
  Value kept(const MeasuredRun& run, const std::string& key, const std::function<Value()>& make);
  /// Nats per token of the validation text under the unigram frequencies of the training text, with
  /// add-one smoothing.
  double unigram_loss(const MeasuredRun& run);
  /// Throws MeasuringStopped once *stop is not 0.
  void check_stop() const;

 private:
  std::filesystem::path out_;
  const std::atomic<int>* stop_;
  std::map<DataFacts, double> unigram_losses_;
};

/// A measure of one run, or of two runs with the same seed compared with each other.
struct Measure {
  std::string name;
  std::string unit;
  std::string description;
  /// How sides are compared unless the claim says otherwise; measures that are shares are always
  /// compared as shares.
  EffectKind effect = EffectKind::difference;
  /// Whether it has a parameter ("at", a whole number), its range, and its default.
  bool has_at = false;
  std::int64_t least_at = 0, most_at = 0;
  double at = 0;
  /// Exactly one of these is set. A result that is not finite means that the run has no such value.
  std::function<double(Measuring&, const MeasuredRun&, double at)> of_run;
  std::function<std::pair<double, double>(const MeasuredRun& a, const MeasuredRun& b)> of_pair;
  /// The same measure of each of text_blocks consecutive blocks of the validation text, for those
  /// that are means over its tokens; empty for a run that has none.
  std::function<std::vector<double>(Measuring&, const MeasuredRun&)> of_blocks = {};
};

/// Blocks that a validation text is cut into, and the fewest tokens of one: shorter texts have
/// fewer.
inline constexpr std::int64_t text_blocks = 40, least_block_tokens = 50;

/// All measures.
const std::vector<Measure>& measures();
/// Throws UsageError for an unknown name, suggesting the nearest.
const Measure& find_measure(const std::string& name);

/// Tokens after which each of two curves (loss over tokens) first reaches the loss that both reach,
/// which is the higher of their final losses. Interpolates linearly.
std::pair<double, double> tokens_to_shared_loss(const Curve& a, const Curve& b);

/// The losses of two curves (loss over seconds) at the end of the shorter one. Interpolates
/// linearly.
std::pair<double, double> losses_at_shared_time(const Curve& a, const Curve& b);

}  // namespace sluice
SLUICE_API_END
