#pragma once
// Vectors of words as word2vec, GloVe and fastText write them in text: a line a word, the word and
// its numbers between blanks. word2vec and fastText begin with a line of two numbers, how many
// words and how many numbers each.

#include <cstdint>
#include <filesystem>

#include "sluice/base/api.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How many numbers each word of the file has, by its first lines. The file may be compressed.
/// Throws Error when it cannot be read or holds no vectors.
std::int64_t word_vector_width(const std::filesystem::path& file);

/// Gives the model's embedding the vectors of the words that the file and the tokenizer have; of a
/// word that is there several times the first counts. Returns of how many tokens. The file is read
/// line by line. Throws Error for a line of another number of numbers, or with one that is not
/// finite, naming the line; UsageError when the vectors have another width than the embedding, or
/// the embedding is one of bands.
std::int64_t read_word_vectors(const std::filesystem::path& file, const Tokenizer& tokenizer,
                               const LanguageModel& model);

/// Replaces `file` by the vectors of all tokens that have a name without blanks, in word2vec's
/// form. Returns how many. Throws Error when it cannot be written, UsageError for an embedding of
/// bands.
std::int64_t write_word_vectors(const std::filesystem::path& file, const Tokenizer& tokenizer,
                                const LanguageModel& model);

}  // namespace sluice
SLUICE_API_END
