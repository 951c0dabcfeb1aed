// What a comparison came to, in words, and how it was made.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "json_values.hpp"
#include "report/report_page.hpp"
#include "sluice/base/detail/json.hpp"
#include "text_table.hpp"

namespace sluice::report {
namespace {

/// At most this many pairs are put into words; beyond, those with the best variant.
constexpr std::size_t pairs_in_words = 12;

Html strong(const std::string& name) { return markup("<b>{}</b>", name); }

/// "a, b and c".
Html listed(const std::vector<Html>& items) {
  Html text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += i + 1 == items.size() ? " and " : ", ";
    text += items[i];
  }
  return text;
}

/// Up to six names; of more their number.
Html listed_or_counted(const std::vector<Html>& names, const char* what) {
  return names.size() <= 6 ? listed(names) : markup("{} {}", names.size(), what);
}

void say_pair(Page& page, const PairRecord& pair) {
  const std::string p = p_value(pair.p_holm);
  switch (pair.verdict) {
    case Verdict::untested:
      page.say(name_of(pair.verdict),
               markup("{} against {}: a run diverged, which leaves nothing to test.",
                      strong(pair.a), strong(pair.b)));
      return;
    case Verdict::not_distinguishable:
      page.say(name_of(pair.verdict),
               markup("{} and {} at this budget: the difference is {:+.4f} nats per token "
                      "({:+.4f} to {:+.4f}); {} after Holm’s correction.",
                      strong(pair.a), strong(pair.b), pair.difference, pair.low, pair.high, p));
      return;
    case Verdict::better:
    case Verdict::worse:
      break;
  }
  // From the side of the better one.
  const bool a_wins = pair.verdict == Verdict::better;
  const double sign = a_wins ? -1 : 1;
  const auto [low, high] = std::minmax({sign * pair.low, sign * pair.high});
  page.say("better", markup("{} than {} by {:.4f} nats per token ({:.4f} to {:.4f}); {} after "
                            "Holm’s correction.",
                            strong(a_wins ? pair.a : pair.b), strong(a_wins ? pair.b : pair.a),
                            sign * pair.difference, low, high, p));
}

void say_best(Page& page, const Results& results, const VariantResult& best) {
  const Summary& loss = best.loss;
  Html text = markup("{} has the lowest final validation loss, {} nats per token",
                     strong(best.name), fixed(loss.mean, 4));
  if (std::isfinite(loss.low)) {
    text += markup(" (95% interval {} to {})", fixed(loss.low, 4), fixed(loss.high, 4));
  }
  text += markup(", a perplexity of {:.2f}.", std::exp(loss.mean));
  std::vector<Html> beaten;
  std::vector<Html> equals;
  for (const PairRecord& pair : results.pairs) {
    if (!pair.has(best.name)) continue;
    const Html other = strong(pair.a == best.name ? pair.b : pair.a);
    if (pair.verdict == Verdict::better || pair.verdict == Verdict::worse) beaten.push_back(other);
    if (pair.verdict == Verdict::not_distinguishable) equals.push_back(other);
  }
  if (!beaten.empty()) text += markup(" It is better than {}", listed_or_counted(beaten, "others"));
  if (!equals.empty()) {
    text += markup("{} not distinguishable at this budget from {}",
                   beaten.empty() ? " It is" : ", and", listed_or_counted(equals, "others"));
  }
  if (!beaten.empty() || !equals.empty()) text += ".";
  page.say("", text);
}

void say_doubts(Page& page, const Results& results) {
  if (results.seeds.size() == 1) {
    page.say("untested",
             "One seed: no intervals and no verdicts, since a single run does not tell how much "
             "runs vary. Compare again with three seeds or more.");
  }
  for (const RunResult& run : results.runs) {
    if (run.status != RunStatus::diverged || !run.chosen) continue;
    page.say(name_of(run.status),
             markup("{} with learning rate {} and seed {}: {}", strong(run.variant),
                    significant(run.lr), run.seed, run.message));
  }
  std::vector<Html> edges;
  for (const VariantResult& variant : results.variants) {
    if (variant.lr_at_edge) edges.push_back(strong(variant.name));
  }
  if (!edges.empty()) {
    page.say("note", markup("The best learning rate of {} is at an end of those tried: a better "
                            "one may lie beyond.",
                            listed_or_counted(edges, "variants")));
  }
  if (!results.same_batches) {
    page.say("note",
             "Variants differ in batch or context: they read the same text, cut differently.");
  }
}

Html budget_text(const ResultBudget& budget) {
  std::vector<Html> limits;
  for (const auto& [value, unit] : {std::pair{static_cast<double>(budget.tokens), "tokens"},
                                    {static_cast<double>(budget.steps), "steps"},
                                    {budget.minutes, "minutes"},
                                    {static_cast<double>(budget.epochs), "epochs"}}) {
    if (value > 0) {
      limits.push_back(markup("{} {}", value < 10 ? significant(value) : count(value), unit));
    }
  }
  return limits.empty() ? Html("none") : listed(limits);
}

std::string title_of(const Results& results) {
  constexpr std::size_t few = 8;
  std::string names;
  if (results.varied.size() == 1 && results.variants.size() <= few) {
    const std::string& field = results.varied.front();
    for (const VariantResult& variant : results.variants) {
      const Value* const value = variant.fields.find(field);
      names += (names.empty() ? "" : ", ") + (value == nullptr ? "?" : value_text(*value));
    }
    return field + ": " + names;
  }
  for (const std::string& field : results.varied) names += (names.empty() ? "" : " and ") + field;
  return fmt::format("Comparison of {} variants in {}", results.variants.size(), names);
}

}  // namespace

