// The report's sections on a comparison: variants, curves, learning rates, pairs.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "report/report_page.hpp"

namespace sluice::report {
namespace {

/// At most this many pairs are drawn; beyond that only those with the best variant.
constexpr std::size_t pairs_drawn = 30;

std::string plus_minus(const Summary& summary) {
  if (!std::isfinite(summary.mean)) return "diverged";
  std::string text = fixed(summary.mean, 4);
  if (std::isfinite(summary.low)) {
    text += fmt::format(" ± {:.4f}", (summary.high - summary.low) / 2);
  }
  return text;
}

Table variants_table(const Results& results) {
  Table table{
      .id = "variants",
      .caption = "Variants, each at the learning rate it is judged by; ± is half the 95% interval",
      .columns = {{"Variant", "variant"},
                  {"Final loss", "loss"},
                  {"Low", "loss_low"},
                  {"High", "loss_high"},
                  {"Perplexity", "perplexity"},
                  {"Parameters", "parameters"},
                  {"Learning rate", "lr"},
                  {"Tokens/s", "tokens_per_second"},
                  {"Time", "seconds"},
                  {"Memory", "memory"},
                  {"FLOP/token", "flops_per_token"}}};
  const bool unequal = results.fewest_seeds() < results.seeds.size();
  if (unequal) table.columns.push_back({"Seeds", "seeds"});
  for (const VariantResult& variant : results.variants) {
    const Summary& loss = variant.loss;
    const double perplexity = std::exp(loss.mean);
    const double speed = variant.tokens_per_second.mean;
    const double seconds = variant.seconds.mean;
    const auto whole = [](std::int64_t number) {
      return Cell{number, count(static_cast<double>(number))};
    };
    table.rows.push_back({{variant.name, variant.name},
                          {loss.mean, plus_minus(loss)},
                          {loss.low, fixed(loss.low, 4)},
                          {loss.high, fixed(loss.high, 4)},
                          {perplexity, fixed(perplexity, 2)},
                          whole(variant.parameters),
                          {variant.lr, significant(variant.lr) + (variant.lr_at_edge ? "*" : "")},
                          {speed, count(speed)},
                          {seconds, span_of_time(seconds)},
                          {variant.memory, bytes(static_cast<double>(variant.memory))},
                          whole(variant.flops_per_token)});
    if (unequal) {
      table.rows.back().push_back(whole(static_cast<std::int64_t>(loss.values.size())));
    }
  }
  return table;
}

/// Final losses, the best first.
Figure final_losses(const Results& results) {
  Chart chart{.id = "final-loss",
              .label = "Final loss",
              .kind = ChartKind::interval,
              .x = {"Variant", "variant", "category", "number"},
              .y = {"Final validation loss, nats per token", "loss"},
              .keys = {},
              .summary = "Final validation loss of each variant with its 95% interval."};
  std::vector<std::pair<const VariantResult*, std::size_t>> order;
  for (const VariantResult& variant : results.variants) order.emplace_back(&variant, order.size());
  std::erase_if(order, [](const auto& entry) { return !std::isfinite(entry.first->loss.mean); });
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.first->loss.mean < b.first->loss.mean;
  });
  for (const auto& [variant, index] : order) {
    const Summary& loss = variant->loss;
    Series series{.name = variant->name, .x = {variant->name}, .y = {loss.mean}, .color = index};
    if (std::isfinite(loss.low)) {
      series.low = {loss.low};
      series.high = {loss.high};
    }
    chart.series.push_back(std::move(series));
  }
  return {"Final loss",
          "Dots are means over the seeds, bars their 95% intervals; the best is on top.",
          {std::move(chart)}};
}

Axis loss_axis() { return {"Loss, nats per token", "loss"}; }

/// What learning curves are drawn over.
enum class Over : std::uint8_t { tokens, seconds };

const char* over_name(Over over) { return over == Over::tokens ? "tokens" : "seconds"; }

Axis progress_axis(Over over) {
  return over == Over::tokens ? Axis{"Tokens trained on", "tokens", "linear", "count"}
                              : Axis{"Seconds of training", "seconds", "linear", "seconds"};
}

