#include "word_search.hpp"

#include <algorithm>
#include <cmath>

#include "sluice/text/detail/utf8.hpp"

namespace sluice {
namespace {

/// Beginnings that are read on in one pass: what is read beside the most probable one costs little,
/// and most of it would be read later.
constexpr std::size_t beginnings_at_once = 24;

bool is_ascii_blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r'; }

}  // namespace

void BestWords::add(Continuation word) {
  if (words_.size() == most_ && !(word.probability > words_.top().probability)) return;
  words_.push(std::move(word));
  if (words_.size() > most_) words_.pop();
}

std::vector<Continuation> BestWords::sorted() {
  std::vector<Continuation> words;
  for (; !words_.empty(); words_.pop()) words.push_back(words_.top());
  std::reverse(words.begin(), words.end());
  return words;
}

bool WordSearch::ends_word(TokenId id) const {
  const std::string& piece = pieces_[static_cast<std::size_t>(id)];
  return id == tokenizer_.eos() || (!piece.empty() && is_ascii_blank(piece.front()));
}

bool WordSearch::promising(std::string_view text) const {
  const std::string_view wanted = options_.starting_with;
  const std::size_t common = std::min(text.size(), wanted.size());
  return text.substr(0, common) == wanted.substr(0, common) &&
         std::none_of(text.begin(), text.end(), is_ascii_blank);
}

bool WordSearch::is_word(const Beginning& beginning) const {
  const std::string& text = beginning.text;
  if (text.empty() || !text.starts_with(options_.starting_with)) return false;
  if (tokenizer_.kind() != "byte" && valid_text_length(text) != text.size()) return false;
  std::vector<TokenId> tokens;
  tokenizer_.encode(before_ + text, tokens);
  return tokens == beginning.tokens;
}

void WordSearch::add(const Beginning& from, const std::shared_ptr<PredictorState>& state,
                     TokenId id, std::string_view piece, double probability) {
  if (!(probability > best_.bar()) || id == tokenizer_.unk()) return;
  Beginning next;
  next.text = from.text;
  next.text += piece;
  if (!promising(next.text)) return;
  next.probability = probability;
  next.tokens = from.tokens;
  next.tokens.push_back(id);
  next.state = state;
  beginnings_.push(std::move(next));
}

void WordSearch::begin(const PredictorState& start) {
  const auto state = std::make_shared<PredictorState>(start);
  const Tensor logs = predictor_.log_probabilities(*state);
  const auto p = [&](TokenId id) { return std::exp(static_cast<double>(logs.data<float>()[id])); };
  // A new word begins with a blank, or at the start of a line without one. Given that one begins,
  // or the line ends.
  const auto begins = [&](TokenId id) {
    return id == tokenizer_.eos() || before_.empty() != ends_word(id) ||
           (before_.empty() && tokenizer_.kind() == "word");
  };
  double sum = 0;
  for (TokenId id = 0; id < tokenizer_.size(); ++id) sum += begins(id) ? p(id) : 0;
  for (TokenId id = 0; id < tokenizer_.size(); ++id) {
    if (!begins(id)) continue;
    const double probability = p(id) / sum;
    if (id == tokenizer_.eos()) {
      if (options_.starting_with.empty()) best_.add({"\n", probability});
      continue;
    }
    const std::string first = before_.empty() ? tokenizer_.text_after(tokenizer_.eos(), id)
                                              : pieces_[static_cast<std::size_t>(id)];
    add({}, state, id, std::string_view(first).substr(before_.size()), probability);
  }
}

void WordSearch::read_on(std::vector<Beginning> beginnings) {
  std::vector<std::shared_ptr<PredictorState>> states;
  std::vector<PredictorState*> reading;
  std::vector<Predictor::Ids> ids;
  for (const Beginning& beginning : beginnings) {
    states.push_back(std::make_shared<PredictorState>(*beginning.state));
    reading.push_back(states.back().get());
    ids.push_back(Predictor::Ids(beginning.tokens).last(1));
  }
  predictor_.feed(reading, ids);
  const Tensor logs = predictor_.log_probabilities(reading);
  const std::int64_t vocabulary = tokenizer_.size();
  for (std::size_t b = 0; b < beginnings.size(); ++b) {
    const Beginning& beginning = beginnings[b];
    const float* row = logs.data<float>() + static_cast<std::int64_t>(b) * vocabulary;
    double over = 0;
    for (TokenId id = 0; id < vocabulary; ++id) {
      const double p = std::exp(static_cast<double>(row[id]));
      if (ends_word(id)) {
        over += p;
      } else {
        add(beginning, states[b], id, pieces_[static_cast<std::size_t>(id)],
            beginning.probability * p);
      }
    }
    const double probability = beginning.probability * over;
    if (probability > best_.bar() && is_word(beginning)) best_.add({beginning.text, probability});
  }
}

NextWords WordSearch::run(const PredictorState& start, const std::string& before) {
  before_ = before;
  begin(start);
  std::int64_t steps = 0;
  while (!beginnings_.empty() && beginnings_.top().probability > best_.bar() &&
         steps < options_.most_steps) {
    std::vector<Beginning> next;
    while (!beginnings_.empty() && beginnings_.top().probability > best_.bar() &&
           next.size() < beginnings_at_once && steps < options_.most_steps) {
      next.push_back(beginnings_.top());
      beginnings_.pop();
      ++steps;
    }
    read_on(std::move(next));
  }
  const bool exact = beginnings_.empty() || !(beginnings_.top().probability > best_.bar());
  return {best_.sorted(), exact};
}

}  // namespace sluice
