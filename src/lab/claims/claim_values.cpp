#include "claims/claim_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "json_values.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// "gtu", "0.1", "glu|reglu", "none" for an empty list.
std::string value_name(const Value& value) {
  const auto* const list = value.as<Value::List>();
  if (list == nullptr) return value_text(value);
  std::vector<std::string> names;
  for (const Value& each : *list) names.push_back(value_name(each));
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, "|"));
}

/// "unit=gtu", "norm=batch batch=1 less norm=batch batch=32", "relu-4: init_scale=0.1" where sides
/// of several comparisons meet.
std::string side_name(const ClaimSide& side, bool with_comparison) {
  const auto name = [](const ClaimSelection& selection) {
    std::vector<std::string> fields;
    for (const auto& [field, value] : selection.variant) {
      fields.push_back(fmt::format("{}={}", field, value_name(value)));
    }
    switch (selection.rate.kind) {
      case ClaimRate::Kind::lowest:
        fields.emplace_back("(lowest learning rate)");
        break;
      case ClaimRate::Kind::highest:
        fields.emplace_back("(highest learning rate)");
        break;
      case ClaimRate::Kind::given:
        fields.push_back(fmt::format("(learning rate {:g})", selection.rate.value));
        break;
      case ClaimRate::Kind::chosen:
        break;
    }
    return fields.empty() ? std::string("all") : fmt::format("{}", fmt::join(fields, " "));
  };
  std::string text =
      side.minus ? fmt::format("{} less {}", name(side.of), name(*side.minus)) : name(side.of);
  return with_comparison ? fmt::format("{}: {}", side.of.comparison, text) : text;
}

}  // namespace

std::vector<std::size_t> ClaimValues::variants_of(const ClaimSelection& selection) const {
  std::vector<std::size_t> found;
  const auto& variants = of(selection).variants();
  for (std::size_t v = 0; v < variants.size(); ++v) {
    if (selects(selection.variant, variants[v].variant)) found.push_back(v);
  }
  return found;
}

std::size_t ClaimValues::rate_number(const ClaimSelection& selection, std::size_t variant) const {
  const std::vector<double>& rates = of(selection).variants()[variant].rates;
  switch (selection.rate.kind) {
    case ClaimRate::Kind::lowest:
      return 0;
    case ClaimRate::Kind::highest:
      return rates.size() - 1;
    case ClaimRate::Kind::given:
      // It is one of them, which the claim's reader has seen to.
      return static_cast<std::size_t>(std::find(rates.begin(), rates.end(), selection.rate.value) -
                                      rates.begin());
    case ClaimRate::Kind::chosen:
      break;
  }
  return of(selection).chosen_rate(variant);
}

ClaimArms ClaimValues::arms(const ClaimPart& part, const std::string& comparison) const {
  ClaimArms read;
  for (const ClaimSelection* selection : selections_of(part)) {
    if (selection->comparison != comparison) continue;
    for (const std::size_t v : variants_of(*selection)) {
      read.emplace(v, rate_number(*selection, v));
    }
  }
  return read;
}

/// The seeds that all runs which the part reads have. All begin with the same one.
std::vector<std::uint64_t> ClaimValues::seeds_of(const ClaimPart& part) const {
  std::vector<std::uint64_t> shared = of(part.a.of).seeds();
  for (const ClaimSelection* selection : selections_of(part)) {
    for (const std::size_t v : variants_of(*selection)) {
      const auto own = of(*selection).seeds_of(v, rate_of(*selection, v));
      if (own.size() < shared.size()) shared = own;
    }
  }
  return shared;
}

MeasuredRun ClaimValues::run_of(const ClaimSelection& selection, std::size_t variant,
                                std::uint64_t seed) const {
  const Comparison& all = of(selection);
  return {all, all.run_of(variant, rate_of(selection, variant), seed)};
}

/// The measure of a selection with one seed: the mean over its variants.
double ClaimValues::value(const Measure& measure, const ClaimPart& part,
                          const ClaimSelection& selection, std::uint64_t seed) {
  double sum = 0;
  const std::vector<std::size_t> variants = variants_of(selection);
  for (const std::size_t variant : variants) {
    sum += measure.of_run(measuring_, run_of(selection, variant, seed), part.at);
  }
  return sum / static_cast<double>(variants.size());
}

double ClaimValues::value(const Measure& measure, const ClaimPart& part, const ClaimSide& side,
                          std::uint64_t seed) {
  const double of = value(measure, part, side.of, seed);
  return side.minus ? of - value(measure, part, *side.minus, seed) : of;
}

PartResult ClaimValues::values(const ClaimPart& part) {
  const Measure& measure = find_measure(part.measure);
  PartResult result = described(part, measure);
  for (const std::uint64_t seed : seeds_of(part)) {
    if (measure.of_pair) {
      const auto [a, b] =
          measure.of_pair(run_of(part.a.of, variants_of(part.a.of).front(), seed),
                          run_of(part.b->of, variants_of(part.b->of).front(), seed));
      result.values_a.push_back(a);
      result.values_b.push_back(b);
      continue;
    }
    result.values_a.push_back(value(measure, part, part.a, seed));
    if (part.b) result.values_b.push_back(value(measure, part, *part.b, seed));
  }
  return result;
}

