#include "sluice/text/unit_costs.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>

#include "counting.hpp"
#include "sluice/base/error.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "sluice/text/tokenizer.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t most_bytes = 2'000'000;

/// A number for a character or a token, below 2^21.
using Symbol = std::uint32_t;

/// How often sequences of one length were seen.
class SequenceCounts {
 public:
  SequenceCounts(std::span<const Symbol> seen, std::size_t length) {
    std::vector<std::uint64_t> all;
    for (std::size_t i = length; i <= seen.size(); ++i) {
      all.push_back(key(seen.subspan(i - length, length)));
    }
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i > 0 && all[i] == all[i - 1]) continue;
      keys_.push_back(all[i]);
      before_.push_back(static_cast<double>(i));
    }
    before_.push_back(static_cast<double>(all.size()));
  }

  /// The probability of the last symbol of a sequence after the others; `shorter` is what it is
  /// after fewer of them.
  double probability(std::span<const Symbol> sequence, double shorter) const {
    constexpr double discount = 0.75;
    const std::uint64_t own = key(sequence);
    const auto begin = place(own & ~last_symbol);
    const auto end = place((own | last_symbol) + 1);
    const double total = before_[end] - before_[begin];
    if (total == 0) return shorter;
    const auto at = place(own);
    const bool known = at < keys_.size() && keys_[at] == own;
    const double times = known ? before_[at + 1] - before_[at] - discount : 0;
    return (times + discount * static_cast<double>(end - begin) * shorter) / total;
  }

  /// How many different sequences there are.
  std::size_t different() const { return keys_.size(); }

 private:
  static constexpr unsigned bits = 21;
  static constexpr std::uint64_t last_symbol = (std::uint64_t{1} << bits) - 1;

  static std::uint64_t key(std::span<const Symbol> sequence) {
    std::uint64_t key = 0;
    for (const Symbol symbol : sequence) key = key << bits | symbol;
    return key;
  }
  std::size_t place(std::uint64_t key) const {
    return static_cast<std::size_t>(std::lower_bound(keys_.begin(), keys_.end(), key) -
                                    keys_.begin());
  }

  std::vector<std::uint64_t> keys_;  // in order
  std::vector<double> before_;       // how many sequences have smaller keys
};

/// Bits that `told` takes after `seen`, each symbol after order - 1 others of it.
double bits_of(std::span<const Symbol> seen, std::span<const Symbol> told, std::size_t order) {
  std::vector<SequenceCounts> counts;
  for (std::size_t length = 1; length <= order; ++length) counts.emplace_back(seen, length);
  double bits = 0;
  for (std::size_t i = order - 1; i < told.size(); ++i) {
    double probability = 1.0 / static_cast<double>(counts.front().different() + 1);
    for (std::size_t length = 1; length <= order; ++length) {
      probability =
          counts[length - 1].probability(told.subspan(i + 1 - length, length), probability);
    }
    bits -= std::log2(probability);
  }
  return bits;
}

std::vector<Symbol> characters_of(std::string_view text) {
  std::vector<Symbol> characters;
  while (!text.empty()) {
    utf8proc_int32_t character = 0;
    const auto size = static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size(), 4));
    utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), size, &character);
    characters.push_back(static_cast<Symbol>(character));
    text.remove_prefix(sequence_length(text));
  }
  return characters;
}

std::vector<Symbol> tokens_of(std::string_view text, const Tokenizer& tokenizer) {
  const std::vector<TokenId> tokens = tokenizer.encode_text(text);
  return {tokens.begin(), tokens.end()};
}

/// The beginning of a text, in two parts.
struct Sample {
  std::string seen, told;
  std::vector<TextSource> seen_sources;
};

Sample sample_of(const std::vector<TextSource>& sources) {
  std::string text;
  Sample sample;
  for (const TextSource& source : sources) {
    if (text.size() >= most_bytes) break;
    const TextFile file(source);
    text += file.read(0, most_bytes - text.size());
    sample.seen_sources.emplace_back(source.path, file.begin(), file.begin() + file.size());
  }
  const std::size_t cut = whole_characters(text, text.size() / 20 * 19);
  std::size_t end = text.size();
  // The last character may be cut in two.
  if (end == most_bytes) --end;
  while (end > cut && end < text.size() && continues_character(text[end])) --end;
  sample.seen = text.substr(0, cut);
  sample.told = text.substr(cut, end - cut);
  std::uint64_t left = cut;
  for (TextSource& source : sample.seen_sources) {
    source.end = std::min(source.end, source.begin + left);
    left -= source.end - source.begin;
  }
  std::erase_if(sample.seen_sources,
                [](const TextSource& source) { return source.begin == source.end; });
  return sample;
}

}  // namespace

std::optional<UnitCosts> unit_costs(const std::vector<TextSource>& sources, std::int64_t vocabulary,
                                    const Progress& progress) {
  const Sample sample = sample_of(sources);
  const auto characters = static_cast<double>(count_characters(sample.told));
  if (characters == 0 || valid_text_length(sample.told) != sample.told.size()) return {};
  std::unique_ptr<Tokenizer> subwords;
  try {
    subwords =
        train_tokenizer({.kind = "bpe", .vocabulary = vocabulary}, sample.seen_sources, progress);
  } catch (const Error& error) {
    rethrow_if_refused(error);
    return {};
  }
  return UnitCosts{
      .subwords = bits_of(tokens_of(sample.seen, *subwords), tokens_of(sample.told, *subwords), 1) /
                  characters,
      .characters =
          bits_of(characters_of(sample.seen), characters_of(sample.told), 3) / characters};
}

}  // namespace sluice
