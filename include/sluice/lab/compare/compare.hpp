#pragma once
// Comparing variants of a model on a text, fairly: the same batches in the same order, the same
// seeds, matched sizes, a learning rate chosen for each.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/lab/compare/matching.hpp"
#include "sluice/lab/compare/run.hpp"
#include "sluice/lab/compare/variants.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The most seeds that a comparison takes.
inline constexpr std::int64_t most_compare_seeds = 1000;

struct CompareSpec {
  /// Text, tokenizer, and the fields that all variants share. A budget is needed. Unless given,
  /// validations are ten to a run (with a budget in minutes one to an epoch), and a line of
  /// metrics.jsonl stands for a 200th of it, at most 50 steps. `threads` is what each run gets;
  /// 0: 1.
  Settings base;
  std::vector<Variation> vary;
  MatchBy match = MatchBy::parameters;
  /// Seeds of each variant: training.seed (default 1) and those after it.
  std::int64_t seeds = 3;
  /// Learning rates that each variant tries; empty: rate_grid() around the rate that sluice train
  /// would use, longer while an end of it is the best (rate_beyond()).
  std::vector<double> rates;
  /// Runs at the same time; 0: as many as the cores allow.
  std::int64_t jobs = 0;
};

/// A variant as it will be trained.
struct PlannedVariant {
  Variant variant;
  /// Complete, the widths matched; training without its learning rate and seed.
  ModelConfig model;
  TrainConfig training;
  Match match;
  std::int64_t parameters = 0;
  /// Of the forward pass (matching.hpp).
  std::int64_t flops_per_token = 0;
  /// Estimate of training's peak, bytes (models/memory.hpp).
  std::size_t memory = 0;
  /// Learning rates, ascending, and whether more may be added.
  std::vector<double> rates;
  bool rates_may_grow = false;
};

/// One of the runs.
struct CompareRun {
  /// Index of the variant.
  std::size_t variant = 0;
  double rate = 0;
  std::uint64_t seed = 0;
  RunPlan plan;
  RunRecord record;
  bool done = false;
  /// Whether an earlier comparison trained it.
  bool kept = false;
};

struct CompareProgress {
  /// Runs that are done, being trained, and planned so far.
  std::int64_t done = 0, running = 0, total = 0;
  /// Fraction of this call's training that is done, and the estimated seconds left.
  double fraction = 0, eta = 0;
  /// The run that has just made a step.
  const CompareRun& run;
  TrainProgress train;
};

/// Called one at a time, on a training thread. Any may be empty. An exception from one of them ends
/// the comparison.
struct CompareCallbacks {
  Progress preparing;
  std::function<void(const CompareProgress&)> stepped;
  std::function<void(const CompareRun&)> trained;
  /// A message for the user: a damaged run that is trained again, a rate that is added.
  std::function<void(const std::string&)> note;
  /// The batches every run reads (training/trainer.hpp).
  std::function<void(const CompareRun&, std::int64_t step, std::span<const TokenId> inputs,
                     std::span<const TokenId> targets)>
      read;
};

/// The fewest validation tokens that variants can be ranked by.
inline constexpr std::int64_t least_validation_tokens = 200;

class Comparison {
 public:
  /// Checks the request, prepares the text in OUT/cache and sizes the variants. The caller holds
  /// the lock of `out`, an existing directory. `stop` as in TrainOptions. Throws UsageError for a
  /// request that is malformed or cannot be met: no budget or one that gives variants different
  /// numbers of tokens, a variant that cannot be matched (naming the nearest), two that are the
  /// same, rates or seeds out of range; Error for a text too short to train or validate on.
  Comparison(CompareSpec spec, std::filesystem::path out, CompareCallbacks callbacks = {},
             const std::atomic<int>* stop = nullptr);

  /// Trains the runs that OUT/runs does not contain yet. False when *stop ended it: runs so far are
  /// kept, the one that was interrupted too, and the same comparison continues. Throws what
  /// train_run() throws, the runs so far kept. The number of threads (base/parallel.hpp) is set
  /// while it runs.
  bool run();

  const CompareSpec& spec() const { return spec_; }
  const std::filesystem::path& out() const { return out_; }
  const PreparedText& text() const { return text_; }
  const Notes& notes() const { return notes_; }
  const nlohmann::json& data() const { return data_; }
  const std::vector<PlannedVariant>& variants() const { return variants_; }
  const std::vector<CompareRun>& runs() const { return runs_; }
  std::vector<std::uint64_t> seeds() const;
  std::int64_t threads() const { return spec_.base.threads; }
  std::int64_t jobs() const { return spec_.jobs; }
  /// Whether all variants read the same batches: batch and context are not varied.
  bool same_batches() const;
  std::filesystem::path directory_of(const CompareRun& run) const;

  /// Final validation losses of a variant, [rate][seed], infinite for diverged runs; and the rate
  /// it is judged by. All runs must be done.
  std::vector<std::vector<double>> losses(std::size_t variant) const;
  std::size_t chosen_rate(std::size_t variant) const;
  /// ln V, the loss of a uniform distribution: runs that end above it count as failed when the rate
  /// is chosen.
  double uniform_loss(std::size_t variant) const;
  const CompareRun& run_of(std::size_t variant, double rate, std::uint64_t seed) const;

 private:
  PlannedVariant plan_variant(const Variant& variant);
  void check_plans() const;
  void add_runs();
  void find_kept();
  bool grow_rates();
  void note(const std::string& text) const;

  CompareSpec spec_;
  std::filesystem::path out_;
  CompareCallbacks callbacks_;
  const std::atomic<int>* stop_;
  Notes notes_;
  PreparedText text_;
  nlohmann::json data_;
  std::vector<PlannedVariant> variants_;
  std::vector<CompareRun> runs_;
};

}  // namespace sluice
SLUICE_API_END
