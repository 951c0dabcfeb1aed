#include "sluice/text/tokenizer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>

#include "counting.hpp"
#include "kinds.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/names.hpp"

namespace sluice {

void require_token(TokenId id, std::int64_t size) {
  if (id < 0 || id >= size) {
    throw Error(fmt::format("token {} is not in the vocabulary, expected 0 to {}", id, size - 1));
  }
}

std::vector<TokenId> Tokenizer::encode_prompt(std::string_view text) const {
  std::vector<TokenId> tokens;
  for (;;) {
    const std::size_t end = text.find('\n');
    encode(text.substr(0, end), tokens);
    if (end == std::string_view::npos) return tokens;
    tokens.push_back(eos());
    text.remove_prefix(end + 1);
  }
}

std::vector<TokenId> Tokenizer::encode_text(std::string_view text) const {
  std::vector<TokenId> tokens = encode_prompt(text);
  if (!text.empty() && text.back() != '\n') tokens.push_back(eos());
  return tokens;
}

std::string Tokenizer::decode(std::span<const TokenId> tokens) const {
  std::string text;
  TokenId previous = eos();
  for (const TokenId token : tokens) {
    text += text_after(previous, token);
    previous = token;
  }
  return text;
}

void Tokenizer::check_text(std::string_view text, const std::string& name,
                           std::int64_t offset) const {
  if (kind() != "byte") require_text(text, name, offset);
}

void Tokenizer::save(const std::filesystem::path& directory) const {
  write_file(directory / file_name(), serialize());
  for (const std::string_view name : tokenizer_files) {
    if (name != file_name()) std::filesystem::remove(directory / name);
  }
}

std::uint64_t Tokenizer::fingerprint() const {
  const std::string bytes = serialize();
  return checksum(bytes.data(), bytes.size());
}

std::span<const std::string> tokenizer_kinds() {
  static const std::array<std::string, 5> kinds = {"word", "char", "byte", "bpe", "unigram"};
  return kinds;
}

std::unique_ptr<Tokenizer> train_tokenizer(const TokenizerOptions& options,
                                           const std::vector<TextSource>& sources,
                                           const Progress& progress) {
  const auto kinds = tokenizer_kinds();
  if (std::find(kinds.begin(), kinds.end(), options.kind) == kinds.end()) {
    const std::string near = nearest_names(options.kind, {kinds.begin(), kinds.end()}, 1);
    throw UsageError(fmt::format("unknown tokenizer '{}', expected one of {}{}", options.kind,
                                 fmt::join(kinds, ", "),
                                 near.empty() ? "" : fmt::format("; did you mean {}?", near)));
  }
  const bool counted = options.kind == "word" || options.kind == "char";
  const bool subword = options.kind == "bpe" || options.kind == "unigram";
  // What 256 bytes, eos and unk take.
  const std::int64_t least = subword ? 259 : 2;
  constexpr std::int64_t most = std::numeric_limits<TokenId>::max();
  if (options.vocabulary != 0 && options.kind == "byte" && options.vocabulary != 256) {
    throw UsageError(fmt::format(
        "a byte tokenizer has a vocabulary of 256, got {}; leave the vocabulary size out",
        options.vocabulary));
  }
  if (options.vocabulary != 0 && (options.vocabulary < least || options.vocabulary > most)) {
    throw UsageError(fmt::format("the vocabulary of a {} tokenizer must be {} to {}, got {}",
                                 options.kind, least, most, options.vocabulary));
  }
  if (options.min_count < 1 || (options.min_count > 1 && !counted)) {
    throw UsageError(fmt::format("the smallest count of a {} tokenizer's tokens must be {}, got {}",
                                 options.kind, counted ? "at least 1" : "1", options.min_count));
  }
  if (counted) return train_vocabulary_tokenizer(options, sources, progress);
  if (subword) return train_subword_tokenizer(options, sources, progress);
  for (const TextSource& source : sources) MappedText readable(source);
  return make_byte_tokenizer();
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& directory) {
  const std::filesystem::path subword = directory / subword_file;
  if (std::filesystem::exists(subword)) {
    return parse_subword_tokenizer(read_file(subword), subword.string());
  }
  const std::filesystem::path vocabulary = directory / vocabulary_file;
  return parse_vocabulary_tokenizer(read_file(vocabulary), vocabulary.string());
}

void remove_tokenizer(const std::filesystem::path& directory) {
  for (const std::string_view name : tokenizer_files) std::filesystem::remove(directory / name);
}

}  // namespace sluice
