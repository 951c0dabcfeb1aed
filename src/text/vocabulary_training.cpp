// Training word and char tokenizers: choosing what is worth a token.
#include <algorithm>
#include <array>
#include <utility>

#include "counting.hpp"
#include "kinds.hpp"
#include "vocabulary_tokenizer.hpp"

namespace sluice {
namespace {

/// How often what was left out of a vocabulary was seen: as unknown, or by its bytes.
class LeftOut {
 public:
  explicit LeftOut(bool words) : words_(words) {}
  void add(std::string_view text, std::int64_t count) {
    unknown_ += count;
    if (words_) bytes_[' '] += count;
    for (const char byte : text) bytes_[static_cast<unsigned char>(byte)] += count;
  }
  /// Adds the tokens that stand for it.
  void add_tokens(const VocabularyRules& rules, Counts& tokens) const {
    const bool as_bytes = rules.byte_fallback;
    if (!as_bytes) tokens.emplace(rules.unk, unknown_);
    for (unsigned byte = 0; as_bytes && byte < bytes_.size(); ++byte) {
      tokens.emplace(byte_name(byte), bytes_[byte]);
    }
  }

 private:
  bool words_;
  std::int64_t unknown_ = 0;
  std::array<std::int64_t, 256> bytes_{};
};

}  // namespace

std::unique_ptr<Tokenizer> train_vocabulary_tokenizer(const TokenizerOptions& options,
                                                      const std::vector<TextSource>& sources,
                                                      const Progress& progress, PieceWork& work) {
  const bool words = options.kind == "word";
  VocabularyRules rules = usual_rules(words);
  rules.form = options.normalize;
  rules.byte_fallback = options.byte_fallback;
  const Counting counting{.unit = words ? Unit::word : Unit::character, .form = options.normalize};
  TextCounts counts = count_units(sources, counting, progress, work);
  if (!work.leads()) return nullptr;
  const std::int64_t lines = counts.lines;
  LeftOut left_out(words);
  const auto leave_out = [&](std::string_view name) {
    const auto found = counts.units.find(name);
    if (found == counts.units.end()) return;
    left_out.add(name, found->second);
    counts.units.erase(found);
  };
  std::int64_t special = 2;  // tokens that are in any vocabulary
  leave_out(rules.eos);
  if (options.byte_fallback) {
    special = 257;
    for (unsigned byte = 0; byte < 256; ++byte) leave_out(byte_name(byte));
  } else {
    leave_out(rules.unk);
  }

  const bool marked = !options.document_mark.empty();
  if (marked) {
    ++special;
    counts.units.erase(options.document_mark);
  }

  auto sorted = by_frequency(std::move(counts.units));
  while (!sorted.empty() &&
         (sorted.back().second < options.min_count ||
          (options.vocabulary != 0 &&
           static_cast<std::int64_t>(sorted.size()) + special > options.vocabulary))) {
    left_out.add(sorted.back().first, sorted.back().second);
    sorted.pop_back();
  }
  Counts kept;
  for (auto& [text, count] : sorted) kept.emplace(std::move(text), count);
  kept.emplace(rules.eos, lines);
  // How many documents there are is not known here; frequent tokens are the cheap ones.
  if (marked) kept.emplace(options.document_mark, lines);
  left_out.add_tokens(rules, kept);
  std::vector<std::string> tokens;
  for (auto& [text, count] : by_frequency(std::move(kept))) tokens.push_back(std::move(text));
  return make_vocabulary_tokenizer(words, std::move(tokens), rules);
}

}  // namespace sluice
