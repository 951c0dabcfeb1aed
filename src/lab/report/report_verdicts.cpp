// What a comparison came to, in words, and how it was made.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "report/report_page.hpp"
#include "sluice/lab/compare/statistics.hpp"
#include "text_table.hpp"

namespace sluice::report {
namespace {

using nlohmann::json;

/// So many pairs are told in words; beyond, those with the best variant.
constexpr std::size_t pairs_in_words = 12;

std::string strong(const json& name) {
  return fmt::format("<b>{}</b>", escape(name.get<std::string>()));
}

/// "a, b and c".
std::string listed(const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += i + 1 == items.size() ? " and " : ", ";
    text += items[i];
  }
  return text;
}

std::string verdict_of(const json& pair) { return pair.at("verdict").get<std::string>(); }

/// The pair as its better side sees it.
struct Told {
  json winner, loser;
  double by = 0, low = 0, high = 0;
};

Told told(const json& pair) {
  const double sign = verdict_of(pair) == "worse" ? 1 : -1;
  const double low = sign * pair.at("low").get<double>();
  const double high = sign * pair.at("high").get<double>();
  const bool a_wins = sign < 0;
  return {pair.at(a_wins ? "a" : "b"), pair.at(a_wins ? "b" : "a"),
          sign * pair.at("difference").get<double>(), std::min(low, high), std::max(low, high)};
}

void say_pair(Page& page, const json& pair) {
  const std::string verdict = verdict_of(pair);
  if (verdict == name_of(Verdict::untested)) {
    page.say(verdict, fmt::format("{} against {}: a run diverged, which leaves nothing to test.",
                                  strong(pair.at("a")), strong(pair.at("b"))));
    return;
  }
  const Told pairing = told(pair);
  const std::string p = escape(p_value(pair.at("p_holm").get<double>()));
  if (verdict == name_of(Verdict::not_distinguishable)) {
    page.say(
        verdict,
        fmt::format("{} and {} at this budget: the difference is {:+.4f} nats per token "
                    "({:+.4f} to {:+.4f}); {} after Holm’s correction.",
                    strong(pair.at("a")), strong(pair.at("b")), pair.at("difference").get<double>(),
                    pair.at("low").get<double>(), pair.at("high").get<double>(), p));
    return;
  }
  page.say("better", fmt::format("{} than {} by {:.4f} nats per token ({:.4f} to {:.4f}); {} after "
                                 "Holm’s correction.",
                                 strong(pairing.winner), strong(pairing.loser), pairing.by,
                                 pairing.low, pairing.high, p));
}

void say_best(Page& page, const json& results, const json& best) {
  const json& loss = best.at("loss");
  std::string text = fmt::format("{} has the lowest final validation loss, {} nats per token",
                                 strong(best.at("name")), fixed(loss.at("mean"), 4));
  if (!loss.at("low").is_null()) {
    text += fmt::format(" (95% interval {} to {})", fixed(loss.at("low"), 4),
                        fixed(loss.at("high"), 4));
  }
  text += fmt::format(", a perplexity of {:.2f}.", std::exp(loss.at("mean").get<double>()));
  std::vector<std::string> beaten;
  std::vector<std::string> equals;
  for (const json& pair : results.at("pairs")) {
    if (!between(pair, best.at("name"))) continue;
    const json& other = pair.at(pair.at("a") == best.at("name") ? "b" : "a");
    const std::string verdict = verdict_of(pair);
    if (verdict == "better" || verdict == "worse") beaten.push_back(strong(other));
    if (verdict == name_of(Verdict::not_distinguishable)) equals.push_back(strong(other));
  }
  const auto named = [](const std::vector<std::string>& names) {
    return names.size() <= 6 ? listed(names) : fmt::format("{} others", names.size());
  };
  if (!beaten.empty()) text += fmt::format(" It is better than {}", named(beaten));
  if (!equals.empty()) {
    text += fmt::format("{} not distinguishable at this budget from {}",
                        beaten.empty() ? " It is" : ", and", named(equals));
  }
  if (!beaten.empty() || !equals.empty()) text += ".";
  page.say("", text);
}

void say_doubts(Page& page, const json& results) {
  if (results.at("seeds").size() == 1) {
    page.say("untested",
             "One seed: no intervals and no verdicts, since a single run does not tell how "
             "much runs vary. Compare again with three seeds or more.");
  }
  for (const json& run : results.at("runs")) {
    if (run.at("status") != "diverged" || !run.at("chosen").get<bool>()) continue;
    page.say("diverged",
             fmt::format("{} with learning rate {} and seed {}: {}", strong(run.at("variant")),
                         significant(run.at("lr")), run.at("seed").dump(),
                         escape(run.at("message").get<std::string>())));
  }
  std::vector<std::string> edges;
  for (const json& variant : results.at("variants")) {
    if (variant.at("lr_at_edge").get<bool>()) edges.push_back(strong(variant.at("name")));
  }
  if (!edges.empty()) {
    page.say(
        "note",
        fmt::format("The best learning rate of {} is at an end of those tried: a better one "
                    "may lie beyond.",
                    edges.size() <= 6 ? listed(edges) : fmt::format("{} variants", edges.size())));
  }
  if (!results.at("same_batches").get<bool>()) {
    page.say("note",
             "Variants differ in batch or context: they read the same text, cut differently.");
  }
}

}  // namespace

