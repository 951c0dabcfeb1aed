#include "sluice/text/detail/vocabulary_change.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "counting.hpp"
#include "kinds.hpp"
#include "sluice/base/error.hpp"
#include "vocabulary_tokenizer.hpp"

namespace sluice {
namespace {

/// What most often stands between blanks, with them, of what takes several tokens.
std::vector<std::string> cut_words(const Tokenizer& before, Counts counts, std::int64_t most) {
  constexpr std::size_t longest = 64;
  std::vector<std::string> words;
  std::vector<TokenId> tokens;
  for (auto& [word, count] : by_frequency(std::move(counts))) {
    if (static_cast<std::int64_t>(words.size()) == most) break;
    tokens.clear();
    before.encode(word, tokens);
    if (tokens.size() > 1 && word.size() <= longest) words.push_back(std::move(word));
  }
  return words;
}

}  // namespace

std::unique_ptr<Tokenizer> change_vocabulary(const Tokenizer& before,
                                             const std::vector<TextSource>& text,
                                             const VocabularyChange& change,
                                             const Progress& progress) {
  OwnWork work;
  auto parts = vocabulary_parts(before);
  if (!parts && takes_words(before) && !change.prune) {
    TextCounts counts = count_units(text, {.unit = Unit::blank_word}, progress, work);
    return with_words(before, cut_words(before, std::move(counts.units), change.new_words));
  }
  if (!parts) {
    throw UsageError(fmt::format(
        "the vocabulary of this {} tokenizer cannot be {}; that of a word or a char tokenizer can",
        before.kind(),
        change.prune ? "pruned, since its pieces depend on one another" : "changed"));
  }
  auto& [words, tokens, rules] = *parts;
  const Counting counting{.unit = words ? Unit::word : Unit::character, .form = rules.form};
  Counts counts = count_units(text, counting, progress, work).units;
  std::unordered_set<std::string> lasting{rules.eos};
  if (!rules.byte_fallback) lasting.insert(rules.unk);
  for (unsigned byte = 0; rules.byte_fallback && byte < 256; ++byte) {
    lasting.insert(byte_name(byte));
  }
  const std::unordered_set<std::string> known(tokens.begin(), tokens.end());
  if (change.prune) {
    std::erase_if(tokens, [&](const std::string& token) {
      return !lasting.contains(token) && !counts.contains(token);
    });
  }
  std::erase_if(counts, [&](const auto& counted) { return known.contains(counted.first); });
  auto added = by_frequency(std::move(counts));
  added.resize(std::min(added.size(), static_cast<std::size_t>(change.new_words)));
  for (auto& [token, count] : added) tokens.push_back(std::move(token));
  return make_vocabulary_tokenizer(words, std::move(tokens), rules);
}

}  // namespace sluice
