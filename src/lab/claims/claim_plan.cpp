#include "sluice/lab/claims/claim_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include "claims/claim_values.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/lab/compare/run.hpp"
#include "sluice/text/batches.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// Steps that are timed.
constexpr std::int64_t timed_steps = 6;
/// Cores that a claim's own estimate is for.
constexpr double estimated_cores = 2;

/// Seconds of a run of the variant as a few steps and one validation suggest.
double timed_run(const Comparison& comparison, const PlannedVariant& variant) {
  TrainConfig training = variant.training;
  const BatchStream stream(comparison.text().train, training.streams(), training.context);
  const std::int64_t steps = training.total_steps(stream.steps_per_epoch());
  const std::int64_t validations =
      1 + (training.validate_every > 0 ? steps / training.validate_every : 0);
  training.schedule.lr = variant.rates.front();
  training.tokens = training.epochs = 0;
  training.minutes = 0;
  training.steps = std::min(steps, timed_steps);
  training.validate_every = 0;
  training.log_every = 1;
  const fs::path directory = ModelDirectory(comparison.out()).cache() / "timed-run";
  const RunPlan plan{plan_of(comparison.spec().base, variant.model, training), "timed"};
  const ThreadCount threads(static_cast<int>(comparison.threads()));
  fs::remove_all(directory);  // what a killed plan left
  const std::optional<RunRecord> record = train_run(plan, comparison.text(), directory);
  fs::remove_all(directory);
  if (!record || !(record->tokens_per_second > 0)) return 0;
  const auto of_steps = [&](std::int64_t n) {
    return static_cast<double>(n * training.tokens_per_step()) / record->tokens_per_second;
  };
  const double validation = std::max(0.0, record->seconds - of_steps(training.steps));
  return of_steps(steps) + static_cast<double>(validations) * validation;
}

/// Mean seconds of the comparison's runs of a variant that are there.
std::optional<double> known_run(const Comparison& comparison, std::size_t variant) {
  double sum = 0;
  int count = 0;
  for (const CompareRun& run : comparison.runs()) {
    if (run.variant != variant || !run.done) continue;
    sum += run.record.seconds;
    ++count;
  }
  if (count == 0) return {};
  return sum / count;
}

class Planner {
 public:
  Planner(const Claim& claim, const ClaimRequest& request, const std::atomic<int>* stop)
      : claim_(with_seeds(claim, request.seeds)),
        request_(request),
        stop_(stop),
        measuring_(request.out, stop),
        values_(claim_, measuring_) {}

  ClaimPlan plan(PlanTiming timing, const ClaimCallbacks& callbacks) {
    plan_.name = claim_.name;
    plan_.title = claim_.title;
    plan_.measured = true;
    for (const ClaimComparison& asked : claim_.comparisons) {
      auto comparison = plan_comparison(claim_, asked, request_, callbacks, stop_);
      found_.push_back(comparison->find());
      values_.add(asked.name, std::move(comparison));
      add(asked, values_.comparison(asked.name), timing);
    }
    for (const ClaimPart& part : claim_.parts) plan_.parts.push_back(forecast_of(part));
    return plan_;
  }

 private:
  void add(const ClaimComparison& asked, const Comparison& comparison, PlanTiming timing) {
    const LookPlan looks = plan_looks(asked.seeds, claim_.most_seeds);
    const auto variants = comparison.variants().size();
    const std::int64_t pilots = asked.search.pilots;
    plan_.at_least = plan_.at_least || (pilots > 0 && !found_.back());
    // Runs of a variant: those that choose its rate, unless they are among those that judge.
    const auto runs_of = [&](const PlannedVariant& variant) {
      const auto rates = static_cast<std::int64_t>(variant.rates.size());
      if (pilots == 0) return rates * asked.seeds;
      const std::int64_t tried =
          found_.back() ? rates : asked.search.least_rates(rates - variant.refined);
      return tried * pilots + asked.seeds;
    };
    // What further looks may add seeds to.
    ClaimArms read;
    for (const ClaimPart& part : claim_.parts) read.merge(values_.arms(part, asked.name));
    plan_.seeds = std::max(plan_.seeds, asked.seeds);
    plan_.most_seeds = std::max(plan_.most_seeds, looks.seeds.back());
    for (std::size_t v = 0; v < variants; ++v) {
      const PlannedVariant& variant = comparison.variants()[v];
      const double each = seconds_of(comparison, v, timing);
      const std::int64_t done =
          std::count_if(comparison.runs().begin(), comparison.runs().end(),
                        [&](const CompareRun& run) { return run.variant == v && run.done; });
      const std::int64_t arms =
          std::count_if(read.begin(), read.end(), [&](const auto& arm) { return arm.first == v; });
      const auto cost = [&](std::int64_t runs) {
        const std::int64_t left = std::max<std::int64_t>(0, runs - done);
        return static_cast<double>(left) * each / static_cast<double>(comparison.jobs());
      };
      const std::int64_t runs = runs_of(variant);
      plan_.runs += runs;
      plan_.done += done;
      plan_.seconds += cost(runs);
      plan_.most_seconds += cost(runs + arms * (looks.seeds.back() - asked.seeds));
    }
  }

