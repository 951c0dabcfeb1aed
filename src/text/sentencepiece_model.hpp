#pragma once
// Models of SentencePiece from files that nobody vouches for.

#include <sentencepiece_processor.h>

#include <string>
#include <string_view>

namespace sluice {

/// Gives `model` to `processor`. Throws Error("cannot load the tokenizer 'NAME': WHY") when it is
/// no model, or one whose tables SentencePiece would follow without looking: it ends the program at
/// a piece that its trie cannot hold, and reads where a table of normalisation says.
void load_sentencepiece(sentencepiece::SentencePieceProcessor& processor, std::string_view model,
                        std::string_view name);

}  // namespace sluice
