#include "sluice/lab/compare/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "compare/trainers.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/version.hpp"
#include "sluice/lab/compare/detail/rates.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/models/memory.hpp"
#include "sluice/text/batches.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// Validations and lines of metrics.jsonl per run, unless the user says otherwise.
constexpr std::int64_t default_validations = 10;
constexpr std::int64_t default_lines = 200;
constexpr std::int64_t most_jobs = 1024;

/// Whether they are the same configuration, whatever the seed and, where it is searched for, the
/// learning rate.
bool same_configuration(const PlannedVariant& a, const PlannedVariant& b) {
  TrainConfig training = a.training;
  training.seed = b.training.seed;
  if (a.rates_may_grow) training.schedule.lr = b.training.schedule.lr;
  return a.model == b.model && same_fields(field_parts(training), field_parts(b.training)) &&
         a.rates == b.rates && a.rates_may_grow == b.rates_may_grow;
}

/// Runs of other versions below `runs`, by version.
std::map<std::string, int> other_versions(const fs::path& runs) {
  std::map<std::string, int> found;
  if (!fs::is_directory(runs)) return found;
  for (const fs::directory_entry& entry : fs::directory_iterator(runs)) {
    if (entry.path().filename().native().find(LabDirectory::damaged_mark) != std::string::npos) {
      continue;
    }
    const auto version = recorded_version(entry.path());
    if (version && *version != library_version()) ++found[*version];
  }
  return found;
}

void check_seeds(std::int64_t seeds) {
  if (seeds >= 1 && seeds <= most_compare_seeds) return;
  throw UsageError(fmt::format("seeds: expected 1 to {}, got {}", most_compare_seeds, seeds));
}

std::vector<std::uint64_t> seeds_from(std::uint64_t first, std::int64_t count) {
  std::vector<std::uint64_t> seeds(static_cast<std::size_t>(count));
  std::iota(seeds.begin(), seeds.end(), first);
  return seeds;
}

void check_search(const RateSearch& search) {
  if (search.pilots < 0 || search.pilots > most_rate_pilots) {
    throw UsageError(fmt::format("pilot seeds of the learning rate: expected 0 to {}, got {}",
                                 most_rate_pilots, search.pilots));
  }
  if (search.refine < 0 || search.refine > most_rate_refinements) {
    throw UsageError(fmt::format("learning rates between others: expected 0 to {}, got {}",
                                 most_rate_refinements, search.refine));
  }
}

/// What can be refused without reading the text.
void check_request(const CompareSpec& spec) {
  check_seeds(spec.seeds);
  check_search(spec.search);
  if (spec.jobs < 0 || spec.jobs > most_jobs) {
    throw UsageError(
        fmt::format("runs at the same time: expected 1 to {}, got {}", most_jobs, spec.jobs));
  }
  for (const double rate : spec.rates) {
    if (!(rate > 0) || !std::isfinite(rate)) {
      throw UsageError(fmt::format("learning rates must be above 0 and finite, got {}", rate));
    }
  }
  const DataSettings& data = spec.base.data.values;
  if (data.train.empty()) {
    throw UsageError("the text to train on is missing");
  }
  if (data.valid.empty() && data.valid_fraction <= 0) {
    throw UsageError(
        "variants are compared by their loss on validation text: give a text to validate "
        "on, or a fraction of the training text to hold out");
  }
  if (!spec.base.training.has_any(budget_fields)) {
    throw UsageError(
        "a comparison needs a budget for each run, in tokens, steps, epochs or minutes");
  }
  Notes ignored;
  for (const Variant& variant : all_variants(spec.vary)) {
    const VariantSettings settings = apply_variant({spec.base.model, spec.base.training}, variant);
    settings.model.check();
    choose_training(settings.training, std::int64_t{1} << 30, ignored);
    if (variant.find("lr") != nullptr && !spec.rates.empty()) {
      throw UsageError(
          "the learning rate is varied and rates to choose from are given: give one of them");
    }
  }
}

}  // namespace

Comparison::Comparison(CompareSpec spec, fs::path out, CompareCallbacks callbacks,
                       const std::atomic<int>* stop)
    : spec_((check_request(spec), std::move(spec))),
      out_(std::move(out)),
      callbacks_(std::move(callbacks)),
      stop_(stop),
      text_(prepare_text(spec_.base, ModelDirectory(out_).cache(), notes_, callbacks_.preparing)),
      data_(data_facts(text_)) {
  if (text_.valid->size() < least_validation_tokens) {
    throw Error(fmt::format(
        "the text to validate on has {} tokens, too few to tell variants apart: at least {} are "
        "needed; give more text or hold out a larger part",
        text_.valid->size(), least_validation_tokens));
  }
  const std::int64_t cores = thread_count();
  if (spec_.base.threads == 0) spec_.base.threads = 1;
  if (spec_.jobs == 0) spec_.jobs = std::max<std::int64_t>(1, cores / spec_.base.threads);
  for (const Variant& variant : all_variants(spec_.vary)) {
    variants_.push_back(plan_variant(variant));
  }
  check_plans();
  const fs::path runs = LabDirectory(out_).runs();
  for (const auto& [version, count] : other_versions(runs)) {
    note(fmt::format("{} run{} of version {} in '{}' will not be used: this is version {}", count,
                     count == 1 ? "" : "s", version, runs.string(), library_version()));
  }
  add_runs();
}