const json* best_variant(const json& results) {
  const json* best = nullptr;
  for (const json& variant : results.at("variants")) {
    const json& mean = variant.at("loss").at("mean");
    if (mean.is_null()) continue;
    if (best == nullptr || mean < best->at("loss").at("mean")) best = &variant;
  }
  return best;
}

bool between(const json& pair, const json& name) {
  return pair.at("a") == name || pair.at("b") == name;
}

void say_verdicts(Page& page, const json& results) {
  const json* best = best_variant(results);
  if (best == nullptr) {
    page.say("", "Every variant diverged: there is no loss to compare.");
  } else {
    say_best(page, results, *best);
  }
  if (results.at("seeds").size() > 1) {
    const json& pairs = results.at("pairs");
    const bool all = pairs.size() <= pairs_in_words;
    std::size_t told_of = 0;
    for (const json& pair : pairs) {
      if (!all && (best == nullptr || !between(pair, best->at("name")))) continue;
      if (told_of++ < pairs_in_words) say_pair(page, pair);
    }
    if (!all) {
      page.say("", fmt::format("The <a href=\"#pairs\">other pairs</a> are below, {} in all.",
                               pairs.size()));
    }
  }
  say_doubts(page, results);
}

namespace {

std::string budget_text(const json& budget) {
  std::vector<std::string> limits;
  for (const char* unit : {"tokens", "steps", "minutes", "epochs"}) {
    const auto value = budget.value(unit, 0.0);
    if (value > 0) {
      limits.push_back(fmt::format("{} {}", value < 10 ? significant(value) : count(value), unit));
    }
  }
  return limits.empty() ? "none" : listed(limits);
}

std::string title_of(const json& results) {
  constexpr std::size_t few = 8;
  const json& fields = results.at("varied");
  const json& variants = results.at("variants");
  std::string names;
  if (fields.size() == 1 && variants.size() <= few) {
    const auto field = fields[0].get<std::string>();
    for (const json& variant : variants) {
      const json& value = variant.at("fields").at(field);
      names += (names.empty() ? "" : ", ") +
               (value.is_string() ? value.get<std::string>() : value.dump());
    }
    return field + ": " + names;
  }
  for (const json& field : fields)
    names += (names.empty() ? "" : " and ") + field.get<std::string>();
  return fmt::format("Comparison of {} variants in {}", variants.size(), names);
}

}  // namespace

void add_facts(Page& page, const json& results) {
  page.set_title(title_of(results));
  const json& data = results.at("data");
  std::vector<std::string> files;
  for (const json& file : data.at("files").value("train", json::array())) {
    files.push_back(escape(std::filesystem::path(file.get<std::string>()).filename().string()));
  }
  const std::string tokenizer = data.at("tokenizer").value("kind", std::string("?"));
  page.fact("Text", fmt::format("{}: {} tokens to train on, {} to validate on ({})", listed(files),
                                count(data.at("train_tokens")), count(data.at("valid_tokens")),
                                escape(tokenizer)));
  page.fact("Budget of each run", escape(budget_text(results.at("budget"))));
  const auto match = results.at("match").get<std::string>();
  page.fact("Made equal",
            match == "width" ? "nothing: widths as asked for" : escape(match) + ", within 1%");
  page.fact("Seeds", fmt::format("{}, the same for each variant", results.at("seeds").size()));
  std::int64_t runs = 0;
  double seconds = 0;
  for (const json& variant : results.at("variants")) {
    runs += variant.at("search").at("runs").get<std::int64_t>();
    seconds += variant.at("search").at("seconds").get<double>();
  }
  page.fact("Search for learning rates",
            runs == 0 ? "none"
                      : fmt::format("{} of {} runs, {} of training", runs,
                                    results.at("runs").size(), span_of_time(seconds)));
  page.fact("Threads", fmt::format("{} per run, {} at a time", results.at("threads").dump(),
                                   results.at("jobs").dump()));
  page.fact("Made", escape(results.at("date").get<std::string>()) + ", Sluice " +
                        escape(results.at("version").get<std::string>()));
}

}  // namespace sluice::report
