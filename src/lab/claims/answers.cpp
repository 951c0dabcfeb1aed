#include "claims/answers.hpp"

#include <algorithm>
#include <string>

#include "claims/measure_groups.hpp"

namespace sluice {
namespace {

/// Places further on count as one, lest a text that is no task fills the memory.
constexpr std::int64_t most_places = 64;
/// Stands for whichever token came before.
constexpr TokenId any_token = -2;

}  // namespace

AnswerFinder::AnswerFinder(const Tokenizer& tokenizer)
    : marks_(static_cast<std::size_t>(tokenizer.size())) {
  for (std::size_t i = 0; i < marks_.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string token = tokenizer.token(id);
    if (id == tokenizer.eos()) {
      marks_[i] = Mark::line_end;
    } else if (token == "=") {
      marks_[i] = Mark::equals;
    } else if (token == "/") {
      marks_[i] = Mark::slash;
    } else if (token == ">") {
      marks_[i] = Mark::closing;
    }
  }
}

std::optional<AnswerPlace> AnswerFinder::read(TokenId token) {
  const Mark mark = marks_[static_cast<std::size_t>(token)];
  std::optional<AnswerPlace> found;
  if ((after_equals_ || after_slash_) && mark != Mark::line_end) found = next_;
  next_ = {.place = next_.place + 1, .before = token};
  switch (mark) {
    case Mark::line_end:
      after_equals_ = after_slash_ = false;
      break;
    case Mark::equals:
      after_equals_ = true;
      next_ = {};
      break;
    case Mark::slash:
      after_slash_ = true;
      next_ = {};
      break;
    case Mark::closing:
      after_slash_ = false;
      break;
    case Mark::none:
      break;
  }
  return found;
}

AnswerGuess::AnswerGuess(const Tokenizer& tokenizer, const TokenShards& train)
    : vocabulary_(static_cast<std::uint64_t>(tokenizer.size())) {
  // By context and token.
  std::unordered_map<std::uint64_t, std::int64_t> counts;
  AnswerFinder finder(tokenizer);
  for_each_token(train, [&](TokenId token) {
    const auto found = finder.read(token);
    if (!found) return;
    for (const AnswerPlace& seen : {*found, AnswerPlace{found->place, any_token}}) {
      ++counts[context(seen) * vocabulary_ + static_cast<std::uint64_t>(token)];
    }
  });
  for (const auto& [key, count] : counts) {
    Best& best = best_[key / vocabulary_];
    const auto token = static_cast<TokenId>(key % vocabulary_);
    if (count > best.count || (count == best.count && token < best.token)) best = {token, count};
  }
}

TokenId AnswerGuess::at(const AnswerPlace& place) const {
  for (const AnswerPlace& known : {place, AnswerPlace{place.place, any_token}}) {
    const auto found = best_.find(context(known));
    if (found != best_.end()) return found->second.token;
  }
  return -1;
}

std::uint64_t AnswerGuess::context(const AnswerPlace& place) const {
  const auto at = static_cast<std::uint64_t>(std::min(place.place, most_places));
  return at * (vocabulary_ + 2) + static_cast<std::uint64_t>(place.before - any_token);
}

}  // namespace sluice
