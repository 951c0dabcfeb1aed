#include "sluice/lab/compare/results.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "json_values.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/json.hpp"
#include "sluice/base/version.hpp"
#include "sluice/lab/compare/curves.hpp"
#include "sluice/lab/compare/statistics.hpp"
#include "utc_now.hpp"

namespace sluice {
namespace {

using nlohmann::json;

/// Trained tokens cost three forward passes: one forward, two for the gradients.
constexpr double training_passes = 3;

/// Mean, deviation and interval of values; null where there are too few, or one is not finite.
json summary(const std::vector<double>& values) {
  json out = {{"values", json::array()},
              {"mean", nullptr},
              {"deviation", nullptr},
              {"low", nullptr},
              {"high", nullptr}};
  bool finite = true;
  for (const double value : values) {
    out["values"].push_back(number(value));
    finite = finite && std::isfinite(value);
  }
  if (!finite) return out;
  out["mean"] = mean(values);
  if (values.size() < 2) return out;
  const Interval interval = mean_interval(values);
  out["deviation"] = standard_deviation(values);
  out["low"] = interval.low;
  out["high"] = interval.high;
  return out;
}

json band_json(const Band& band) {
  return {{"x", band.x}, {"mean", band.mean}, {"low", band.low}, {"high", band.high}};
}

/// The runs of a variant at the rate it is judged by, by seed.
std::vector<const CompareRun*> chosen_runs(const Comparison& comparison, std::size_t variant) {
  const double rate = comparison.variants()[variant].rates[comparison.chosen_rate(variant)];
  std::vector<const CompareRun*> runs;
  for (const std::uint64_t seed : comparison.seeds()) {
    runs.push_back(&comparison.run_of(variant, rate, seed));
  }
  return runs;
}

std::vector<double> collect(const std::vector<const CompareRun*>& runs,
                            double (*value)(const RunRecord&)) {
  std::vector<double> values;
  values.reserve(runs.size());
  for (const CompareRun* run : runs) values.push_back(value(run->record));
  return values;
}

Curve curve_of(const std::vector<CurvePoint>& points, double CurvePoint::*x) {
  Curve curve;
  curve.reserve(points.size());
  for (const CurvePoint& point : points) curve.push_back({point.*x, point.loss});
  return curve;
}

/// Loss against tokens and against seconds, in training and validation, over the seeds.
json curves_json(const Comparison& comparison, const PlannedVariant& variant,
                 const std::vector<const CompareRun*>& runs) {
  std::vector<RunCurves> histories;
  histories.reserve(runs.size());
  for (const CompareRun* run : runs) {
    histories.push_back(read_curves(comparison.directory_of(*run),
                                    variant.training.batch * variant.training.context));
  }
  const auto band = [&](std::vector<CurvePoint> RunCurves::*kind, double CurvePoint::*x) {
    std::vector<Curve> curves;
    curves.reserve(histories.size());
    for (const RunCurves& history : histories) curves.push_back(curve_of(history.*kind, x));
    return band_json(band_of(curves));
  };
  return {{"train",
           {{"tokens", band(&RunCurves::train, &CurvePoint::tokens)},
            {"seconds", band(&RunCurves::train, &CurvePoint::seconds)}}},
          {"validation",
           {{"tokens", band(&RunCurves::validation, &CurvePoint::tokens)},
            {"seconds", band(&RunCurves::validation, &CurvePoint::seconds)}}}};
}

json rates_json(const Comparison& comparison, std::size_t v) {
  const PlannedVariant& variant = comparison.variants()[v];
  const auto losses = comparison.losses(v);
  const std::size_t chosen = comparison.chosen_rate(v);
  const double worst = comparison.uniform_loss(v);
  json rates = json::array();
  for (std::size_t i = 0; i < losses.size(); ++i) {
    rates.push_back({{"lr", variant.rates[i]},
                     {"loss", summary(losses[i])},
                     {"diverged", std::count_if(losses[i].begin(), losses[i].end(),
                                                [&](double x) { return !(x <= worst); })},
                     {"chosen", i == chosen}});
  }
  return rates;
}

/// What the runs of the rates that were not chosen cost.
json search_json(const Comparison& comparison, std::size_t v) {
  const PlannedVariant& variant = comparison.variants()[v];
  const double chosen = variant.rates[comparison.chosen_rate(v)];
  std::int64_t runs = 0;
  std::int64_t tokens = 0;
  double seconds = 0;
  for (const CompareRun& run : comparison.runs()) {
    if (run.variant != v || run.rate == chosen) continue;
    ++runs;
    tokens += run.record.tokens;
    seconds += run.record.seconds;
  }
  return {{"runs", runs}, {"tokens", tokens}, {"seconds", seconds}};
}

json variant_json(const Comparison& comparison, std::size_t v) {
  const PlannedVariant& variant = comparison.variants()[v];
  const auto runs = chosen_runs(comparison, v);
  const std::size_t chosen = comparison.chosen_rate(v);
  json fields = json::object();
  for (const auto& [name, value] : variant.variant.fields) fields[name] = document_of(value);
  json training = variant.training;
  for (const char* name : {"lr", "seed"}) training.erase(name);
  const json speed = summary(collect(runs, [](const RunRecord& r) { return r.tokens_per_second; }));
  const json tokens =
      summary(collect(runs, [](const RunRecord& r) { return static_cast<double>(r.tokens); }));
  return {{"name", variant.variant.name},
          {"fields", fields},
          {"model", variant.model},
          {"training", training},
          {"parameters", variant.parameters},
          {"flops_per_token", variant.flops_per_token},
          {"training_flops", training_passes * static_cast<double>(variant.flops_per_token) *
                                 tokens["mean"].get<double>()},
          {"memory", variant.memory},
          {"match",
           {{"factor", variant.match.factor},
            {"count", variant.match.count},
            {"error", variant.match.error}}},
          {"rates", rates_json(comparison, v)},
          {"lr", variant.rates[chosen]},
          {"lr_at_edge",
           variant.rates.size() > 1 && (chosen == 0 || chosen + 1 == variant.rates.size())},
          {"search", search_json(comparison, v)},
          {"loss", summary(collect(runs, [](const RunRecord& r) { return r.final_loss; }))},
          {"best_loss", summary(collect(runs, [](const RunRecord& r) { return r.best_loss; }))},
          {"train_loss", summary(collect(runs, [](const RunRecord& r) { return r.train_loss; }))},
          {"seconds", summary(collect(runs, [](const RunRecord& r) { return r.seconds; }))},
          {"tokens_per_second", speed},
          {"curves", curves_json(comparison, variant, runs)}};
}

json pair_json(const Comparison& comparison, const PairResult& pair) {
  const auto& variants = comparison.variants();
  json out = {{"a", variants[pair.a].variant.name},
              {"b", variants[pair.b].variant.name},
              {"verdict", name_of(pair.verdict)}};
  const bool tested = pair.verdict != Verdict::untested;
  const auto put = [&](const char* name, double value) {
    out[name] = tested ? number(value) : json();
  };
  out["n"] = pair.test.n;
  put("difference", pair.test.difference);
  put("low", pair.test.interval.low);
  put("high", pair.test.interval.high);
  put("t", pair.test.t);
  put("p", pair.test.p);
  put("p_holm", pair.corrected_p);
  return out;
}

json pairs_json(const Comparison& comparison) {
  std::vector<std::vector<double>> losses;
  for (std::size_t v = 0; v < comparison.variants().size(); ++v) {
    losses.push_back(comparison.losses(v)[comparison.chosen_rate(v)]);
  }
  json pairs = json::array();
  for (const PairResult& pair : compare_all(losses)) pairs.push_back(pair_json(comparison, pair));
  return pairs;
}

json run_json(const Comparison& comparison, const CompareRun& run) {
  const PlannedVariant& variant = comparison.variants()[run.variant];
  const double chosen = variant.rates[comparison.chosen_rate(run.variant)];
  json all = document_of(write_fields({{run_record_fields(), run.record}}));
  all.update({{"run", run.plan.hash},
              {"variant", variant.variant.name},
              {"lr", run.rate},
              {"seed", run.seed},
              {"chosen", run.rate == chosen}});
  return all;
}

json budget_json(const TrainConfig& training) {
  return {{"epochs", training.epochs},
          {"minutes", training.minutes},
          {"steps", training.steps},
          {"tokens", training.tokens}};
}

}  // namespace

json results_of(const Comparison& comparison) {
  const CompareSpec& spec = comparison.spec();
  const Settings& base = spec.base;
  json variants = json::array();
  for (std::size_t v = 0; v < comparison.variants().size(); ++v) {
    variants.push_back(variant_json(comparison, v));
  }
  json runs = json::array();
  for (const CompareRun& run : comparison.runs()) runs.push_back(run_json(comparison, run));
  json fields = json::array();
  for (const Variation& variation : spec.vary) fields.push_back(variation.field);

  json data = comparison.data();
  data["files"] = document_of(write_fields(field_parts(base.data.values)));
  data["tokenizer"] = document_of(base.tokenizer.write());
  data["tokenizer"]["fingerprint"] = comparison.data()["tokenizer"];
  return {{"format_version", results_format_version},
          {"version", library_version()},
          {"date", utc_now()},
          {"measure", "final validation loss, nats per token"},
          {"confidence", default_confidence},
          {"data", data},
          {"varied", fields},
          {"budget", budget_json(comparison.variants().front().training)},
          {"match", name_of(spec.match)},
          {"seeds", comparison.seeds()},
          {"threads", comparison.threads()},
          {"jobs", comparison.jobs()},
          {"same_batches", comparison.same_batches()},
          {"variants", variants},
          {"pairs", pairs_json(comparison)},
          {"runs", runs}};
}

void write_results(const std::filesystem::path& directory, const json& results) {
  write_file(directory / "runs.csv", runs_csv(results));
  write_file(directory / "results.json", results.dump(1) + "\n");
}

}  // namespace sluice
