#pragma once
// What a claim may measure on trained runs.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "sluice/lab/claims/verdicts.hpp"
#include "sluice/lab/compare/compare.hpp"
#include "sluice/lab/compare/curves.hpp"

namespace sluice {

/// A run of a comparison that has been trained.
struct MeasuredRun {
  const Comparison& comparison;
  const CompareRun& run;

  const PlannedVariant& variant() const { return comparison.variants()[run.variant]; }
  std::filesystem::path directory() const { return comparison.directory_of(run); }
};

/// Measuring was stopped. Nothing is lost but the value at hand.
struct MeasuringStopped {};

/// What measuring needs beside the runs, and what it has found: values are kept in
/// OUT/measured/HASH.json, so that a claim that is run again measures nothing twice.
class Measuring {
 public:
  explicit Measuring(std::filesystem::path out, const std::atomic<int>* stop = nullptr)
      : out_(std::move(out)), stop_(stop) {}

  /// The value kept for the run under `key`, else what `make` returns, which is kept.
  nlohmann::json kept(const MeasuredRun& run, const std::string& key,
                      const std::function<nlohmann::json()>& make);
  /// Nats per token of the text's validation part under the frequencies of tokens in the training
  /// part, each counted once more than it is there.
  double unigram_loss(const MeasuredRun& run);
  /// Throws MeasuringStopped once *stop is not 0.
  void check_stop() const;

 private:
  std::filesystem::path out_;
  const std::atomic<int>* stop_;
  std::map<std::string, double> unigram_losses_;
};

/// A measure of one run, or of two with the same seed held against each other.
struct Measure {
  std::string name;
  std::string unit;
  std::string description;
  /// How sides are held against each other unless the claim says otherwise; shares always are
  /// shares.
  EffectKind effect = EffectKind::difference;
  /// Whether it has a parameter ("at"), a whole number, what it may be, and what it is unless the
  /// claim says.
  bool has_at = false;
  std::int64_t least_at = 0, most_at = 0;
  double at = 0;
  /// One of them. Not finite: it cannot be told of this run.
  std::function<double(Measuring&, const MeasuredRun&, double at)> of_run;
  std::function<std::pair<double, double>(const MeasuredRun& a, const MeasuredRun& b)> of_pair;
};

/// All measures.
const std::vector<Measure>& measures();
/// Throws UsageError naming the nearest.
const Measure& find_measure(const std::string& name);

/// Tokens after which each of two curves (loss over tokens) first reaches the loss that both
/// reach, the higher one of their last: straight lines between points.
std::pair<double, double> tokens_to_shared_loss(const Curve& a, const Curve& b);

/// The losses of two curves (loss over seconds) at the time that both reach, the end of the
/// shorter: straight lines between points.
std::pair<double, double> losses_at_shared_time(const Curve& a, const Curve& b);

}  // namespace sluice
