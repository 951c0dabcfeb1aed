#pragma once
// Telling one tokenised corpus from another.

#include <string>

#include "sluice/text/corpus.hpp"

namespace sluice {

/// Hexadecimal digits that depend on the number of tokens, the vocabulary's size and the tokens:
/// all of them up to a million, else a million in 256 windows spread over the corpus, so that it
/// takes no time on a corpus of any size.
std::string data_fingerprint(const TokenShards& tokens);

}  // namespace sluice
