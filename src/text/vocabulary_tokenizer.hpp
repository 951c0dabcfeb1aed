#pragma once
// Tokenizers that look units up in a list.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/text/tokenizer.hpp"
#include "splitting.hpp"

namespace sluice {

/// How text is read before it is looked up, and what the tokens are called that stand for no text.
struct VocabularyRules {
  WhiteSpace space = WhiteSpace::unicode;
  Normalization form = Normalization::none;
  bool byte_fallback = false;
  std::string eos = {};
  std::string unk = "<unk>";
};

/// Rules with the usual name of the end of a line.
VocabularyRules usual_rules(bool words);

/// The name of a byte's token.
std::string byte_name(unsigned byte);

/// A word or a char tokenizer. `tokens` must hold, once each, rules.eos, and rules.unk or the names
/// of all bytes.
std::unique_ptr<Tokenizer> make_vocabulary_tokenizer(bool words, std::vector<std::string> tokens,
                                                     const VocabularyRules& rules);

/// What such a tokenizer was made of.
struct VocabularyParts {
  bool words = false;
  std::vector<std::string> tokens;
  VocabularyRules rules;
};
/// None of another kind of tokenizer.
std::optional<VocabularyParts> vocabulary_parts(const Tokenizer& tokenizer);

/// A word tokenizer from a list of words: one a line, or fairseq's dict.txt, whose lines end with a
/// blank and a count. The list's order is kept. In front of fairseq's words stand the four tokens
/// that it leaves out: <s>, <pad>, </s>, which ends lines, and <unk>. Lists that name neither
/// "<eos>" nor
/// "</s>" get the former in front, those without "<unk>" that, or bytes, at the end. Throws Error
/// naming `name` and the line.
std::unique_ptr<Tokenizer> parse_word_list(std::string_view text, const std::string& name,
                                           const TokenizerOptions& options);

}  // namespace sluice
