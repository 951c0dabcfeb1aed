// Verdicts in words.

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "sluice/lab/claims/claim_runs.hpp"

namespace sluice {
namespace {

using nlohmann::json;

/// Four significant digits, large numbers whole.
std::string short_number(double value) {
  return std::abs(value) >= 1000 ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
}

std::string measured_text(const json& value) {
  return value.is_null() ? "?" : short_number(value.get<double>());
}

/// "-0.0312 (-0.0414 to -0.0210) nats per token", "0.62 times (0.55 to 0.70)".
std::string effect_sentence(const json& part) {
  if (part["kind"] == "ratio") {
    return fmt::format("{} times ({} to {})", measured_text(part["effect"]),
                       measured_text(part["low"]), measured_text(part["high"]));
  }
  return fmt::format("{} {} ({} to {})", measured_text(part["effect"]),
                     part["unit"].get<std::string>(), measured_text(part["low"]),
                     measured_text(part["high"]));
}

std::string expected_text(const json& part) {
  const std::string threshold = short_number(part["threshold"].get<double>());
  if (part["expect"] == "less") return "below " + threshold;
  if (part["expect"] == "greater") return "above " + threshold;
  return "within " + threshold;
}

std::string sides(const json& part) {
  std::string a = fmt::format("{} {}", part["side_a"].get<std::string>(), measured_text(part["a"]));
  if (part["side_b"].is_null()) return a;
  return fmt::format("{}, {} {}", a, part["side_b"].get<std::string>(), measured_text(part["b"]));
}

}  // namespace

std::string part_sentence(const json& part) {
  const auto n = part["n"].get<std::size_t>();
  const std::string head = fmt::format("{}: {}; {}", part["statement"].get<std::string>(),
                                       part["verdict"].get<std::string>(), sides(part));
  if (n == 0) {
    return head + (part["values_a"].size() == 1
                       ? "; one seed: no interval, since a single run does not tell how much runs "
                         "vary"
                       : "; no interval, since a run's value cannot be told");
  }
  const auto at_edge = [&](const char* side) {
    return part[side].is_object() && part[side]["at_edge"].get<bool>();
  };
  const bool edge = at_edge("rates_a") || at_edge("rates_b");
  return fmt::format("{}: {}, claimed {}, {} seeds{}", head, effect_sentence(part),
                     expected_text(part), n, edge ? ", best rate at an end of those tried" : "");
}

std::string format_claim(const json& element) {
  std::string text = fmt::format("{}: {}\n", element["name"].get<std::string>(),
                                 element["verdict"].get<std::string>());
  for (const json& part : element["parts"]) text += "  " + part_sentence(part) + "\n";
  return text;
}

}  // namespace sluice
