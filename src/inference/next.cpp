#include "sluice/inference/next.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sluice/base/error.hpp"
#include "sluice/inference/rescore.hpp"
#include "sluice/text/line_parts.hpp"
#include "word_search.hpp"

namespace sluice {

void NextOptions::validate() const {
  if (top < 1) throw UsageError(fmt::format("next: expected 1 continuation or more, got {}", top));
  if (most_steps < 1) {
    throw UsageError(fmt::format("next: expected 1 step or more, got {}", most_steps));
  }
  const auto words = word_spans(starting_with);
  if (!starting_with.empty() &&
      (words.size() != 1 || words[0].end - words[0].begin != starting_with.size())) {
    throw UsageError(
        fmt::format("next: expected the beginning of one word, got {}", in_quotes(starting_with)));
  }
}

/// Where a text has come to.
struct NextText::Start {
  PredictorState state;
  /// What stands between it and the next word: a blank, nothing at the start of a line.
  std::string before;
};

NextText::NextText(std::shared_ptr<const Predictor> predictor, const Tokenizer& tokenizer)
    : predictor_(std::move(predictor)), tokenizer_(&tokenizer) {
  if (tokenizer.size() != predictor_->vocabulary()) {
    throw Error(
        fmt::format("next: the tokenizer has {} tokens and the model {}; use the model's own",
                    tokenizer.size(), predictor_->vocabulary()));
  }
  // Any other token than eos, for what is printed of a word depends on whether a line begins there.
  const TokenId previous = tokenizer.eos() == 0 ? 1 : 0;
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    pieces_.push_back(tokenizer.text_after(previous, id));
  }
}

NextText::Start NextText::start(std::string_view text, ReadText* read) const {
  tokenizer_->check_text(text, "the text");
  const std::size_t last = text.find_last_not_of(" \t");
  text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
  std::vector<TokenId> ids = tokenizer_->encode_prompt(text);
  ids.insert(ids.begin(), tokenizer_->eos());
  const bool goes_on = read != nullptr && read->ids_.size() <= ids.size() &&
                       std::equal(read->ids_.begin(), read->ids_.end(), ids.begin());
  ReadText kept = goes_on ? std::move(*read) : ReadText();
  if (read != nullptr) *read = {};  // nothing is known until it is read
  predictor_->feed(kept.state_, std::span(ids).subspan(kept.ids_.size()));
  kept.ids_ = std::move(ids);
  Start start;
  start.state = kept.state_;
  if (read != nullptr) *read = std::move(kept);
  start.before = text.empty() || text.back() == '\n' ? "" : " ";
  return start;
}

std::vector<Continuation> NextText::tokens(std::string_view text, std::int64_t top) const {
  NextOptions{.top = top}.validate();
  tokenizer_->check_text(text, "the text");
  std::vector<TokenId> ids = tokenizer_->encode_prompt(text);
  ids.insert(ids.begin(), tokenizer_->eos());
  PredictorState state;
  predictor_->feed(state, ids);
  const Tensor logs = predictor_->log_probabilities(state);
  const float* p = logs.data<float>();
  std::vector<TokenId> order(static_cast<std::size_t>(tokenizer_->size()));
  std::iota(order.begin(), order.end(), 0);
  const auto count = std::min<std::ptrdiff_t>(top, std::ssize(order));
  std::partial_sort(order.begin(), order.begin() + count, order.end(),
                    [&](TokenId a, TokenId b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  std::vector<Continuation> found;
  for (const TokenId id : std::span(order).first(static_cast<std::size_t>(count))) {
    found.push_back(
        {id == tokenizer_->unk() ? tokenizer_->token(id) : tokenizer_->text_after(ids.back(), id),
         std::exp(static_cast<double>(p[id]))});
  }
  return found;
}

NextWords NextText::words_that_are_tokens(const Start& start, const NextOptions& options) const {
  PredictorState state = start.state;
  const Tensor logs = predictor_->log_probabilities(state);
  const float* p = logs.data<float>();
  BestWords best(static_cast<std::size_t>(options.top));
  for (TokenId id = 0; id < tokenizer_->size(); ++id) {
    if (id == tokenizer_->unk()) continue;
    const bool end = id == tokenizer_->eos();
    const std::string text = end ? "\n" : pieces_[static_cast<std::size_t>(id)].substr(1);
    if (end ? options.starting_with.empty() : text.starts_with(options.starting_with)) {
      best.add({text, std::exp(static_cast<double>(p[id]))});
    }
  }
  return {best.sorted(), true};
}

NextWords NextText::words(std::string_view text, const NextOptions& options, ReadText* read) const {
  options.validate();
  tokenizer_->check_text(options.starting_with, "the beginning of the word");
  const Start start = this->start(text, read);
  if (tokenizer_->kind() == "word" && tokenizer_->unk() >= 0) {
    return words_that_are_tokens(start, options);
  }
  return WordSearch(*predictor_, *tokenizer_, pieces_, options).run(start.state, start.before);
}

std::vector<Continuation> NextText::candidates(std::string_view text,
                                               std::span<const std::string> continuations,
                                               bool normalize) const {
  const Start start = this->start(text, nullptr);
  std::vector<std::vector<TokenId>> texts;
  for (std::size_t i = 0; i < continuations.size(); ++i) {
    tokenizer_->check_text(continuations[i], fmt::format("candidate {}", i + 1));
    texts.push_back(tokenizer_->encode_prompt(start.before + continuations[i]));
  }
  const std::vector<double> logs = score_sharing_prefixes(*predictor_, start.state, texts);
  // Relative to the most probable, so that nothing vanishes.
  const double peak = logs.empty() ? 0 : *std::max_element(logs.begin(), logs.end());
  double sum = 0;
  for (const double log : logs) sum += std::exp(log - peak);
  std::vector<Continuation> rated;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    rated.push_back(
        {continuations[i], normalize ? std::exp(logs[i] - peak) / sum : std::exp(logs[i])});
  }
  return rated;
}

}  // namespace sluice
