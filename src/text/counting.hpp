#pragma once
// Counting the words or characters of a text, to choose a vocabulary.

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sluice/base/pieces.hpp"
#include "sluice/base/progress.hpp"
#include "sluice/text/source.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice {

/// Lets unordered_map<std::string, ...> be searched with a string_view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

using Counts = std::unordered_map<std::string, std::int64_t, TextHash, std::equal_to<>>;

/// How often each unit and how many lines there are.
struct TextCounts {
  Counts units;
  std::int64_t lines = 0;
};

/// What count_units counts.
enum class Unit {
  word,        ///< as for_each_word cuts them
  character,   ///< code points
  blank_word,  ///< as for_each_segment cuts them: blanks and the word after them
};

/// What is counted, and how.
struct Counting {
  Unit unit = Unit::word;
  Normalization form = Normalization::none;
  /// Only an evenly spread part of about so many bytes is counted when there are more.
  std::int64_t sample_bytes = std::numeric_limits<std::int64_t>::max();
};

/// Counts the units of `sources`, brought into normal form, on all cores of all processes that
/// `work` has; the one that leads gets the sum. Every byte is validated.
TextCounts count_units(const std::vector<TextSource>& sources, const Counting& counting,
                       const Progress& progress, PieceWork& work);

/// Sorted by descending count, ties by bytes.
std::vector<std::pair<std::string, std::int64_t>> by_frequency(Counts counts);

/// Length of the UTF-8 sequence that starts `text` (1 for a byte that starts none); text not empty.
std::size_t sequence_length(std::string_view text);

/// Throws the Error of Tokenizer::check_text.
void require_text(std::string_view text, const std::string& name, std::int64_t offset);

}  // namespace sluice