void ClaimValues::judge(PartResult& result, const LookPlan& looks, std::size_t look) const {
  const PartTerms terms = terms_of(result, claim_.parts.size());
  result.confidence = looks.confidence(look);
  const auto [effect, verdict] =
      judge_values(terms, result.values_a, result.values_b, result.confidence);
  result.verdict = verdict;
  result.a = effect.a;
  result.b = effect.b;
  result.effect = effect.effect;
  result.low = effect.interval.low;
  result.high = effect.interval.high;
  result.wide_low = effect.wide.low;
  result.wide_high = effect.wide.high;
  result.n = static_cast<std::int64_t>(effect.n);
  result.looks = looks.seeds;
  result.looked = static_cast<std::int64_t>(look) + 1;
  if (verdict == ClaimVerdict::inconclusive) {
    result.seeds_to_tell = seeds_to_tell(result, claim_.parts.size());
    return;
  }
  const double correction = (1 - default_confidence) / looks.alpha[look];
  const double p = verdict_p(terms, verdict, result.values_a, result.values_b);
  result.p = std::min(1.0, correction * p);
}

/// The measure of each block of the text, mean over a selection's variants and the seeds; empty
/// when a run has none.
std::vector<double> ClaimValues::blocks(const Measure& measure, const ClaimSelection& selection,
                                        const std::vector<std::uint64_t>& seeds) {
  std::vector<double> sums;
  double count = 0;
  for (const std::size_t variant : variants_of(selection)) {
    for (const std::uint64_t seed : seeds) {
      const std::vector<double> own =
          measure.of_blocks(measuring_, run_of(selection, variant, seed));
      if (own.empty()) return {};
      sums.resize(own.size());
      for (std::size_t i = 0; i < own.size(); ++i) sums[i] += own[i];
      ++count;
    }
  }
  for (double& sum : sums) sum /= count;
  return sums;
}

void ClaimValues::add_text(PartResult& result, const ClaimPart& part) {
  const Measure& measure = find_measure(part.measure);
  // Blocks are averaged over the seeds: of another statistic of them it would be no interval.
  if (!measure.of_blocks || part.effect != EffectKind::difference) return;
  if (part.statistic != Statistic::mean) return;
  const std::vector<std::uint64_t> seeds = seeds_of(part);
  std::vector<double> effect = blocks(measure, part.a.of, seeds);
  const auto add = [&](const ClaimSelection& selection, double sign) {
    const std::vector<double> own = blocks(measure, selection, seeds);
    if (own.size() != effect.size()) return effect.clear();
    for (std::size_t i = 0; i < own.size(); ++i) effect[i] += sign * own[i];
  };
  if (part.a.minus) add(*part.a.minus, -1);
  if (part.b) add(part.b->of, -1);
  if (part.b && part.b->minus) add(*part.b->minus, 1);
  if (effect.size() < 2) return;
  const Interval interval = block_bootstrap(effect);
  result.text_blocks = static_cast<std::int64_t>(effect.size());
  result.text_low = interval.low;
  result.text_high = interval.high;
}

/// What is claimed, and of which sides.
PartResult ClaimValues::described(const ClaimPart& part, const Measure& measure) const {
  PartResult result;
  result.statement = part.statement;
  result.measure = part.measure;
  if (measure.has_at) result.at = part.at;
  result.kind = part.effect;
  result.expect = part.expect;
  result.threshold = part.threshold;
  result.statistic = part.statistic;
  result.bound = part.bound;
  result.unit = measure.unit;
  const bool across = part.b && part.b->of.comparison != part.a.of.comparison;
  result.side_a = side_name(part.a, across);
  result.rates_a = rates_of_side(part.a.of);
  if (part.b) {
    result.side_b = side_name(*part.b, across);
    result.rates_b = rates_of_side(part.b->of);
  }
  return result;
}

SideRates ClaimValues::rates_of_side(const ClaimSelection& selection) const {
  SideRates rates;
  for (const std::size_t v : variants_of(selection)) {
    rates.lr.push_back(rate_of(selection, v));
    rates.at_edge = rates.at_edge || (selection.rate.kind == ClaimRate::Kind::chosen &&
                                      of(selection).chosen_at_edge(v));
  }
  return rates;
}

PartTerms terms_of(const PartResult& result, std::size_t parts) {
  return {.kind = result.kind,
          .statistic = result.statistic,
          .expect = result.expect,
          .threshold = result.threshold,
          .bound = result.bound,
          .parts = parts};
}

std::optional<std::int64_t> seeds_to_tell(const PartResult& part, std::size_t parts) {
  if (part.verdict != ClaimVerdict::inconclusive || part.looked < 0) return {};
  const std::vector<std::int64_t>& all = part.looks;
  // Looks may be a file's.
  const bool ascend =
      std::adjacent_find(all.begin(), all.end(), std::greater_equal<>()) == all.end();
  if (all.empty() || !ascend || all.front() < 1 || all.back() > most_compare_seeds) return {};
  const auto gone = static_cast<std::size_t>(part.looked);
  if (gone >= all.size()) return {};
  LookPlan looks = looks_at(all);
  looks.seeds.erase(looks.seeds.begin(), looks.seeds.begin() + part.looked);
  looks.alpha.erase(looks.alpha.begin(), looks.alpha.begin() + part.looked);
  try {
    const SeedForecast found = forecast(terms_of(part, parts), looks, part.values_a, part.values_b);
    return found.known ? std::optional(found.seeds) : std::nullopt;
  } catch (const Error&) {
    return {};  // values that are none of such a part
  }
}

}  // namespace sluice