  double seconds_of(const Comparison& comparison, std::size_t v, PlanTiming timing) {
    if (const auto known = known_run(comparison, v)) return *known;
    if (timing == PlanTiming::measured) {
      measuring_.check_stop();
      return timed_run(comparison, comparison.variants()[v]);
    }
    plan_.measured = false;
    std::int64_t runs = 0;
    for (const ClaimComparison& each : claim_.comparisons) runs += each.runs();
    return 60 * estimated_cores * claim_.minutes / static_cast<double>(runs);
  }

  /// From the seeds that are there, all or none.
  PartForecast forecast_of(const ClaimPart& part) {
    PartForecast forecast{.statement = part.statement, .forecast = {}};
    for (const ClaimSelection* side : selections_of(part)) {
      for (std::size_t i = 0; i < claim_.comparisons.size(); ++i) {
        if (claim_.comparisons[i].name == side->comparison && !found_[i]) return forecast;
      }
    }
    const PartResult result = values_.values(part);
    const ClaimComparison& comparison = claim_.comparison(part.a.of.comparison);
    forecast.pilot = static_cast<std::int64_t>(result.values_a.size());
    forecast.forecast = sluice::forecast(terms_of(result, claim_.parts.size()),
                                         plan_looks(comparison.seeds, claim_.most_seeds),
                                         result.values_a, result.values_b);
    return forecast;
  }

  const Claim claim_;
  const ClaimRequest& request_;
  const std::atomic<int>* stop_;
  Measuring measuring_;
  ClaimValues values_;
  ClaimPlan plan_;
  /// By comparison: whether all its runs are there.
  std::vector<bool> found_;
};

std::string minutes_text(double seconds) {
  if (seconds >= 59.5) return fmt::format("{:.1f} minutes", seconds / 60);
  const long whole = std::lround(seconds);
  return fmt::format("{} second{}", whole, whole == 1 ? "" : "s");
}

std::string forecast_text(const PartForecast& part) {
  if (part.pilot == 0) return "";
  std::string text =
      fmt::format("  {}: from {} seed{}, ", part.statement, part.pilot, part.pilot == 1 ? "" : "s");
  const SeedForecast& found = part.forecast;
  if (!found.known) return text + "nothing is to be foreseen\n";
  if (found.seeds == 0) return text + "not decided within the seeds that it may have\n";
  text += fmt::format("{} with {} seeds", name_of(found.verdict), found.seeds);
  if (found.cautious == 0) return text + ", or not, few seeds telling little of their spread\n";
  return text +
         (found.cautious > found.seeds ? fmt::format(", {} at worst\n", found.cautious) : "\n");
}

}  // namespace

ClaimPlan plan_claim(const Claim& claim, const ClaimRequest& request, PlanTiming timing,
                     const ClaimCallbacks& callbacks, const std::atomic<int>* stop) {
  return Planner(claim, request, stop).plan(timing, callbacks);
}

std::string format_plan(const ClaimPlan& plan, bool until_decided) {
  std::string text =
      fmt::format("{}: {}{} runs", plan.name, plan.at_least ? "at least " : "", plan.runs);
  if (plan.done > 0) text += fmt::format(", {} of them there", std::min(plan.done, plan.runs));
  text += fmt::format("; {}{}", plan.measured ? "" : "about ", minutes_text(plan.seconds));
  if (until_decided) {
    text += fmt::format(" for {} seeds, {} if it takes {}", plan.seeds,
                        minutes_text(plan.most_seconds), plan.most_seeds);
  }
  text += "\n";
  for (const PartForecast& part : plan.parts) text += forecast_text(part);
  return text;
}

std::string format_plans(const std::vector<ClaimPlan>& plans, bool until_decided) {
  std::int64_t runs = 0;
  double seconds = 0;
  double most = 0;
  bool at_least = false;
  for (const ClaimPlan& plan : plans) {
    runs += plan.runs;
    at_least = at_least || plan.at_least;
    seconds += plan.seconds;
    most += plan.most_seconds;
  }
  std::string text =
      fmt::format("{} claim{}, {}{} runs: {}", plans.size(), plans.size() == 1 ? "" : "s",
                  at_least ? "at least " : "", runs, minutes_text(seconds));
  if (until_decided) text += fmt::format(", at most {}", minutes_text(most));
  return text + "\n";
}

}  // namespace sluice
