// Verdicts in words.

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "sluice/lab/claims/claim_results.hpp"

namespace sluice {
namespace {

/// Four significant digits, large numbers whole.
std::string short_number(double value) {
  return std::abs(value) >= 1000 ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
}

std::string measured_text(double value) { return std::isfinite(value) ? short_number(value) : "?"; }

/// "-0.0312 nats per token (-0.0414 to -0.0210)", "0.62 times (0.55 to 0.70), trimmed mean".
std::string effect_sentence(const PartResult& part) {
  const char* const statistic = part.statistic == Statistic::mean      ? ""
                                : part.statistic == Statistic::trimmed ? ", trimmed mean"
                                                                       : ", median";
  return fmt::format("{} {} ({} to {}){}", measured_text(part.effect),
                     part.kind == EffectKind::ratio ? "times" : part.unit, measured_text(part.low),
                     measured_text(part.high), statistic);
}

std::string expected_text(const PartResult& part) {
  const std::string threshold = short_number(part.threshold);
  switch (part.expect) {
    case Expect::less:
      return "below " + threshold;
    case Expect::greater:
      return "above " + threshold;
    case Expect::within:
      break;
  }
  return "within " + threshold;
}

std::string sides(const PartResult& part) {
  const std::string a = fmt::format("{} {}", part.side_a, measured_text(part.a));
  return part.side_b ? fmt::format("{}, {} {}", a, *part.side_b, measured_text(part.b)) : a;
}

/// What more would tell a part that was not told: nothing where that cannot be said.
std::string more_seeds(const PartResult& part) {
  if (!part.seeds_to_tell || part.looks.empty()) return "";
  if (*part.seeds_to_tell == 0) {
    return fmt::format(", {} seeds would hardly tell", part.looks.back());
  }
  return fmt::format(", {} seeds would tell in four of five cases", *part.seeds_to_tell);
}

}  // namespace

std::string part_sentence(const PartResult& part) {
  const std::string head =
      fmt::format("{}: {}; {}", part.statement, name_of(part.verdict), sides(part));
  if (part.n == 0) {
    return head + (part.values_a.size() == 1
                       ? "; one seed: no interval, since a single run does not tell how much runs "
                         "vary"
                       : "; no interval, since some run has no such value");
  }
  const bool edge = part.rates_a.at_edge || (part.rates_b && part.rates_b->at_edge);
  const std::string looks =
      part.looks.size() > 1 ? fmt::format(" at look {} of {}", part.looked, part.looks.size()) : "";
  const std::string bound =
      part.bound ? fmt::format(", as good as none within {}", short_number(*part.bound)) : "";
  const std::string text =
      part.text_blocks == 0
          ? ""
          : fmt::format(", over {} blocks of the text {} to {}", part.text_blocks,
                        measured_text(part.text_low), measured_text(part.text_high));
  return fmt::format("{}: {}, claimed {}{}, {} seeds{}{}{}{}", head, effect_sentence(part),
                     expected_text(part), bound, part.n, looks, text, more_seeds(part),
                     edge ? ", best rate at an end of those tried" : "");
}

std::string format_summary(const ClaimResults& results) {
  const std::vector<double> corrected = corrected_p(results);
  std::size_t decided = 0;
  std::size_t survive = 0;
  for (std::size_t i = 0; i < corrected.size(); ++i) {
    if (results.claims[i].verdict == ClaimVerdict::inconclusive) continue;
    ++decided;
    if (corrected[i] <= 1 - default_confidence) ++survive;
  }
  return fmt::format(
      "{} of {} claims decided; {} of these verdicts stand after correction for {} claims (Holm), "
      "so "
      "that all of these are right with a probability of 95%\n",
      decided, corrected.size(), survive, corrected.size());
}

std::string format_claim(const ClaimResult& result) {
  std::string text = fmt::format("{}: {}", result.name, name_of(result.verdict));
  if (result.verdict != ClaimVerdict::inconclusive) text += fmt::format(", p = {:.2g}", result.p);
  text += fmt::format("; {}\n", result.budget);
  for (const PartResult& part : result.parts) text += "  " + part_sentence(part) + "\n";
  return text;
}

}  // namespace sluice
