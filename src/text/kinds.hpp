#pragma once
// The kinds of tokenizer: how each is trained and loaded.

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/value.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice {

/// Trains a word or char tokenizer; null in processes that do not lead.
std::unique_ptr<Tokenizer> train_vocabulary_tokenizer(const TokenizerOptions& options,
                                                      const std::vector<TextSource>& sources,
                                                      const Progress& progress, PieceWork& work);

/// Trains a bpe or unigram tokenizer; null in processes that do not lead.
std::unique_ptr<Tokenizer> train_subword_tokenizer(const TokenizerOptions& options,
                                                   const std::vector<TextSource>& sources,
                                                   const Progress& progress, PieceWork& work);

std::unique_ptr<Tokenizer> make_byte_tokenizer();

/// A tokenizer from the bytes of tokenizer.json or tokenizer.model; `name` is for errors.
std::unique_ptr<Tokenizer> parse_vocabulary_tokenizer(std::string_view bytes,
                                                      const std::string& name);
std::unique_ptr<Tokenizer> parse_subword_tokenizer(std::string_view bytes, const std::string& name);

/// Whether an object is Hugging Face's tokenizer.json, and its tokenizer; `bytes` is all of the
/// file.
bool is_hugging_face(const Value& json);
std::unique_ptr<Tokenizer> parse_hugging_face_tokenizer(const Value& json, std::string_view bytes,
                                                        const std::string& name);

/// Whether with_words() takes it: a bpe or unigram tokenizer that was trained here.
bool takes_words(const Tokenizer& tokenizer);
/// One that cuts as `before` does, but that each of the words, blanks and text as for_each_segment
/// cuts them, is a token of its own, behind the others, where it stands whole. What is no such
/// word, or is there already in its normal form, is passed over.
std::unique_ptr<Tokenizer> with_words(const Tokenizer& before,
                                      const std::vector<std::string>& words);

/// A SentencePiece model that was not trained here.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string model, const std::string& name);

inline constexpr std::string_view vocabulary_file = "tokenizer.json";
inline constexpr std::string_view subword_file = "tokenizer.model";
inline constexpr std::array tokenizer_files = {vocabulary_file, subword_file};

/// Throws Error for a token that is not in a vocabulary of `size`.
void require_token(TokenId id, std::int64_t size);

}  // namespace sluice
