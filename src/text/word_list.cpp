// Word tokenizers from lists that others made.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_set>

#include "counting.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "vocabulary_tokenizer.hpp"

namespace sluice {
namespace {

/// What stands before the last blank of "word count"; nothing when the line is none such.
std::optional<std::string_view> counted_word(std::string_view line) {
  const std::size_t blank = line.rfind(' ');
  if (blank == std::string_view::npos || blank == 0 || blank + 1 == line.size()) return {};
  const std::string_view count = line.substr(blank + 1);
  const bool digits =
      std::all_of(count.begin(), count.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::optional(line.substr(0, blank)) : std::nullopt;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(without_return(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

bool has_blank(std::string_view word) {
  std::size_t words = 0;
  for_each_word(word, WhiteSpace::unicode, [&](std::string_view) { ++words; });
  const auto end = [&](char c) { return is_blank(c); };
  return words != 1 || end(word.front()) || end(word.back());
}

}  // namespace

std::unique_ptr<Tokenizer> parse_word_list(std::string_view text, const std::string& name,
                                           const TokenizerOptions& options) {
  require_text(text, name, 0);
  const std::vector<std::string_view> lines = lines_of(text);
  const auto refuse = [&](std::size_t line, const std::string& fault) {
    throw Error(fmt::format("cannot read the vocabulary '{}', line {}: {}", name, line + 1, fault));
  };
  if (lines.empty()) throw Error(fmt::format("cannot read the vocabulary '{}': it is empty", name));
  const bool fairseq = std::all_of(lines.begin(), lines.end(), [](std::string_view line) {
    return counted_word(line).has_value();
  });
  VocabularyRules rules = usual_rules(true);
  rules.form = options.normalize;
  rules.byte_fallback = options.byte_fallback;
  std::vector<std::string> tokens;
  if (fairseq) {
    tokens = {"<s>", "<pad>", "</s>", "<unk>"};
    rules.eos = "</s>";
  }
  std::unordered_set<std::string> known(tokens.begin(), tokens.end());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string word(fairseq ? *counted_word(lines[i]) : lines[i]);
    if (word.empty()) refuse(i, "a word is missing");
    if (has_blank(word)) {
      refuse(i,
             fmt::format("expected one word, or on every line a word, a blank and a count, got {}",
                         in_quotes(word)));
    }
    if (!known.insert(word).second) refuse(i, fmt::format("{} is there twice", in_quotes(word)));
    tokens.push_back(word);
  }
  if (!fairseq && !known.contains(rules.eos)) {
    if (known.contains("</s>")) {
      rules.eos = "</s>";
    } else {
      tokens.insert(tokens.begin(), rules.eos);
    }
  }
  if (!rules.byte_fallback && !known.contains(rules.unk)) tokens.push_back(rules.unk);
  for (unsigned byte = 0; rules.byte_fallback && byte < 256; ++byte) {
    if (!known.contains(byte_name(byte))) tokens.push_back(byte_name(byte));
  }
  return make_vocabulary_tokenizer(true, std::move(tokens), rules);
}

}  // namespace sluice