/// The mean and band of every variant.
Chart band_chart(const Results& results, CurveBands VariantCurves::*kind, const char* kind_name,
                 Over over) {
  const std::string label = kind == &VariantCurves::train ? "Training" : "Validation";
  Chart chart{.id = fmt::format("loss-{}-{}", over_name(over), kind_name),
              .label = label,
              .kind = ChartKind::line,
              .x = progress_axis(over),
              .y = loss_axis(),
              .keys = {"variant"},
              .summary = fmt::format("{} loss of each variant against {}, mean over the seeds with "
                                     "its 95% band.",
                                     label, over_name(over))};
  std::size_t index = 0;
  for (const VariantResult& variant : results.variants) {
    const CurveBands& bands = variant.curves.*kind;
    const Band& band = over == Over::tokens ? bands.tokens : bands.seconds;
    const std::size_t color = index++;
    if (band.x.empty()) continue;
    chart.series.push_back({.name = variant.name,
                            .keys = {variant.name},
                            .x = {band.x.begin(), band.x.end()},
                            .y = band.mean,
                            .low = band.low,
                            .high = band.high,
                            .color = color});
  }
  return chart;
}

/// The training loss of every run whose history could be read.
Chart runs_chart(const ReportedResults& reported, Over over) {
  const Results& results = reported.results;
  Chart chart{.id = fmt::format("loss-{}-runs", over_name(over)),
              .label = "Every run",
              .kind = ChartKind::line,
              .x = progress_axis(over),
              .y = {"Training loss, nats per token", "loss"},
              .keys = {"variant", "lr", "seed", "run"},
              .summary = fmt::format("Training loss of every run against {}, other learning rates "
                                     "included.",
                                     over_name(over))};
  std::map<std::string, std::size_t> colors;
  for (const VariantResult& variant : results.variants) {
    colors.emplace(variant.name, colors.size());
  }
  for (std::size_t i = 0; i < reported.histories.size(); ++i) {
    if (!reported.histories[i] || reported.histories[i]->train.empty()) continue;
    const RunResult& run = results.runs[i];
    Series series{
        .name = fmt::format("{}, rate {}, seed {}", run.variant, significant(run.lr), run.seed),
        .keys = {run.variant, run.lr, run.seed, run.run},
        .color = colors[run.variant]};
    for (const CurvePoint& point : reported.histories[i]->train) {
      series.x.emplace_back(over == Over::tokens ? point.tokens : point.seconds);
      series.y.push_back(point.loss);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

Figure curves(const ReportedResults& reported, Over over) {
  Figure figure{over == Over::tokens ? "Loss against tokens" : "Loss against time",
                over == Over::tokens
                    ? "Bands are 95% intervals of the mean over the seeds. Drag over a part to "
                      "look closer."
                    : "The same against the clock, validation included.",
                {}};
  const Results& results = reported.results;
  for (Chart& chart : std::vector<Chart>{
           band_chart(results, &VariantCurves::validation, "validation", over),
           band_chart(results, &VariantCurves::train, "train", over), runs_chart(reported, over)}) {
    if (!chart.series.empty()) figure.views.push_back(std::move(chart));
  }
  return figure;
}

Figure rates(const Results& results) {
  Chart chart{.id = "rates",
              .label = "Learning rates",
              .kind = ChartKind::points,
              .x = {"Learning rate", "lr", "log", "number"},
              .y = loss_axis(),
              .keys = {"variant"},
              .summary = "Mean final validation loss of each variant against the learning rate."};
  std::size_t index = 0;
  for (const VariantResult& variant : results.variants) {
    Series series{.name = variant.name, .keys = {variant.name}, .color = index++};
    bool intervals = false;
    for (const RateResult& rate : variant.rates) {
      if (rate.chosen) series.marked = static_cast<std::int64_t>(series.x.size());
      series.x.emplace_back(rate.lr);
      series.y.push_back(rate.loss.mean);
      series.low.push_back(rate.loss.low);
      series.high.push_back(rate.loss.high);
      intervals = intervals || std::isfinite(rate.loss.low);
    }
    if (!intervals) {
      series.low.clear();
      series.high.clear();
    }
    chart.series.push_back(std::move(series));
  }
  return {
      "Final loss by learning rate",
      "The ringed point is the rate the variant is judged by; where runs diverged there is none.",
      {std::move(chart)}};
}

Table rates_table(const Results& results) {
  Table table{.id = "rates-table",
              .caption = "Learning rates tried",
              .columns = {{"Variant", "variant"},
                          {"Learning rate", "lr"},
                          {"Final loss", "loss"},
                          {"Low", "low"},
                          {"High", "high"},
                          {"Diverged", "diverged"},
                          {"Chosen", "chosen"}}};
  for (const VariantResult& variant : results.variants) {
    for (const RateResult& rate : variant.rates) {
      const Summary& loss = rate.loss;
      table.rows.push_back({{variant.name, variant.name},
                            {rate.lr, significant(rate.lr)},
                            {loss.mean, plus_minus(loss)},
                            {loss.low, fixed(loss.low, 4)},
                            {loss.high, fixed(loss.high, 4)},
                            {rate.diverged, count(static_cast<double>(rate.diverged))},
                            {rate.chosen, rate.chosen ? "chosen" : ""}});
    }
  }
  return table;
}

Figure pair_differences(const Results& results) {
  Chart chart{.id = "differences",
              .label = "Differences",
              .kind = ChartKind::interval,
              .x = {"Pair", "pair", "category", "number"},
              .y = {"Difference of final losses, nats per token", "difference"},
              .keys = {"verdict"},
              .reference = 0,
              .summary = "Paired difference of final losses for each pair with its 95% interval."};
  const VariantResult* const best = best_variant(results);
  const bool all = results.pairs.size() <= pairs_drawn || best == nullptr;
  std::map<std::string, Series> by_verdict;
  for (const PairRecord& pair : results.pairs) {
    if (!std::isfinite(pair.difference) || (!all && !pair.has(best->name))) continue;
    const std::string& verdict = name_of(pair.verdict);
    Series& series = by_verdict[verdict];
    series.name = verdict;
    series.keys = {verdict};
    series.color = pair.verdict == Verdict::better ? 2 : pair.verdict == Verdict::worse ? 1 : 0;
    series.x.emplace_back(fmt::format("{} − {}", pair.a, pair.b));
    series.y.push_back(pair.difference);
    series.low.push_back(pair.low);
    series.high.push_back(pair.high);
  }
  for (auto& [verdict, series] : by_verdict) chart.series.push_back(std::move(series));
  return {
      "Paired differences",
      std::string(
          "Left of zero the first of the two is better. Intervals are of single pairs; verdicts "
          "are corrected for there being several.") +
          (all ? "" : " Shown are the pairs with the best variant."),
      {std::move(chart)}};
}

Table pairs_table(const Results& results) {
  Table table{
      .id = "pairs-table",
      .caption = "Every two variants with the same seeds: paired t-tests, Holm’s correction",
      .columns = {{"First", "a"},
                  {"Second", "b"},
                  {"Verdict on the first", "verdict"},
                  {"Difference", "difference"},
                  {"Low", "low"},
                  {"High", "high"},
                  {"t", "t"},
                  {"p", "p"},
                  {"p, corrected", "p_holm"},
                  {"Seeds", "n"}}};
  for (const PairRecord& pair : results.pairs) {
    const std::string& verdict = name_of(pair.verdict);
    const auto number = [](double value, int digits) { return Cell{value, fixed(value, digits)}; };
    table.rows.push_back({{pair.a, pair.a},
                          {pair.b, pair.b},
                          {verdict, verdict, tone_of(verdict)},
                          number(pair.difference, 4),
                          number(pair.low, 4),
                          number(pair.high, 4),
                          number(pair.t, 2),
                          number(pair.p, 4),
                          number(pair.p_holm, 4),
                          {pair.n, count(static_cast<double>(pair.n))}});
  }
  return table;
}

}  // namespace

void add_comparison(Page& page, const ReportedResults& reported) {
  const Results& results = reported.results;
  say_verdicts(page, results);
  add_facts(page, results);

  page.section("variants", "Variants");
  page.add(variants_table(results));
  if (Figure figure = final_losses(results); !figure.views.front().series.empty()) page.add(figure);

  page.section("curves", "Learning curves");
  page.add(markup("<div class=\"beside\">\n"));
  for (const Over over : {Over::tokens, Over::seconds}) {
    if (const Figure figure = curves(reported, over); !figure.views.empty()) page.add(figure);
  }
  page.add(markup("</div>\n"));
  if (!reported.missing.empty()) {
    page.add(markup("<p class=\"note\">{} of {} runs could not be drawn one by one: {}{}</p>\n",
                    reported.missing.size(), results.runs.size(), reported.missing.front(),
                    reported.missing.size() > 1 ? "; …" : ""));
  }

  page.section("rates", "Learning-rate search");
  page.add(rates(results));
  page.add(rates_table(results));

  page.section("pairs", "Pairs");
  if (Figure figure = pair_differences(results); !figure.views.front().series.empty()) {
    page.add(figure);
  }
  page.add(pairs_table(results));
}

}  // namespace sluice::report
