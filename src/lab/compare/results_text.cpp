// Results as text: runs.csv, and the table that a comparison ends with.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/lab/compare/statistics.hpp"
#include "text_table.hpp"

namespace sluice {
namespace {

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

std::string loss_text(const Summary& loss) {
  return std::isfinite(loss.mean) ? fmt::format("{:.4f}", loss.mean) : "diverged";
}

std::string interval_text(const Summary& loss) {
  return std::isfinite(loss.low) ? fmt::format("{:.4f} to {:.4f}", loss.low, loss.high) : "-";
}

std::string variants_table(const Results& results) {
  std::vector<std::vector<std::string>> rows = {{"variant", "parameters", "FLOPs/token", "memory",
                                                 "tokens/s", "lr", "loss", "95% interval",
                                                 "perplexity"}};
  const bool unequal = results.fewest_seeds() < results.seeds.size();
  if (unequal) rows.front().emplace_back("seeds");
  for (const VariantResult& variant : results.variants) {
    const double loss = variant.loss.mean;
    rows.push_back({variant.name, grouped(variant.parameters),
                    short_count(static_cast<double>(variant.flops_per_token)),
                    short_count(static_cast<double>(variant.memory)) + "B",
                    grouped(std::llround(variant.tokens_per_second.mean)),
                    fmt::format("{:g}{}", variant.lr, variant.lr_at_edge ? "*" : ""),
                    loss_text(variant.loss), interval_text(variant.loss),
                    std::isfinite(loss) ? fmt::format("{:.2f}", std::exp(loss)) : "-"});
    if (unequal) rows.back().push_back(fmt::format("{}", variant.loss.values.size()));
  }
  return table(rows);
}

/// What a reader should know of the search for learning rates.
std::string search_text(const Results& results) {
  SearchCost cost;
  bool edge = false;
  for (const VariantResult& variant : results.variants) {
    cost.runs += variant.search.runs;
    cost.tokens += variant.search.tokens;
    cost.seconds += variant.search.seconds;
    edge = edge || variant.lr_at_edge;
  }
  std::string text =
      edge ? "* at the end of the learning rates tried: the best may lie beyond\n" : "";
  if (cost.runs > 0) {
    text += fmt::format(
        "learning rates: chosen for each variant by validation loss; the search took {} of the {} "
        "runs, {} tokens, {} of training\n",
        cost.runs, results.runs.size(), grouped(cost.tokens), span_of_time(cost.seconds));
  }
  return text;
}

std::string diverged_text(const Results& results) {
  std::string text;
  for (const RunResult& run : results.runs) {
    if (run.status != RunStatus::diverged || !run.chosen) continue;
    text += fmt::format("{} diverged with learning rate {:g} and seed {}: {}\n", run.variant,
                        run.lr, run.seed, run.message);
  }
  return text;
}

}  // namespace

std::string runs_csv(const Results& results) {
  std::vector<std::string> header = {"run", "variant"};
  header.insert(header.end(), results.varied.begin(), results.varied.end());
  for (const char* name : {"parameters", "flops_per_token", "memory", "lr", "seed", "chosen",
                           "status", "steps", "tokens", "seconds", "tokens_per_second",
                           "train_loss", "final_loss", "best_loss", "best_step"}) {
    // A varied learning rate already has a column.
    if (std::find(header.begin(), header.end(), name) == header.end()) header.emplace_back(name);
  }
  std::string text = csv_line(header);
  for (const RunResult& run : results.runs) {
    const VariantResult* const variant = results.find_variant(run.variant);
    if (variant == nullptr) {
      throw Error(
          fmt::format("results: run {} is of '{}', which is no variant", run.run, run.variant));
    }
    Value cells = variant->fields;
    cells.set("run", run.run);
    cells.set("variant", run.variant);
    cells.set("parameters", variant->parameters);
    cells.set("flops_per_token", variant->flops_per_token);
    cells.set("memory", variant->memory);
    cells.set("lr", run.lr);
    cells.set("seed", run.seed);
    cells.set("chosen", run.chosen);
    cells.set("status", name_of(run.status));
    cells.set("steps", run.steps);
    cells.set("tokens", run.tokens);
    cells.set("seconds", run.seconds);
    cells.set("tokens_per_second", run.tokens_per_second);
    cells.set("train_loss", run.train_loss);
    cells.set("final_loss", run.final_loss);
    cells.set("best_loss", run.best_loss);
    cells.set("best_step", run.best_step);
    std::vector<Value> line;
    for (const std::string& name : header) {
      const Value* const cell = cells.find(name);
      line.push_back(cell == nullptr ? Value() : *cell);
    }
    text += csv_values(line);
  }
  return text;
}

std::string pair_sentence(const PairRecord& pair) {
  if (pair.verdict == Verdict::untested) {
    return fmt::format("{} against {}: untested, since a run diverged", pair.a, pair.b);
  }
  const std::string numbers =
      fmt::format("difference {:+.4f} ({:+.4f} to {:+.4f}), {} after Holm's correction",
                  pair.difference, pair.low, pair.high, p_value(pair.p_holm));
  if (pair.verdict == Verdict::not_distinguishable) {
    return fmt::format("{} and {} are not distinguishable at this budget: {}", pair.a, pair.b,
                       numbers);
  }
  return fmt::format("{} is {} than {}: {}", pair.a, name_of(pair.verdict), pair.b, numbers);
}

std::string format_results(const Results& results) {
  const std::size_t seeds = results.seeds.size();
  const std::size_t fewest = results.fewest_seeds();
  std::string text = fmt::format("{}, over {}{} seed{}:\n\n", results.measure,
                                 fewest < seeds ? fmt::format("{} to ", fewest) : "", seeds,
                                 seeds == 1 ? "" : "s");
  text += variants_table(results) + "\n";
  for (const PairRecord& pair : results.pairs) {
    if (results.shared_seeds(pair) > 1) text += pair_sentence(pair) + "\n";
  }
  if (seeds == 1) {
    text +=
        "one seed: no intervals and no verdicts, since a single run does not tell how much runs "
        "vary; compare with three seeds or more\n";
  }
  text += diverged_text(results);
  if (!results.same_batches) {
    text += "variants differ in batch or context: they read the same text, cut differently\n";
  }
  return text + search_text(results);
}

}  // namespace sluice