PlannedVariant Comparison::plan_variant(const Variant& variant) {
  const VariantSettings settings = apply_variant({spec_.base.model, spec_.base.training}, variant);
  Notes ignored;
  Notes& notes = variants_.empty() ? notes_ : ignored;

  PlannedVariant planned;
  planned.variant = variant;
  const std::int64_t tokens = text_.train.size();
  Notes of_training;
  planned.training = choose_training(settings.training, tokens, of_training);
  const ModelConfig model = choose_model(
      settings.model, {tokens, text_.tokenizer->size(), planned.training.context, text_.labels},
      notes);
  notes.insert(notes.end(), of_training.begin(), of_training.end());
  const std::int64_t target = variants_.empty() ? match_count(model, spec_.match)
                                                : match_count(variants_.front().model, spec_.match);
  planned.match = match_model(model, spec_.match, target);
  if (spec_.match != MatchBy::width && !planned.match.matched) {
    throw UsageError(fmt::format(
        "variant '{}' cannot be matched within {:g}% to the {} {} of '{}': the nearest has {} "
        "({:+.1f}%), with {}; choose other widths, or make nothing equal (match by width)",
        variant.name, 100 * match_tolerance, grouped(target),
        spec_.match == MatchBy::flops ? "FLOPs per token" : "parameters",
        variants_.front().variant.name, grouped(planned.match.count), 100 * planned.match.error,
        widths_string(planned.match.model)));
  }
  planned.model = planned.match.model;

  const BatchStream stream(text_.train, planned.training.streams(), planned.training.context);
  const std::int64_t steps = planned.training.total_steps(stream.steps_per_epoch());
  if (!settings.training.has("validate_every") && steps > 0) {
    planned.training.validate_every = std::max<std::int64_t>(1, steps / default_validations);
  }
  if (!settings.training.has("log_every") && steps > 0) {
    planned.training.log_every =
        std::clamp<std::int64_t>(steps / default_lines, 1, planned.training.log_every);
  }
  planned.parameters = planned.model.parameter_count();
  planned.flops_per_token = flops_per_token(planned.match.model);
  planned.memory =
      training_memory_estimate(planned.model, planned.training.batch, planned.training.context,
                               planned.training.kept_per_parameter(), planned.training.recompute);
  planned.rates = spec_.rates;
  if (variant.find("lr") != nullptr) {
    planned.rates = {planned.training.schedule.lr};
  } else if (planned.rates.empty()) {
    planned.rates = rate_grid(planned.training.schedule.lr);
    planned.rates_may_grow = true;
  }
  std::sort(planned.rates.begin(), planned.rates.end());
  planned.rates.erase(std::unique(planned.rates.begin(), planned.rates.end()), planned.rates.end());
  planned.first_rates = planned.rates;
  return planned;
}

void Comparison::check_plans() const {
  const auto tokens = [&](const PlannedVariant& variant) {
    const TrainConfig& training = variant.training;
    const BatchStream stream(text_.train, training.streams(), training.context);
    return training.total_steps(stream.steps_per_epoch()) * training.tokens_per_step();
  };
  const auto first_tokens = static_cast<double>(tokens(variants_.front()));
  for (std::size_t i = 0; i < variants_.size(); ++i) {
    const PlannedVariant& variant = variants_[i];
    check_run(variant.model, variant.training, text_.train);
    check_training_memory(variant.model, variant.training.batch, variant.training.context,
                          variant.training.kept_per_parameter(), variant.training.recompute,
                          physical_memory() / static_cast<std::size_t>(spec_.jobs));
    for (std::size_t j = 0; j < i; ++j) {
      if (!same_configuration(variants_[j], variant)) continue;
      throw UsageError(fmt::format("variants '{}' and '{}' are the same configuration",
                                   variants_[j].variant.name, variant.variant.name));
    }
    const auto own = static_cast<double>(tokens(variant));
    const auto step = static_cast<double>(variant.training.tokens_per_step());
    if (std::abs(own - first_tokens) > std::max(step, match_tolerance * first_tokens)) {
      throw UsageError(fmt::format(
          "the budget gives variant '{}' {} tokens and '{}' {}; give it in tokens, so that all "
          "variants train on the same",
          variants_.front().variant.name, grouped(std::llround(first_tokens)), variant.variant.name,
          grouped(std::llround(own))));
    }
  }
}

