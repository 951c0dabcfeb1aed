// The report's sections on a comparison: variants, curves, learning rates, pairs.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "report/report_page.hpp"

namespace sluice::report {
namespace {

using nlohmann::json;

/// So many pairs are drawn; beyond, those with the best variant.
constexpr std::size_t pairs_drawn = 30;

std::string plus_minus(const json& summary) {
  if (summary.at("mean").is_null()) return "diverged";
  std::string text = fixed(summary.at("mean"), 4);
  if (!summary.at("low").is_null()) {
    text += fmt::format(" ± {:.4f}",
                        (summary.at("high").get<double>() - summary.at("low").get<double>()) / 2);
  }
  return text;
}

Table variants_table(const json& results) {
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
  for (const json& variant : results.at("variants")) {
    const json& loss = variant.at("loss");
    const json& mean = loss.at("mean");
    const json perplexity = mean.is_null() ? json() : json(std::exp(mean.get<double>()));
    const auto name = variant.at("name").get<std::string>();
    const json& speed = variant.at("tokens_per_second").at("mean");
    const json& seconds = variant.at("seconds").at("mean");
    const std::string edge = variant.at("lr_at_edge").get<bool>() ? "*" : "";
    table.rows.push_back({{name, name},
                          {mean, plus_minus(loss)},
                          {loss.at("low"), fixed(loss.at("low"), 4)},
                          {loss.at("high"), fixed(loss.at("high"), 4)},
                          {perplexity, fixed(perplexity, 2)},
                          {variant.at("parameters"), count(variant.at("parameters"))},
                          {variant.at("lr"), significant(variant.at("lr")) + edge},
                          {speed, count(speed)},
                          {seconds, span_of_time(seconds)},
                          {variant.at("memory"), bytes(variant.at("memory"))},
                          {variant.at("flops_per_token"), count(variant.at("flops_per_token"))}});
  }
  return table;
}

/// Final losses, the best first.
Figure final_losses(const json& results) {
  Chart chart{.id = "final-loss",
              .label = "Final loss",
              .kind = ChartKind::interval,
              .x = {"Variant", "variant", "category", "number"},
              .y = {"Final validation loss, nats per token", "loss"},
              .keys = {},
              .summary = "Final validation loss of each variant with its 95% interval."};
  std::vector<std::pair<const json*, std::size_t>> order;
  for (const json& variant : results.at("variants")) order.emplace_back(&variant, order.size());
  std::erase_if(order,
                [](const auto& entry) { return entry.first->at("loss").at("mean").is_null(); });
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.first->at("loss").at("mean") < b.first->at("loss").at("mean");
  });
  for (const auto& [variant, index] : order) {
    const json& loss = variant->at("loss");
    Series series{.name = variant->at("name").get<std::string>(), .color = index};
    series.x = json::array({variant->at("name")});
    series.y = json::array({loss.at("mean")});
    if (!loss.at("low").is_null()) {
      series.low = json::array({loss.at("low")});
      series.high = json::array({loss.at("high")});
    }
    chart.series.push_back(std::move(series));
  }
  return {"Final loss",
          "Dots are means over the seeds, bars their 95% intervals; the best is on top.",
          {std::move(chart)}};
}

Axis loss_axis() { return {"Loss, nats per token", "loss"}; }

Axis progress_axis(const std::string& x) {
  return x == "tokens" ? Axis{"Tokens trained on", "tokens", "linear", "count"}
                       : Axis{"Seconds of training", "seconds", "linear", "seconds"};
}

/// The mean and band of every variant.
Chart band_chart(const json& results, const std::string& kind, const std::string& x) {
  Chart chart{
      .id = fmt::format("loss-{}-{}", x, kind),
      .label = kind == "train" ? "Training" : "Validation",
      .kind = ChartKind::line,
      .x = progress_axis(x),
      .y = loss_axis(),
      .keys = {"variant"},
      .summary = fmt::format("{} loss of each variant against {}, mean over the seeds with its "
                             "95% band.",
                             kind == "train" ? "Training" : "Validation", x)};
  std::size_t index = 0;
  for (const json& variant : results.at("variants")) {
    const json& band = variant.at("curves").at(kind).at(x);
    Series series{.name = variant.at("name").get<std::string>(), .color = index++};
    if (band.at("x").empty()) continue;
    series.keys = {variant.at("name")};
    series.x = band.at("x");
    series.y = band.at("mean");
    series.low = band.at("low");
    series.high = band.at("high");
    chart.series.push_back(std::move(series));
  }
  return chart;
}

