#include "sluice/text/tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "counting.hpp"
#include "kinds.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/names.hpp"
#include "sluice/text/detail/utf8.hpp"

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

bool is_tokenizer_path(const std::string& kind) {
  const std::vector<std::string>& kinds = tokenizer_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) return false;
  std::error_code ignored;
  return kind.find_first_of("/.") != std::string::npos || std::filesystem::exists(kind, ignored);
}

const std::vector<std::string>& tokenizer_kinds() {
  static const std::vector<std::string> kinds = {"word", "char", "byte", "bpe", "unigram"};
  return kinds;
}

namespace {

/// `kind`, or the path of a file; throws UsageError when it is neither.
std::string known_kind(const std::string& kind) {
  const std::vector<std::string>& kinds = tokenizer_kinds();
  if (is_tokenizer_path(kind) || std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) {
    return kind;
  }
  throw UsageError(fmt::format("unknown tokenizer {}, and there is no such file; {}",
                               in_quotes(kind), suggestion(kind, kinds)));
}

}  // namespace

const FieldTable& tokenizer_fields() {
  static const FieldTable table =
      FieldsOf<TokenizerOptions>()
          .add("kind", &TokenizerOptions::kind,
               text_codec<std::string>([](const std::string& kind) { return kind; }, known_kind,
                                       "a name in quotes", "KIND"),
               {.flag = "--tokenizer",
                .group = "Text",
                .help = "word (split at white space), char, byte, bpe or unigram (subwords); or a "
                        "file: a "
                        "SentencePiece model, a tokenizer.json, a list of words, fairseq's "
                        "dict.txt, or a model's "
                        "directory (default: "
                        "word for text with its punctuation set apart, else char below 1.5 "
                        "million characters and bpe above, unless a measurement of the text "
                        "favours the other)"})
          .add("vocabulary", &TokenizerOptions::vocabulary,
               {.range = between(0, std::numeric_limits<TokenId>::max()),
                .flag = "--vocab",
                .group = "Text",
                .help = "tokens in the vocabulary (default: all for word and char; 4000 to 32000, "
                        "by the size of the text, for bpe and unigram)"})
          .add("min_count", &TokenizerOptions::min_count,
               {.range = at_least(1),
                .flag = "--min-count",
                .group = "Text",
                .help = "words and characters seen fewer times become <unk> (default 1, but 2 for "
                        "words of a text without <unk>)"})
          .add("normalize", &TokenizerOptions::normalize,
               {.flag = "--normalize",
                .group = "Text",
                .value = "FORM",
                .help = "Unicode normal form to bring every text into before it is cut: none, nfc "
                        "(accents join their letters), or nfkc (full-width letters, ligatures and "
                        "the like become ordinary ones, too) (default none)",
                .optional = true})
          .add("symbols", &TokenizerOptions::symbols,
               {.flag = "--symbols",
                .group = "Text",
                .value = "A,B,..",
                .help = "bpe, unigram: texts that are tokens of their own and never split",
                .optional = true})
          .add("byte_fallback", &TokenizerOptions::byte_fallback,
               {.flag = "--byte-fallback",
                .group = "Text",
                .help = "word, char: spell what is not in the vocabulary in bytes, 256 more "
                        "tokens, rather than as <unk> (bpe and unigram always do)",
                .optional = true});
  return table;
}

FieldParts field_parts(TokenizerOptions& options) { return {{tokenizer_fields(), options}}; }
FieldParts field_parts(const TokenizerOptions& options) { return {{tokenizer_fields(), options}}; }

namespace {

/// Throws UsageError for what train_tokenizer() does not take.
void check_options(const TokenizerOptions& options) {
  const bool counted = options.kind == "word" || options.kind == "char";
  const bool subword = options.kind == "bpe" || options.kind == "unigram";
  // What 256 bytes, eos and unk take.
  const std::int64_t least = subword ? 259 : counted && options.byte_fallback ? 258 : 2;
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
  if (options.normalize != Normalization::none && options.kind == "byte") {
    throw UsageError("a byte tokenizer takes text as it is; leave the normal form out");
  }
  if (!options.symbols.empty() && !subword) {
    throw UsageError(fmt::format(
        "a {} tokenizer has no symbols that are never split; use bpe or unigram", options.kind));
  }
  std::vector<std::string> whole = options.symbols;
  if (!options.document_mark.empty()) whole.push_back(options.document_mark);
  for (const std::string& symbol : whole) {
    const bool fits = !symbol.empty() && valid_text_length(symbol) == symbol.size() &&
                      symbol.find_first_of(" \t\r\n\v\f,") == std::string::npos &&
                      symbol.find("\xE2\x96\x81") == std::string::npos;
    if (fits) continue;
    throw UsageError(fmt::format(
        "a symbol that is never split, or marks documents, must be text without blanks, commas and "
        "U+2581, got {}",
        in_quotes(symbol)));
  }
}

}  // namespace

std::unique_ptr<Tokenizer> train_tokenizer(const TokenizerOptions& options,
                                           const std::vector<TextSource>& sources,
                                           const Progress& progress) {
  OwnWork work;
  return train_tokenizer(options, sources, progress, work);
}

std::unique_ptr<Tokenizer> train_tokenizer(const TokenizerOptions& options,
                                           const std::vector<TextSource>& sources,
                                           const Progress& progress, PieceWork& work) {
  known_kind(options.kind);
  if (is_tokenizer_path(options.kind)) return read_tokenizer(options.kind, options);
  check_options(options);
  const bool counted = options.kind == "word" || options.kind == "char";
  const bool subword = options.kind == "bpe" || options.kind == "unigram";
  if (!counted && !subword) {
    for (const TextSource& source : sources) TextFile readable(source);
    return make_byte_tokenizer();
  }
  std::unique_ptr<Tokenizer> trained =
      counted ? train_vocabulary_tokenizer(options, sources, progress, work)
              : train_subword_tokenizer(options, sources, progress, work);
  if (work.processes() == 1) return trained;
  const std::string bytes = work.share([&] { return trained->serialize(); });
  if (trained) return trained;
  const std::string name = "of the first process";
  return counted ? parse_vocabulary_tokenizer(bytes, name) : parse_subword_tokenizer(bytes, name);
}

bool is_tokenizer_file(std::string_view name) {
  return std::find(tokenizer_files.begin(), tokenizer_files.end(), name) != tokenizer_files.end();
}

std::filesystem::path tokenizer_file(const std::filesystem::path& directory) {
  const std::filesystem::path subword = directory / subword_file;
  return std::filesystem::exists(subword) ? subword : directory / vocabulary_file;
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& directory) {
  const std::filesystem::path path = tokenizer_file(directory);
  const MappedFile file(path);
  const bool subword = path.filename() == subword_file;
  // A model of sentencepiece has some megabytes, a list of words at most some hundred.
  const std::size_t most = std::size_t{1} << (subword ? 25 : 28);
  if (file.bytes().size() > most) {
    throw Error(
        fmt::format("cannot load the tokenizer '{}': it has {} bytes, more than the {} of any",
                    path.string(), file.bytes().size(), most));
  }
  return subword ? parse_subword_tokenizer(file.text(), path.string())
                 : parse_vocabulary_tokenizer(file.text(), path.string());
}

void remove_tokenizer(const std::filesystem::path& directory) {
  for (const std::string_view name : tokenizer_files) std::filesystem::remove(directory / name);
}

}  // namespace sluice
