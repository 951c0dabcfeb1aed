#include "sluice/lab/compare/results.hpp"

#include <algorithm>
#include <cmath>

#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "utc_now.hpp"

namespace sluice {
namespace {

/// Trained tokens cost three forward passes: one forward, two for the gradients.
constexpr double training_passes = 3;

Summary summary(const std::vector<double>& values) {
  Summary out{.values = values};
  if (!std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); })) {
    return out;
  }
  out.mean = mean(values);
  if (values.size() < 2) return out;
  const Interval interval = mean_interval(values);
  out.deviation = standard_deviation(values);
  out.low = interval.low;
  out.high = interval.high;
  return out;
}

using Runs = std::vector<const CompareRun*>;

/// The runs of a variant at the rate it is judged by, by seed.
Runs chosen_runs(const Comparison& comparison, std::size_t variant) {
  const double rate = comparison.variants()[variant].rates[comparison.chosen_rate(variant)];
  Runs runs;
  for (const std::uint64_t seed : comparison.seeds_of(variant, rate)) {
    runs.push_back(&comparison.run_of(variant, rate, seed));
  }
  return runs;
}

template <class Number>
Summary summary_of(const Runs& runs, Number RunRecord::*field) {
  std::vector<double> values;
  values.reserve(runs.size());
  for (const CompareRun* run : runs) values.push_back(static_cast<double>(run->record.*field));
  return summary(values);
}

Curve curve_of(const std::vector<CurvePoint>& points, double CurvePoint::*x) {
  Curve curve;
  curve.reserve(points.size());
  for (const CurvePoint& point : points) curve.push_back({point.*x, point.loss});
  return curve;
}

/// Loss against tokens and against seconds, in training and validation, over the seeds.
VariantCurves curves_of(const Comparison& comparison, const PlannedVariant& variant,
                        const Runs& runs) {
  std::vector<RunCurves> histories;
  histories.reserve(runs.size());
  for (const CompareRun* run : runs) {
    histories.push_back(
        read_curves(comparison.directory_of(*run), variant.training.tokens_per_step()));
  }
  const auto band = [&](std::vector<CurvePoint> RunCurves::*kind, double CurvePoint::*x) {
    std::vector<Curve> curves;
    curves.reserve(histories.size());
    for (const RunCurves& history : histories) curves.push_back(curve_of(history.*kind, x));
    return band_of(curves);
  };
  const auto bands = [&](std::vector<CurvePoint> RunCurves::*kind) {
    return CurveBands{.tokens = band(kind, &CurvePoint::tokens),
                      .seconds = band(kind, &CurvePoint::seconds)};
  };
  return {.train = bands(&RunCurves::train), .validation = bands(&RunCurves::validation)};
}

std::vector<RateResult> rates_of(const Comparison& comparison, std::size_t v) {
  const PlannedVariant& variant = comparison.variants()[v];
  const auto losses = comparison.losses(v);
  const std::size_t chosen = comparison.chosen_rate(v);
  const double worst = comparison.uniform_loss(v);
  std::vector<RateResult> rates;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    rates.push_back({.lr = variant.rates[i],
                     .loss = summary(losses[i]),
                     .diverged = std::count_if(losses[i].begin(), losses[i].end(),
                                               [&](double x) { return !(x <= worst); }),
                     .chosen = i == chosen});
  }
  return rates;
}

SearchCost search_cost(const Comparison& comparison, std::size_t v) {
  SearchCost cost;
  const std::uint64_t last = comparison.choosing_seeds().back();
  for (const CompareRun& run : comparison.runs()) {
    // Seeds that were added to a rate have had no part in its choice.
    if (run.variant != v || run.seed > last || comparison.judges(run)) continue;
    ++cost.runs;
    cost.tokens += run.record.tokens;
    cost.seconds += run.record.seconds;
  }
  return cost;
}