/// The first that judges.
std::uint64_t Comparison::first_seed() const {
  return variants_.front().training.seed + static_cast<std::uint64_t>(spec_.search.pilots);
}

std::vector<std::uint64_t> Comparison::seeds() const {
  std::int64_t most = spec_.seeds;
  for (const auto& more : more_seeds_) most = std::max(most, more.second);
  return seeds_from(first_seed(), most);
}

std::vector<std::uint64_t> Comparison::choosing_seeds() const {
  if (!searches()) return seeds_from(first_seed(), spec_.seeds);
  return seeds_from(variants_.front().training.seed, spec_.search.pilots);
}

std::vector<std::uint64_t> Comparison::seeds_of(std::size_t variant, double rate) const {
  const auto more = more_seeds_.find({variant, rate});
  return seeds_from(first_seed(), more == more_seeds_.end() ? spec_.seeds : more->second);
}

void Comparison::set_seeds(std::size_t variant, double rate, std::int64_t seeds) {
  check_seeds(seeds);
  std::int64_t& own = more_seeds_.try_emplace({variant, rate}, spec_.seeds).first->second;
  own = std::max(own, seeds);
}

bool Comparison::same_batches() const {
  const TrainConfig& first = variants_.front().training;
  return std::all_of(variants_.begin(), variants_.end(), [&](const PlannedVariant& variant) {
    return variant.training.streams() == first.streams() &&
           variant.training.context == first.context;
  });
}

fs::path Comparison::directory_of(const CompareRun& run) const {
  return LabDirectory(out_).run(run.plan.hash);
}

void Comparison::note(const std::string& text) const {
  if (callbacks_.note) callbacks_.note(text);
}

/// Adds the runs that are asked for and not there yet: those that choose rates, and once these are
/// chosen those that judge, a seed of all variants after the other.
void Comparison::add_runs() {
  for (const std::uint64_t seed : choosing_seeds()) {
    for (std::size_t v = 0; v < variants_.size(); ++v) {
      for (const double rate : variants_[v].rates) add_run(v, rate, seed);
    }
  }
  if (searches() && !rates_chosen_) return;
  for (const std::uint64_t seed : seeds()) {
    for (std::size_t v = 0; v < variants_.size(); ++v) {
      const std::vector<double>& rates = variants_[v].rates;
      for (const double rate : searches() ? std::vector{rates[chosen_rate(v)]} : rates) {
        if (seed <= seeds_of(v, rate).back()) add_run(v, rate, seed);
      }
    }
  }
}

void Comparison::add_run(std::size_t variant, double rate, std::uint64_t seed) {
  const bool there = std::any_of(runs_.begin(), runs_.end(), [&](const CompareRun& run) {
    return run.variant == variant && run.rate == rate && run.seed == seed;
  });
  if (there) return;
  CompareRun run{.variant = variant, .rate = rate, .seed = seed, .plan = {}, .record = {}};
  TrainConfig training = variants_[variant].training;
  training.schedule.lr = rate;
  training.seed = seed;
  run.plan = {plan_of(spec_.base, variants_[variant].model, training), ""};
  run.plan.hash = run_hash(run.plan.model, run.plan.training, threads(), data_);
  runs_.push_back(std::move(run));
}

/// Takes over the runs that are there already, or that another process of this comparison has
/// trained.
void Comparison::find_kept(bool by_others) {
  for (CompareRun& run : runs_) {
    if (run.done) continue;
    FoundRun found = find_run(directory_of(run), run.plan.hash);
    if (found.state == RunState::damaged) {
      note(fmt::format(
          "run {} ({}, learning rate {:g}, seed {}) is damaged; it is put aside and trained again: "
          "{}",
          run.plan.hash, variants_[run.variant].variant.name, run.rate, run.seed, found.fault));
    }
    if (found.state != RunState::whole) continue;
    run.record = std::move(found.record);
    run.done = true;
    run.kept = !by_others;
  }
}

/// Adds a rate to each variant whose best is at an end of its grid; whether there was any.
bool Comparison::grow_rates() {
  bool grown = false;
  for (std::size_t v = 0; v < variants_.size(); ++v) {
    PlannedVariant& variant = variants_[v];
    if (!variant.rates_may_grow) continue;
    const std::size_t chosen = chosen_rate(v);
    const auto rate = rate_beyond(variant.rates, variant.training.schedule.lr, chosen);
    if (!rate) continue;
    note(
        fmt::format("{}: learning rate {:g} is the best and at the end of those tried; trying {:g}",
                    variant.variant.name, variant.rates[chosen], *rate));
    variant.rates.insert(chosen == 0 ? variant.rates.begin() : variant.rates.end(), *rate);
    grown = true;
  }
  return grown;
}