const VariantResult* best_variant(const Results& results) {
  const VariantResult* best = nullptr;
  for (const VariantResult& variant : results.variants) {
    if (!std::isfinite(variant.loss.mean)) continue;
    if (best == nullptr || variant.loss.mean < best->loss.mean) best = &variant;
  }
  return best;
}

void say_verdicts(Page& page, const Results& results) {
  const VariantResult* const best = best_variant(results);
  if (best == nullptr) {
    page.say("", "Every variant diverged: there is no loss to compare.");
  } else {
    say_best(page, results, *best);
  }
  if (results.seeds.size() > 1) {
    const bool all = results.pairs.size() <= pairs_in_words;
    std::size_t said = 0;
    for (const PairRecord& pair : results.pairs) {
      if (!all && (best == nullptr || !pair.has(best->name))) continue;
      if (results.shared_seeds(pair) < 2) continue;
      if (said++ < pairs_in_words) say_pair(page, pair);
    }
    if (!all) {
      page.say("", markup("The <a href=\"#pairs\">other pairs</a> are below, {} in all.",
                          results.pairs.size()));
    }
  }
  say_doubts(page, results);
}

void add_facts(Page& page, const Results& results) {
  page.set_title(title_of(results));
  const ResultData& data = results.data;
  std::vector<Html> files;
  for (const std::string& file : data.files.train) {
    files.emplace_back(std::filesystem::path(file).filename().string());
  }
  page.fact("Text", markup("{}: {} tokens to train on, {} to validate on ({})", listed(files),
                           count(static_cast<double>(data.train_tokens)),
                           count(static_cast<double>(data.valid_tokens)), data.tokenizer.kind));
  page.fact("Budget of each run", budget_text(results.budget));
  page.fact("Made equal", results.match == MatchBy::width ? "nothing: widths as asked for"
                                                          : name_of(results.match) + ", within 1%");
  const std::size_t fewest = results.fewest_seeds();
  page.fact("Seeds", fewest == results.seeds.size()
                         ? markup("{}, the same for each variant", fewest)
                         : markup("{} to {}, more where a claim was still open; pairs are compared "
                                  "on those that both have",
                                  fewest, results.seeds.size()));
  SearchCost cost;
  for (const VariantResult& variant : results.variants) {
    cost.runs += variant.search.runs;
    cost.seconds += variant.search.seconds;
  }
  page.fact("Search for learning rates",
            cost.runs == 0 ? Html("none")
                           : markup("{} of {} runs, {} of training", cost.runs, results.runs.size(),
                                    span_of_time(cost.seconds)));
  page.fact("Threads", markup("{} per run, {} at a time", results.threads, results.jobs));
  page.fact("Made", markup("{}, Sluice {}", results.date, results.version));
}

}  // namespace sluice::report