VariantResult variant_result(const Comparison& comparison, std::size_t v) {
  const PlannedVariant& variant = comparison.variants()[v];
  const Runs runs = chosen_runs(comparison, v);
  const std::size_t chosen = comparison.chosen_rate(v);
  VariantResult result;
  result.name = variant.variant.name;
  result.fields = Value::Object{};
  for (const auto& [name, value] : variant.variant.fields) result.fields.set(name, value);
  result.model = write_model(variant.model);
  std::vector<std::string> names = present_fields(field_parts(variant.training));
  std::erase_if(names, [](const std::string& name) { return name == "lr" || name == "seed"; });
  result.training = write_fields(field_parts(variant.training), names);
  result.parameters = variant.parameters;
  result.flops_per_token = variant.flops_per_token;
  result.training_flops = training_passes * static_cast<double>(variant.flops_per_token) *
                          summary_of(runs, &RunRecord::tokens).mean;
  result.memory = static_cast<std::int64_t>(variant.memory);
  result.match = {
      .factor = variant.match.factor, .count = variant.match.count, .error = variant.match.error};
  result.rates = rates_of(comparison, v);
  result.lr = variant.rates[chosen];
  result.lr_at_edge = comparison.chosen_at_edge(v);
  result.search = search_cost(comparison, v);
  result.loss = summary_of(runs, &RunRecord::final_loss);
  result.best_loss = summary_of(runs, &RunRecord::best_loss);
  result.train_loss = summary_of(runs, &RunRecord::train_loss);
  result.seconds = summary_of(runs, &RunRecord::seconds);
  result.tokens_per_second = summary_of(runs, &RunRecord::tokens_per_second);
  result.curves = curves_of(comparison, variant, runs);
  return result;
}

std::vector<PairRecord> pairs_of(const Comparison& comparison) {
  const auto& variants = comparison.variants();
  std::vector<std::vector<double>> losses;
  for (std::size_t v = 0; v < variants.size(); ++v) {
    losses.push_back(comparison.judged_losses(v));
  }
  std::vector<PairRecord> pairs;
  for (const PairResult& pair : compare_all(losses)) {
    PairRecord record{.a = variants[pair.a].variant.name,
                      .b = variants[pair.b].variant.name,
                      .n = static_cast<std::int64_t>(pair.test.n),
                      .verdict = pair.verdict};
    if (pair.verdict != Verdict::untested) {
      record.difference = pair.test.difference;
      record.low = pair.test.interval.low;
      record.high = pair.test.interval.high;
      record.t = pair.test.t;
      record.p = pair.test.p;
      record.p_holm = pair.corrected_p;
    }
    pairs.push_back(std::move(record));
  }
  return pairs;
}

RunResult run_result(const Comparison& comparison, const CompareRun& run) {
  const PlannedVariant& variant = comparison.variants()[run.variant];
  RunResult result;
  static_cast<RunRecord&>(result) = run.record;
  result.run = run.plan.hash;
  result.variant = variant.variant.name;
  result.lr = run.rate;
  result.seed = run.seed;
  result.chosen = comparison.judges(run);
  return result;
}

ResultData data_of(const Comparison& comparison) {
  const Settings& base = comparison.spec().base;
  const auto names = [](const std::vector<std::filesystem::path>& files) {
    std::vector<std::string> strings;
    strings.reserve(files.size());
    for (const auto& file : files) strings.push_back(file.string());
    return strings;
  };
  const DataFacts& facts = comparison.data();
  return {.files = {.train = names(base.data.values.train),
                    .valid = names(base.data.values.valid),
                    .valid_fraction = base.data.values.valid_fraction},
          .tokenizer = {.kind = base.tokenizer.values.kind,
                        .vocabulary = base.tokenizer.values.vocabulary,
                        .min_count = base.tokenizer.values.min_count,
                        .fingerprint = facts.tokenizer},
          .train = facts.train,
          .valid = facts.valid.value_or(""),
          .train_tokens = facts.train_tokens,
          .valid_tokens = facts.valid_tokens};
}

}  // namespace

Results results_of(const Comparison& comparison) {
  const CompareSpec& spec = comparison.spec();
  Results results;
  results.version = library_version();
  results.date = utc_now();
  results.measure = "final validation loss, nats per token";
  results.data = data_of(comparison);
  for (const Variation& variation : spec.vary) results.varied.push_back(variation.field);
  const TrainConfig& training = comparison.variants().front().training;
  results.budget = {.epochs = training.epochs,
                    .minutes = training.minutes,
                    .steps = training.steps,
                    .tokens = training.tokens};
  results.match = spec.match;
  results.seeds = comparison.seeds();
  results.threads = comparison.threads();
  results.jobs = comparison.jobs();
  results.same_batches = comparison.same_batches();
  for (std::size_t v = 0; v < comparison.variants().size(); ++v) {
    results.variants.push_back(variant_result(comparison, v));
  }
  results.pairs = pairs_of(comparison);
  for (const CompareRun& run : comparison.runs()) {
    results.runs.push_back(run_result(comparison, run));
  }
  return results;
}

void write_results(const std::filesystem::path& directory, const Results& results) {
  const LabDirectory files(directory);
  write_file(files.run_table_file(), runs_csv(results));
  write_file(files.results_file(), results_json(results));
}

}  // namespace sluice
