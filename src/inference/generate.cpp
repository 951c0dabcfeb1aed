#include "sluice/inference/generate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/inference/text_builder.hpp"
#include "unknown_words.hpp"

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

/// The next part of a text that a tokenizer may lack: a word, or for "char" a character.
std::string_view next_part(std::string_view& text, bool characters) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  if (text.empty()) return text;
  const std::string_view part =
      text.substr(0, characters ? sequence_length(text.front()) : text.find_first_of(blanks));
  text.remove_prefix(part.size());
  return part;
}

}  // namespace

std::vector<std::string> detail::unknown_words(const Tokenizer& tokenizer, std::string_view text) {
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
  tokenizer.check_text(prompt, "the prompt");
  const auto start = std::chrono::steady_clock::now();

  GenerateResult result;
  result.unknown_words = detail::unknown_words(tokenizer, prompt);
  // A text starts after the end of the line before it.
  std::vector<TokenId> ids = tokenizer.encode_prompt(prompt);
  result.prompt_tokens = static_cast<std::int64_t>(ids.size());
  ids.insert(ids.begin(), tokenizer.eos());
  TextSampler sampler(options.sampling, options.rules, ids, model.vocabulary());
  TextBuilder text(tokenizer, prompt, options.stops);
  const auto passes_on = [&] {
    const std::string certain = text.take();
    result.text += certain;
    return certain.empty() || !emit || emit(certain);
  };

  Session session = model.session();
  session.feed(ids);
  bool open = true;
  while (open && static_cast<std::int64_t>(result.ids.size()) < options.tokens) {
    const Tensor logs = session.log_probabilities();
    result.ids.push_back(sampler.next(logs.span<float>()));
    open = text.add(result.ids.back());
    if (!passes_on()) {
      result.reason = StopReason::cancelled;
      break;
    }
    if (open && static_cast<std::int64_t>(result.ids.size()) < options.tokens) {
      session.feed(result.ids.back());
    }
  }
  if (result.reason != StopReason::cancelled) {
    text.finish();
    if (text.stopped()) result.reason = StopReason::stop_text;
    if (!passes_on()) result.reason = StopReason::cancelled;
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace sluice
