#include "sluice/text/vocabulary_change.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_set>
#include <utility>

#include "counting.hpp"
#include "sluice/base/error.hpp"
#include "vocabulary_tokenizer.hpp"

namespace sluice {

std::unique_ptr<Tokenizer> change_vocabulary(const Tokenizer& before,
                                             const std::vector<TextSource>& text,
                                             const VocabularyChange& change,
                                             const Progress& progress) {
  auto parts = vocabulary_parts(before);
  if (!parts) {
    throw UsageError(fmt::format(
        "the vocabulary of a {} tokenizer cannot be changed, since its pieces depend on "
        "one another; that of a word or a char tokenizer can",
        before.kind()));
  }
  auto& [words, tokens, rules] = *parts;
  OwnWork work;
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
