// Results as text: runs.csv, and the table that sluice compare prints.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "sluice/base/numbers.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/lab/compare/statistics.hpp"
#include "text_table.hpp"

namespace sluice {
namespace {

using nlohmann::json;

/// A count to three digits: "12.3M".
std::string short_count(double count) {
  constexpr const char* units[] = {"", "k", "M", "G", "T", "P", "E"};
  std::size_t unit = 0;
  while (count >= 999.5 && unit + 1 < std::size(units)) {
    count /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f}", count) : fmt::format("{:.3g}{}", count, units[unit]);
}

std::string loss_text(const json& loss) {
  if (loss["mean"].is_null()) return "diverged";
  return fmt::format("{:.4f}", loss["mean"].get<double>());
}

std::string interval_text(const json& loss) {
  if (loss["low"].is_null()) return "-";
  return fmt::format("{:.4f} to {:.4f}", loss["low"].get<double>(), loss["high"].get<double>());
}

std::string variants_table(const json& results) {
  std::vector<std::vector<std::string>> rows = {{"variant", "parameters", "FLOPs/token", "memory",
                                                 "tokens/s", "lr", "loss", "95% interval",
                                                 "perplexity"}};
  for (const json& variant : results["variants"]) {
    const json& loss = variant["loss"];
    const json& speed = variant["tokens_per_second"]["mean"];
    rows.push_back(
        {variant["name"].get<std::string>(), grouped(variant["parameters"].get<std::int64_t>()),
         short_count(variant["flops_per_token"].get<double>()),
         short_count(variant["memory"].get<double>()) + "B",
         grouped(std::llround(speed.get<double>())),
         fmt::format("{:g}{}", variant["lr"].get<double>(),
                     variant["lr_at_edge"].get<bool>() ? "*" : ""),
         loss_text(loss), interval_text(loss),
         loss["mean"].is_null() ? "-"
                                : fmt::format("{:.2f}", std::exp(loss["mean"].get<double>()))});
  }
  return table(rows);
}

/// What of the search for learning rates a reader should know.
std::string search_text(const json& results) {
  std::int64_t runs = 0;
  std::int64_t tokens = 0;
  double seconds = 0;
  bool edge = false;
  for (const json& variant : results["variants"]) {
    runs += variant["search"]["runs"].get<std::int64_t>();
    tokens += variant["search"]["tokens"].get<std::int64_t>();
    seconds += variant["search"]["seconds"].get<double>();
    edge = edge || variant["lr_at_edge"].get<bool>();
  }
  std::string text =
      edge ? "* at the end of the learning rates tried: the best may lie beyond\n" : "";
  if (runs > 0) {
    text += fmt::format(
        "learning rates: chosen for each variant by validation loss; the search took {} of the {} "
        "runs, {} tokens, {} of training\n",
        runs, results["runs"].size(), grouped(tokens), span_of_time(seconds));
  }
  return text;
}

std::string diverged_text(const json& results) {
  std::string text;
  for (const json& run : results["runs"]) {
    if (run["status"] != "diverged" || !run["chosen"].get<bool>()) continue;
    text += fmt::format("{} diverged with learning rate {:g} and seed {}: {}\n",
                        run["variant"].get<std::string>(), run["lr"].get<double>(),
                        run["seed"].get<std::uint64_t>(), run["message"].get<std::string>());
  }
  return text;
}

}  // namespace

std::string runs_csv(const json& results) {
  static const std::vector<std::string> of_variant = {"parameters", "flops_per_token", "memory"};
  static const std::vector<std::string> of_run = {
      "lr",         "seed",       "chosen",    "status",
      "steps",      "tokens",     "seconds",   "tokens_per_second",
      "train_loss", "final_loss", "best_loss", "best_step"};
  std::vector<std::string> header = {"run", "variant"};
  for (const json& field : results["varied"]) header.push_back(field.get<std::string>());
  header.insert(header.end(), of_variant.begin(), of_variant.end());
  for (const std::string& name : of_run) {
    // A varied learning rate has its column already.
    if (std::find(header.begin(), header.end(), name) == header.end()) header.push_back(name);
  }
  std::string text = csv_line(header);
  for (const json& run : results["runs"]) {
    const auto variant = std::find_if(results["variants"].begin(), results["variants"].end(),
                                      [&](const json& v) { return v["name"] == run["variant"]; });
    std::vector<std::string> cells;
    for (const std::string& name : header) {
      if (run.contains(name)) {
        cells.push_back(csv_cell(run[name]));
      } else if ((*variant)["fields"].contains(name)) {
        cells.push_back(csv_cell((*variant)["fields"][name]));
      } else {
        cells.push_back(csv_cell((*variant)[name]));
      }
    }
    text += csv_line(cells);
  }
  return text;
}

std::string pair_sentence(const json& pair) {
  const auto a = pair["a"].get<std::string>();
  const auto b = pair["b"].get<std::string>();
  if (pair["verdict"] == name_of(Verdict::untested)) {
    return fmt::format("{} against {}: untested, since a run diverged", a, b);
  }
  const auto difference = pair["difference"].get<double>();
  const auto low = pair["low"].get<double>();
  const auto high = pair["high"].get<double>();
  const std::string numbers =
      fmt::format("difference {:+.4f} ({:+.4f} to {:+.4f}), {} after Holm's correction", difference,
                  low, high, p_value(pair["p_holm"].get<double>()));
  if (pair["verdict"] == name_of(Verdict::not_distinguishable)) {
    return fmt::format("{} and {} are not distinguishable at this budget: {}", a, b, numbers);
  }
  return fmt::format("{} is {} than {}: {}", a, pair["verdict"].get<std::string>(), b, numbers);
}

std::string format_results(const json& results) {
  const std::size_t seeds = results["seeds"].size();
  std::string text = fmt::format("{}, over {} seed{}:\n\n", results["measure"].get<std::string>(),
                                 seeds, seeds == 1 ? "" : "s");
  text += variants_table(results) + "\n";
  for (const json& pair : results["pairs"]) {
    if (seeds > 1) text += pair_sentence(pair) + "\n";
  }
  if (seeds == 1) {
    text +=
        "one seed: no intervals and no verdicts, since a single run does not tell how much runs "
        "vary; compare with three seeds or more\n";
  }
  text += diverged_text(results);
  if (!results["same_batches"].get<bool>()) {
    text += "variants differ in batch or context: they read the same text, cut differently\n";
  }
  return text + search_text(results);
}

}  // namespace sluice
