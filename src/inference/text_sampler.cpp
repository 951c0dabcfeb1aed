#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sluice/base/error.hpp"
#include "sluice/inference/sample.hpp"

namespace sluice {
namespace {

constexpr float banned = -std::numeric_limits<float>::infinity();

}  // namespace

bool TokenRules::empty() const {
  return bias.empty() && repetition_penalty == 1 && presence_penalty == 0 &&
         frequency_penalty == 0 && no_repeat_ngram == 0;
}

void TokenRules::validate(std::int64_t vocabulary) const {
  if (!(repetition_penalty > 0) || std::isinf(repetition_penalty)) {
    throw UsageError(fmt::format("sampling: the repetition penalty must be more than 0, got {}",
                                 repetition_penalty));
  }
  if (!std::isfinite(presence_penalty) || !std::isfinite(frequency_penalty)) {
    throw UsageError("sampling: the presence and frequency penalties must be numbers");
  }
  if (no_repeat_ngram < 0) {
    throw UsageError(fmt::format(
        "sampling: the length of runs that are not repeated must be 0 (none) or more, got {}",
        no_repeat_ngram));
  }
  for (const Bias& each : bias) {
    if (each.id < 0 || each.id >= vocabulary) {
      throw UsageError(fmt::format(
          "sampling: a bias is given for token {}, outside the model's vocabulary of {}", each.id,
          vocabulary));
    }
    if (std::isnan(each.bias) || each.bias == std::numeric_limits<double>::infinity()) {
      throw UsageError(
          fmt::format("sampling: the bias of token {} must be a number or minus infinity, got {}",
                      each.id, each.bias));
    }
  }
}

TextRules::TextRules(TokenRules rules, std::span<const std::int32_t> prompt,
                     std::int64_t vocabulary)
    : rules_(std::move(rules)) {
  rules_.validate(vocabulary);
  for (const std::int32_t id : prompt) add(id, false);
}

void TextRules::add(std::int32_t id, bool made) {
  if (rules_.empty()) return;
  text_.push_back(id);
  const auto [at, fresh] = place_.try_emplace(id, seen_.size());
  if (fresh) seen_.push_back({id, 0});
  if (made) ++seen_[at->second].made;
}

void TextRules::change(std::span<float> logs, std::int32_t id, float value) {
  float& log = logs[static_cast<std::size_t>(id)];
  changed_.emplace_back(id, log);
  log = value;
}

void TextRules::apply(std::span<float> logs) {
  if (rules_.empty()) return;
  const auto at = [&](std::int32_t id) {
    return static_cast<double>(logs[static_cast<std::size_t>(id)]);
  };
  if (rules_.repetition_penalty != 1 || rules_.presence_penalty != 0 ||
      rules_.frequency_penalty != 0) {
    for (const Seen& seen : seen_) {
      double log = at(seen.id) * rules_.repetition_penalty;
      if (seen.made > 0) {
        log -= rules_.presence_penalty + rules_.frequency_penalty * static_cast<double>(seen.made);
      }
      change(logs, seen.id, static_cast<float>(log));
    }
  }
  for (const TokenRules::Bias& each : rules_.bias) {
    change(logs, each.id, static_cast<float>(at(each.id) + each.bias));
  }
  const auto n = static_cast<std::size_t>(rules_.no_repeat_ngram);
  if (n == 0 || text_.size() < n) return;
  const auto tail = text_.end() - static_cast<std::ptrdiff_t>(n - 1);
  for (auto run = text_.begin(); run + static_cast<std::ptrdiff_t>(n) <= text_.end(); ++run) {
    if (std::equal(tail, text_.end(), run))
      change(logs, run[static_cast<std::ptrdiff_t>(n - 1)], banned);
  }
}

void TextRules::restore(std::span<float> log_probabilities) {
  // Backwards: what was changed twice is as it was at first.
  for (auto it = changed_.rbegin(); it != changed_.rend(); ++it) {
    log_probabilities[static_cast<std::size_t>(it->first)] = it->second;
  }
  changed_.clear();
}

std::int32_t TextSampler::next(std::span<float> log_probabilities) {
  std::int32_t id = 0;
  rules_.apply(log_probabilities);
  try {
    id = sampler_.draw(log_probabilities);
  } catch (...) {
    rules_.restore(log_probabilities);
    throw;
  }
  rules_.restore(log_probabilities);
  rules_.add(id);
  return id;
}

}  // namespace sluice