/// Adds a rate to each variant whose search is not at its end; whether there was any.
bool Comparison::search_rates() {
  bool added = false;
  for (std::size_t v = 0; v < variants_.size(); ++v) {
    PlannedVariant& variant = variants_[v];
    // One rate alone is not to be searched from: it was varied.
    if (variant.variant.find("lr") != nullptr) continue;
    const std::size_t chosen = chosen_rate(v);
    std::optional<double> rate = rate_further(variant.rates, variant.first_rates, chosen);
    const bool beyond = rate.has_value();
    if (!rate && variant.refined < spec_.search.refine) {
      rate = rate_between(variant.rates, chosen);
      variant.refined = rate ? variant.refined + 1 : spec_.search.refine;
    }
    if (!rate) continue;
    note(fmt::format("{}: learning rate {:g} is the best{}; trying {:g}", variant.variant.name,
                     variant.rates[chosen], beyond ? " and at the end of those tried" : "", *rate));
    variant.rates.insert(std::upper_bound(variant.rates.begin(), variant.rates.end(), *rate),
                         *rate);
    added = true;
  }
  return added;
}

bool Comparison::more_to_run() {
  if (!searches()) return grow_rates();
  if (rates_chosen_) return false;
  // The last step is the runs that judge.
  rates_chosen_ = !search_rates();
  return true;
}

bool Comparison::all_done() const {
  return std::all_of(runs_.begin(), runs_.end(), [](const CompareRun& run) { return run.done; });
}

void Comparison::check_same(Communicator& ranks) const {
  std::string hashes;
  for (const CompareRun& run : runs_) hashes += run.plan.hash;
  ranks.check_same({{"version", std::string(library_version())},
                    {"text", data_.train},
                    {"validation text", data_.valid.value_or("none")},
                    {"tokenizer", data_.tokenizer},
                    {"list of runs", checksum_hex(hashes.data(), hashes.size())}});
}

bool Comparison::run(Communicator* ranks) {
  if (ranks != nullptr && ranks->alone()) ranks = nullptr;
  if (ranks != nullptr) check_same(*ranks);
  const ThreadCount count(static_cast<int>(threads()));
  do {
    add_runs();
    find_kept();
    if (ranks != nullptr) ranks->restart_count();  // after all have seen which runs are there
    const bool all = Trainers(*this, callbacks_, stop_, ranks).train(runs_);
    if (ranks == nullptr) {
      if (!all) return false;
      continue;
    }
    // Also the end of the waiting for what others still train.
    for (const bool each : ranks->gather(all)) {
      if (!each) return false;
    }
    find_kept(true);
  } while (more_to_run());
  return true;
}

bool Comparison::find() {
  do {
    add_runs();
    find_kept();
    if (!all_done()) return false;
  } while (more_to_run());
  return true;
}

const CompareRun& Comparison::run_of(std::size_t variant, double rate, std::uint64_t seed) const {
  const auto found = std::find_if(runs_.begin(), runs_.end(), [&](const CompareRun& run) {
    return run.variant == variant && run.rate == rate && run.seed == seed;
  });
  if (found == runs_.end()) {
    throw Error(fmt::format("there is no run of '{}' with learning rate {:g} and seed {}",
                            variants_.at(variant).variant.name, rate, seed));
  }
  return *found;
}

std::vector<std::vector<double>> Comparison::losses(std::size_t variant) const {
  std::vector<std::vector<double>> losses;
  for (const double rate : variants_.at(variant).rates) {
    losses.emplace_back();
    for (const std::uint64_t seed : choosing_seeds()) {
      losses.back().push_back(run_of(variant, rate, seed).record.final_loss);
    }
  }
  return losses;
}

std::size_t Comparison::chosen_rate(std::size_t variant) const {
  return choose_rate(losses(variant), uniform_loss(variant));
}

std::vector<double> Comparison::judged_losses(std::size_t variant) const {
  const double rate = variants_.at(variant).rates[chosen_rate(variant)];
  std::vector<double> losses;
  for (const std::uint64_t seed : seeds_of(variant, rate)) {
    losses.push_back(run_of(variant, rate, seed).record.final_loss);
  }
  return losses;
}

bool Comparison::chosen_at_edge(std::size_t variant) const {
  const std::size_t rates = variants_.at(variant).rates.size();
  const std::size_t chosen = chosen_rate(variant);
  return rates > 1 && (chosen == 0 || chosen + 1 == rates);
}

bool Comparison::judges(const CompareRun& run) const {
  return run.rate == variants_[run.variant].rates[chosen_rate(run.variant)] &&
         run.seed >= first_seed() && run.seed <= seeds_of(run.variant, run.rate).back();
}

double Comparison::uniform_loss(std::size_t variant) const {
  return std::log(static_cast<double>(variants_.at(variant).model.vocabulary));
}

}  // namespace sluice