/// The training loss of every run whose history is here.
Chart runs_chart(const json& results, const std::string& x) {
  Chart chart{.id = fmt::format("loss-{}-runs", x),
              .label = "Every run",
              .kind = ChartKind::line,
              .x = progress_axis(x),
              .y = {"Training loss, nats per token", "loss"},
              .keys = {"variant", "lr", "seed", "run"},
              .summary = fmt::format("Training loss of every run against {}, other learning rates "
                                     "included.",
                                     x)};
  std::map<std::string, std::size_t> colors;
  for (const json& variant : results.at("variants")) {
    colors.emplace(variant.at("name").get<std::string>(), colors.size());
  }
  for (const json& run : results.at("runs")) {
    if (!run.contains("curves")) continue;
    const json& history = run.at("curves").at("train");
    if (history.at("loss").empty()) continue;
    const auto variant = run.at("variant").get<std::string>();
    Series series{.name = fmt::format("{}, rate {}, seed {}", variant, significant(run.at("lr")),
                                      run.at("seed").dump()),
                  .color = colors[variant]};
    series.keys = {variant, run.at("lr"), run.at("seed"), run.at("run")};
    series.x = history.at(x);
    series.y = history.at("loss");
    chart.series.push_back(std::move(series));
  }
  return chart;
}

Figure curves(const json& results, const std::string& x) {
  Figure figure{x == "tokens" ? "Loss against tokens" : "Loss against time",
                x == "tokens"
                    ? "Bands are 95% intervals of the mean over the seeds. Drag over a part to "
                      "look closer."
                    : "The same against the clock, validation included.",
                {}};
  for (Chart& chart : std::vector<Chart>{band_chart(results, "validation", x),
                                         band_chart(results, "train", x), runs_chart(results, x)}) {
    if (!chart.series.empty()) figure.views.push_back(std::move(chart));
  }
  return figure;
}

Figure rates(const json& results) {
  Chart chart{.id = "rates",
              .label = "Learning rates",
              .kind = ChartKind::points,
              .x = {"Learning rate", "lr", "log", "number"},
              .y = loss_axis(),
              .keys = {"variant"},
              .summary = "Mean final validation loss of each variant against the learning rate."};
  std::size_t index = 0;
  for (const json& variant : results.at("variants")) {
    Series series{.name = variant.at("name").get<std::string>(), .color = index++};
    series.keys = {variant.at("name")};
    bool intervals = false;
    for (const json& rate : variant.at("rates")) {
      const json& loss = rate.at("loss");
      if (rate.at("chosen").get<bool>()) series.marked = static_cast<std::int64_t>(series.x.size());
      series.x.push_back(rate.at("lr"));
      series.y.push_back(loss.at("mean"));
      series.low.push_back(loss.at("low"));
      series.high.push_back(loss.at("high"));
      intervals = intervals || !loss.at("low").is_null();
    }
    if (!intervals) series.low = series.high = json::array();
    chart.series.push_back(std::move(series));
  }
  return {
      "Final loss by learning rate",
      "The ringed point is the rate the variant is judged by; where runs diverged there is none.",
      {std::move(chart)}};
}

