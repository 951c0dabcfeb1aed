#pragma once
// A trained model's vocabulary made to fit another text.

#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/base/progress.hpp"
#include "sluice/text/source.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice {

/// What is to become of a vocabulary.
struct VocabularyChange {
  /// Words (or characters) of the text that it lacks are added at its end, the most frequent ones,
  /// at most so many. To subwords: words, blanks before them included, that they spell in several
  /// pieces; each is one token where it stands whole, and all else is cut as before.
  std::int64_t new_words = 0;
  /// Whether those that the text does not have are left out.
  bool prune = false;

  explicit operator bool() const { return new_words > 0 || prune; }
};

/// A tokenizer that cuts as `before` does, with that change; tokens that stay keep their order.
/// Tokens that stand for no text, the end of a line, what is unknown and bytes, always stay. Throws
/// UsageError for tokenizers of bytes and of other programs, and where subwords are to be pruned,
/// which depend on one another.
std::unique_ptr<Tokenizer> change_vocabulary(const Tokenizer& before,
                                             const std::vector<TextSource>& text,
                                             const VocabularyChange& change,
                                             const Progress& progress);

}  // namespace sluice
