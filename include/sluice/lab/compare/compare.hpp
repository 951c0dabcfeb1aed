#pragma once
// Comparing variants of a model on a text, fairly: the same batches in the same order, the same
// seeds, matched sizes, a learning rate chosen for each.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/comm/communicator.hpp"
#include "sluice/lab/compare/matching.hpp"
#include "sluice/lab/compare/run.hpp"
#include "sluice/lab/compare/variants.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The most seeds that a comparison takes.
inline constexpr std::int64_t most_compare_seeds = 1000;

/// A search for the learning rate on seeds of its own, so that those which judge a variant have had
/// no part in choosing its rate.
struct RateSearch {
  /// Seeds that choose the rate, those after training.seed; the seeds that are compared come behind
  /// them. 0: no search, the compared seeds choose among the rates.
  std::int64_t pilots = 0;
  /// Rates that a golden-section search adds once the best of the grid is inside it.
  std::int64_t refine = 2;

  /// The fewest rates of a variant that began with `given` when its search ends: one on either side
  /// of the best, and those between.
  std::int64_t least_rates(std::int64_t given) const {
    constexpr std::int64_t around_the_best = 3;
    return (given > around_the_best ? given : around_the_best) + refine;
  }
};

/// The most pilots, and the most rates that a search adds between others.
inline constexpr std::int64_t most_rate_pilots = 100, most_rate_refinements = 20;

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
  /// Learning rates that each variant tries; empty: rate_grid() around the rate that a training
  /// would use, longer while an end of it is the best (rate_beyond()).
  std::vector<double> rates;
  /// With pilots: grids, given ones too, grow until the best rate is inside on both sides (at most
  /// 3^8 beyond the ends they began with), by mean loss of the pilots, and are refined.
  RateSearch search;
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
  /// Those it began with, and how many a search has added between them.
  std::vector<double> first_rates;
  std::int64_t refined = 0;
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

/// A comparison in a directory of its own: planned when it is made, trained by run(), and asked
/// for its results then. One thread at a time; run() trains on that thread and on some of its own.
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
  ///
  /// With `ranks` the runs go to these processes as they become free: all call it, on the same
  /// comparison in the same directory, and it returns the same for all when all runs are done.
  bool run(Communicator* ranks = nullptr);
  /// Throws RankError unless all processes have made the same comparison: of the same version, on
  /// the same text, with the same runs. run() begins with it.
  void check_same(Communicator& ranks) const;
  /// Takes over the runs that OUT/runs contains, as run() would, and trains none; whether all were
  /// there.
  bool find();
  /// Gives a variant's runs at one of its rates seeds up to this number, those so far and more
  /// after them, for another run(); what has more keeps them. Of a search only the rate that it
  /// chose gets any. The choice of rates stays as it is. Throws UsageError as the constructor does.
  void set_seeds(std::size_t variant, double rate, std::int64_t seeds);

  const CompareSpec& spec() const { return spec_; }
  const std::filesystem::path& out() const { return out_; }
  const PreparedText& text() const { return text_; }
  const Notes& notes() const { return notes_; }
  const DataFacts& data() const { return data_; }
  const std::vector<PlannedVariant>& variants() const { return variants_; }
  const std::vector<CompareRun>& runs() const { return runs_; }
  /// The seeds that variants are compared by, all that any of them has, and those that choose their
  /// rates: without a search the ones that all have.
  std::vector<std::uint64_t> seeds() const;
  std::vector<std::uint64_t> choosing_seeds() const;
  /// Those of seeds(), the first ones, that a variant has at one of its rates.
  std::vector<std::uint64_t> seeds_of(std::size_t variant, double rate) const;
  std::int64_t threads() const { return spec_.base.threads; }
  std::int64_t jobs() const { return spec_.jobs; }
  /// Whether all variants read the same batches: batch and context are not varied.
  bool same_batches() const;
  std::filesystem::path directory_of(const CompareRun& run) const;

  /// Final validation losses of a variant by which its rate is chosen, [rate][seed] of
  /// choosing_seeds(), infinite for diverged runs; and the rate it is judged by. All runs must be
  /// done.
  std::vector<std::vector<double>> losses(std::size_t variant) const;
  std::size_t chosen_rate(std::size_t variant) const;
  /// Final validation losses at that rate, by its seeds_of().
  std::vector<double> judged_losses(std::size_t variant) const;
  /// Whether that rate is an end of several that were tried.
  bool chosen_at_edge(std::size_t variant) const;
  /// Whether the run is one of those a variant is judged by: at its rate, with one of its
  /// seeds_of().
  bool judges(const CompareRun& run) const;
  /// ln V, the loss of a uniform distribution: runs that end above it count as failed when the rate
  /// is chosen.
  double uniform_loss(std::size_t variant) const;
  const CompareRun& run_of(std::size_t variant, double rate, std::uint64_t seed) const;

 private:
  PlannedVariant plan_variant(const Variant& variant);
  void check_plans() const;
  std::uint64_t first_seed() const;
  void add_runs();
  void add_run(std::size_t variant, double rate, std::uint64_t seed);
  void find_kept(bool by_others = false);
  bool searches() const { return spec_.search.pilots > 0; }
  bool all_done() const;
  bool grow_rates();
  bool search_rates();
  bool more_to_run();
  void note(const std::string& text) const;

  CompareSpec spec_;
  std::filesystem::path out_;
  CompareCallbacks callbacks_;
  const std::atomic<int>* stop_;
  Notes notes_;
  PreparedText text_;
  DataFacts data_;
  std::vector<PlannedVariant> variants_;
  std::vector<CompareRun> runs_;
  /// Whether every variant's rate is chosen: without a search from the start.
  bool rates_chosen_ = false;
  /// Seeds of a variant at a rate, where they are others than CompareSpec::seeds.
  std::map<std::pair<std::size_t, double>, std::int64_t> more_seeds_;
};

}  // namespace sluice
SLUICE_API_END