Table rates_table(const json& results) {
  Table table{.id = "rates-table",
              .caption = "Learning rates tried",
              .columns = {{"Variant", "variant"},
                          {"Learning rate", "lr"},
                          {"Final loss", "loss"},
                          {"Low", "low"},
                          {"High", "high"},
                          {"Diverged", "diverged"},
                          {"Chosen", "chosen"}}};
  for (const json& variant : results.at("variants")) {
    const auto name = variant.at("name").get<std::string>();
    for (const json& rate : variant.at("rates")) {
      const json& loss = rate.at("loss");
      const bool chosen = rate.at("chosen").get<bool>();
      table.rows.push_back({{name, name},
                            {rate.at("lr"), significant(rate.at("lr"))},
                            {loss.at("mean"), plus_minus(loss)},
                            {loss.at("low"), fixed(loss.at("low"), 4)},
                            {loss.at("high"), fixed(loss.at("high"), 4)},
                            {rate.at("diverged"), count(rate.at("diverged"))},
                            {chosen, chosen ? "chosen" : ""}});
    }
  }
  return table;
}

std::string pair_name(const json& pair) {
  return fmt::format("{} − {}", pair.at("a").get<std::string>(), pair.at("b").get<std::string>());
}

Figure pair_differences(const json& results) {
  Chart chart{.id = "differences",
              .label = "Differences",
              .kind = ChartKind::interval,
              .x = {"Pair", "pair", "category", "number"},
              .y = {"Difference of final losses, nats per token", "difference"},
              .keys = {"verdict"},
              .reference = 0,
              .summary = "Paired difference of final losses for each pair with its 95% interval."};
  const json& pairs = results.at("pairs");
  const json* best = best_variant(results);
  const bool all = pairs.size() <= pairs_drawn || best == nullptr;
  std::map<std::string, Series> by_verdict;
  for (const json& pair : pairs) {
    if (pair.at("difference").is_null() || (!all && !between(pair, best->at("name")))) continue;
    const std::string verdict = pair.at("verdict").get<std::string>();
    Series& series = by_verdict[verdict];
    series.name = verdict;
    series.keys = {verdict};
    series.color = verdict == "better" ? 2 : verdict == "worse" ? 1 : 0;
    series.x.push_back(pair_name(pair));
    series.y.push_back(pair.at("difference"));
    series.low.push_back(pair.at("low"));
    series.high.push_back(pair.at("high"));
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

Table pairs_table(const json& results) {
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
  for (const json& pair : results.at("pairs")) {
    const auto a = pair.at("a").get<std::string>();
    const auto b = pair.at("b").get<std::string>();
    const std::string verdict = pair.at("verdict").get<std::string>();
    table.rows.push_back({{a, a},
                          {b, b},
                          {verdict, verdict, tone_of(verdict)},
                          {pair.at("difference"), fixed(pair.at("difference"), 4)},
                          {pair.at("low"), fixed(pair.at("low"), 4)},
                          {pair.at("high"), fixed(pair.at("high"), 4)},
                          {pair.at("t"), fixed(pair.at("t"), 2)},
                          {pair.at("p"), fixed(pair.at("p"), 4)},
                          {pair.at("p_holm"), fixed(pair.at("p_holm"), 4)},
                          {pair.at("n"), count(pair.at("n"))}});
  }
  return table;
}

}  // namespace

void add_comparison(Page& page, const json& results) {
  say_verdicts(page, results);
  add_facts(page, results);

  page.section("variants", "Variants");
  page.add(variants_table(results));
  if (Figure figure = final_losses(results); !figure.views.front().series.empty()) page.add(figure);

  page.section("curves", "Learning curves");
  page.add("<div class=\"beside\">\n");
  for (const char* x : {"tokens", "seconds"}) {
    if (const Figure figure = curves(results, x); !figure.views.empty()) page.add(figure);
  }
  page.add("</div>\n");
  const json missing = results.value("missing_histories", json::array());
  if (!missing.empty()) {
    page.add(
        fmt::format("<p class=\"note\">{} of {} runs could not be drawn one by one: {}{}</p>\n",
                    missing.size(), results.at("runs").size(),
                    escape(missing[0].get<std::string>()), missing.size() > 1 ? "; …" : ""));
  }

  page.section("rates", "Learning-rate search");
  page.add(rates(results));
  page.add(rates_table(results));

  page.section("pairs", "Pairs");
  if (Figure figure = pair_differences(results); !figure.views.front().series.empty())
    page.add(figure);
  page.add(pairs_table(results));
}

}  // namespace sluice::report
