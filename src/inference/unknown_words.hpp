#pragma once
// What a vocabulary lacks of a text.

#include <string>
#include <string_view>
#include <vector>

#include "sluice/text/tokenizer.hpp"

namespace sluice::detail {

/// The words (for "char" the characters) of `text` that are read as <unk>, in order, each once.
std::vector<std::string> unknown_words(const Tokenizer& tokenizer, std::string_view text);

}  // namespace sluice::detail
