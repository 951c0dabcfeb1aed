#include "sluice/inference/generate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"

namespace sluice {
namespace {

constexpr std::string_view blanks = " \t\r\v\f\n";

/// Length of the UTF-8 sequence that `lead` begins; 1 for a byte that begins none.
std::size_t sequence_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  if (byte >= 0xF0 && byte < 0xF8) return 4;
  if (byte >= 0xE0 && byte < 0xF0) return 3;
  return byte >= 0xC0 && byte < 0xE0 ? 2 : 1;
}

/// Bytes at the end of `text` that are the beginning of a UTF-8 character.
std::size_t unfinished_character(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const char byte = text[text.size() - back];
    const bool continues = (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
    if (!continues) return sequence_length(byte) > back ? back : 0;
  }
  return 0;
}

/// Bytes at the end of `text` that are the beginning, not the whole, of `stop`.
std::size_t unfinished_stop(std::string_view text, std::string_view stop) {
  if (stop.empty()) return 0;
  for (std::size_t size = std::min(stop.size() - 1, text.size()); size > 0; --size) {
    if (text.ends_with(stop.substr(0, size))) return size;
  }
  return 0;
}

/// The next part of a text that a tokenizer may lack: a word, or for "char" a character.
std::string_view next_part(std::string_view& text, bool characters) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  if (text.empty()) return text;
  const std::string_view part =
      text.substr(0, characters ? sequence_length(text.front()) : text.find_first_of(blanks));
  text.remove_prefix(part.size());
  return part;
}

std::vector<std::string> unknown_words(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> unknown;
  if (tokenizer.unk() < 0) return unknown;
  const std::string unk = tokenizer.token(tokenizer.unk());
  const bool characters = tokenizer.kind() == "char";
  std::vector<TokenId> ids;
  for (std::string_view part = next_part(text, characters); !part.empty();
       part = next_part(text, characters)) {
    ids.clear();
    tokenizer.encode(part, ids);
    // A word may be written <unk>: then it is what the vocabulary has.
    if (std::find(ids.begin(), ids.end(), tokenizer.unk()) != ids.end() && part != unk &&
        std::find(unknown.begin(), unknown.end(), part) == unknown.end()) {
      unknown.emplace_back(part);
    }
  }
  return unknown;
}

}  // namespace

StopFilter::StopFilter(std::string stop, EmitText emit)
    : stop_(std::move(stop)), emit_(std::move(emit)) {}

void StopFilter::pass(std::size_t size) {
  if (size == 0) return;
  if (emit_ && !emit_(std::string_view(held_).substr(0, size))) cancelled_ = true;
  held_.erase(0, size);
}

bool StopFilter::write(std::string_view text) {
  if (stopped_ || cancelled_) return false;
  held_ += text;
  const std::size_t found = stop_.empty() ? std::string::npos : held_.find(stop_);
  if (found != std::string::npos) {
    stopped_ = true;
    pass(found);
    held_.clear();
    return false;
  }
  pass(held_.size() - std::max(unfinished_character(held_), unfinished_stop(held_, stop_)));
  return !cancelled_;
}

void StopFilter::finish() {
  if (!stopped_ && !cancelled_) pass(held_.size());
}

GenerateResult generate(const FrozenModel& model, const Tokenizer& tokenizer,
                        std::string_view prompt, const GenerateOptions& options,
                        const EmitText& emit) {
  if (options.tokens < 0) {
    throw UsageError(
        fmt::format("generate: the number of tokens must be 0 or more, got {}", options.tokens));
  }
  if (tokenizer.size() != model.vocabulary()) {
    throw Error(
        fmt::format("generate: the tokenizer has {} tokens and the model {}; use the "
                    "model's own",
                    tokenizer.size(), model.vocabulary()));
  }
  Sampler sampler(options.sampling);
  tokenizer.check_text(prompt, "the prompt");
  const auto start = std::chrono::steady_clock::now();

  GenerateResult result;
  result.unknown_words = unknown_words(tokenizer, prompt);
  // A text starts after the end of the line before it.
  std::vector<TokenId> ids = tokenizer.encode_prompt(prompt);
  result.prompt_tokens = static_cast<std::int64_t>(ids.size());
  ids.insert(ids.begin(), tokenizer.eos());
  StopFilter filter(options.stop, [&](std::string_view text) {
    result.text += text;
    return !emit || emit(text);
  });

  Session session = model.session();
  session.feed(ids);
  TokenId previous = ids.back();
  // A blank that ends the prompt is no token of a word tokenizer, but it is on the page already.
  bool blank_is_there = tokenizer.kind() == "word" && prompt.ends_with(' ');
  bool open = true;
  while (open && static_cast<std::int64_t>(result.ids.size()) < options.tokens) {
    const TokenId next = sampler.draw(session.log_probabilities().span<float>());
    result.ids.push_back(next);
    std::string text = tokenizer.text_after(previous, next);
    if (blank_is_there && text.starts_with(' ')) text.erase(0, 1);
    blank_is_there = false;
    open = filter.write(text);
    previous = next;
    if (open && static_cast<std::int64_t>(result.ids.size()) < options.tokens) session.feed(next);
  }
  filter.finish();
  if (filter.stopped()) result.reason = StopReason::stop_text;
  if (filter.cancelled()) result.reason = StopReason::cancelled;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace sluice
