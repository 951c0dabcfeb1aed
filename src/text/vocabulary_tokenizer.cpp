// Tokenizers that look units up in a list: words, characters, bytes.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>
#include <utility>

#include "counting.hpp"
#include "kinds.hpp"
#include "normalize.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/file.hpp"
#include "splitting.hpp"
#include "vocabulary_tokenizer.hpp"

namespace sluice {
namespace {

std::string vocabulary_json(std::string_view kind, const std::vector<std::string>& tokens,
                            const VocabularyRules& rules);

/// Tokens' numbers; its keys are in the list.
using TokenIds = std::unordered_map<std::string_view, TokenId>;

TokenIds ids_of(const std::vector<std::string>& tokens) {
  TokenIds ids;
  ids.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) ids.emplace(tokens[i], static_cast<TokenId>(i));
  return ids;
}

/// A list of tokens with an end-of-line token in it, and one for what is unknown or for every byte.
class VocabularyTokenizer : public Tokenizer {
 public:
  /// `ids` are those of `tokens`.
  VocabularyTokenizer(std::vector<std::string> tokens, VocabularyRules rules, TokenIds ids)
      : tokens_(std::move(tokens)), rules_(std::move(rules)), ids_(std::move(ids)) {
    eos_ = ids_.at(rules_.eos);
    // Only a line's end is eos, and only a byte of what is unknown a byte, whatever words the text
    // holds.
    ids_.erase(rules_.eos);
    if (!rules_.byte_fallback) {
      unk_ = ids_.at(rules_.unk);
      return;
    }
    bytes_.assign(tokens_.size(), -1);
    for (unsigned byte = 0; byte < byte_ids_.size(); ++byte) {
      const auto found = ids_.find(byte_name(byte));
      byte_ids_[byte] = found->second;
      bytes_[static_cast<std::size_t>(found->second)] = static_cast<int>(byte);
      ids_.erase(found);
    }
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(tokens_.size()); }
  TokenId eos() const override { return eos_; }
  TokenId unk() const override { return unk_; }
  std::string token(TokenId id) const override {
    require_token(id, size());
    return tokens_[static_cast<std::size_t>(id)];
  }
  std::string serialize() const override { return vocabulary_json(kind(), tokens_, rules_); }
  std::string_view file_name() const override { return vocabulary_file; }
  const std::vector<std::string>& tokens() const { return tokens_; }
  const VocabularyRules& rules() const { return rules_; }

 protected:
  /// -1 for what is not in the vocabulary.
  TokenId id_of(std::string_view text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? -1 : found->second;
  }
  /// Appends what stands for text that is not in the vocabulary; returns how many of it are unk().
  std::int64_t add_unknown(std::string_view text, std::vector<TokenId>& out) const {
    if (!rules_.byte_fallback) {
      out.push_back(unk_);
      return 1;
    }
    for (const char byte : text) out.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
    return 0;
  }
  /// The byte that a token stands for, or -1.
  int byte_of(TokenId id) const {
    return rules_.byte_fallback ? bytes_[static_cast<std::size_t>(id)] : -1;
  }

 private:
  std::vector<std::string> tokens_;
  VocabularyRules rules_;
  TokenIds ids_;  // keys are in tokens_
  TokenId eos_ = 0;
  TokenId unk_ = -1;
  std::array<TokenId, 256> byte_ids_{};
  std::vector<int> bytes_;  // by token, with byte_fallback
};

class WordTokenizer final : public VocabularyTokenizer {
 public:
  WordTokenizer(std::vector<std::string> tokens, const VocabularyRules& rules, TokenIds ids)
      : VocabularyTokenizer(std::move(tokens), rules, std::move(ids)) {}
  std::string_view kind() const override { return "word"; }
  std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const override {
    std::int64_t unknown = 0;
    for_each_normalized(line, rules().form, [&](std::string_view text) {
      for_each_word(text, rules().space, [&](std::string_view word) {
        const TokenId id = id_of(word);
        if (id >= 0) {
          out.push_back(id);
        } else {
          // A blank says where a word that is spelled in bytes begins.
          if (rules().byte_fallback) add_unknown(" ", out);
          unknown += add_unknown(word, out);
        }
      });
    });
    return unknown;
  }
  std::string text_after(TokenId previous, TokenId next) const override {
    if (next == eos()) return "\n";
    std::string text = token(next);
    const int byte = byte_of(next);
    if (byte >= 0 && byte != ' ') return {static_cast<char>(byte)};
    if (byte == ' ') text.clear();
    return (previous == eos() ? "" : " ") + text;
  }
};

class CharTokenizer final : public VocabularyTokenizer {
 public:
  CharTokenizer(std::vector<std::string> tokens, const VocabularyRules& rules, TokenIds ids)
      : VocabularyTokenizer(std::move(tokens), rules, std::move(ids)), ascii_(128) {
    for (std::size_t i = 0; i < ascii_.size(); ++i) {
      const char c = static_cast<char>(i);
      ascii_[i] = c == '\n' ? eos() : id_of({&c, 1});
    }
  }
  std::string_view kind() const override { return "char"; }
  std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const override {
    std::int64_t unknown = 0;
    for_each_normalized(without_return(line), rules().form, [&](std::string_view text) {
      while (!text.empty()) {
        const auto byte = static_cast<unsigned char>(text.front());
        const std::size_t length = byte < ascii_.size() ? 1 : sequence_length(text);
        const TokenId id = byte < ascii_.size() ? ascii_[byte] : id_of(text.substr(0, length));
        if (id >= 0) {
          out.push_back(id);
        } else {
          unknown += add_unknown(text.substr(0, length), out);
        }
        text.remove_prefix(length);
      }
    });
    return unknown;
  }
  std::string text_after(TokenId /*previous*/, TokenId next) const override {
    if (next == unk()) return "\xEF\xBF\xBD";
    const std::string text = token(next);
    const int byte = byte_of(next);
    return byte >= 0 ? std::string{static_cast<char>(byte)} : text;
  }

 private:
  std::vector<TokenId> ascii_;
};

class ByteTokenizer final : public Tokenizer {
 public:
  std::string_view kind() const override { return "byte"; }
  std::int64_t size() const override { return 256; }
  TokenId eos() const override { return '\n'; }
  TokenId unk() const override { return -1; }
  std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const override {
    const auto* bytes = reinterpret_cast<const unsigned char*>(line.data());
    out.insert(out.end(), bytes, bytes + line.size());
    return 0;
  }
  std::string text_after(TokenId /*previous*/, TokenId next) const override {
    require_token(next, size());
    return {static_cast<char>(next)};
  }
  std::string token(TokenId id) const override {
    require_token(id, size());
    return id > ' ' && id < 127 ? std::string(1, static_cast<char>(id))
                                : byte_name(static_cast<unsigned>(id));
  }
  std::string serialize() const override { return vocabulary_json(kind(), {}, {}); }
  std::string_view file_name() const override { return vocabulary_file; }
};

std::string tokens_checksum(const std::vector<std::string>& tokens) {
  std::string joined;
  for (const std::string& token : tokens) {
    joined += token;
    joined += '\0';
  }
  return checksum_hex(joined.data(), joined.size());
}

/// What a tokenizer's file holds.
struct VocabularyFile {
  std::string format;
  std::int64_t version = 0;
  std::string kind;
  std::string checksum;
  /// Files that were written before there was a choice lack these.
  WhiteSpace white_space = WhiteSpace::ascii;
  Normalization normalize = Normalization::none;
  bool byte_fallback = false;
  /// Empty: the usual name.
  std::string eos, unk;
  std::vector<std::string> tokens;
};

constexpr const char* file_format = "sluice-tokenizer";
constexpr int file_version = 1;

std::unique_ptr<Tokenizer> of_kind(bool words, std::vector<std::string> tokens,
                                   const VocabularyRules& rules, TokenIds ids) {
  if (words) return std::make_unique<WordTokenizer>(std::move(tokens), rules, std::move(ids));
  return std::make_unique<CharTokenizer>(std::move(tokens), rules, std::move(ids));
}

const FieldTable& vocabulary_file_fields() {
  using File = VocabularyFile;
  static const FieldTable table =
      FieldsOf<File>()
          .add("format", &File::format)
          .add("version", &File::version)
          .add("kind", &File::kind)
          .add("checksum", &File::checksum)
          .add("white_space", &File::white_space, {.optional = true})
          .add("normalize", &File::normalize, {.optional = true})
          .add("byte_fallback", &File::byte_fallback, {.optional = true})
          .add("eos", &File::eos, {.optional = true})
          .add("unk", &File::unk, {.optional = true})
          .add("tokens", &File::tokens);
  return table;
}

std::string vocabulary_json(std::string_view kind, const std::vector<std::string>& tokens,
                            const VocabularyRules& rules) {
  Value::Object json;
  json.emplace_back("format", file_format);
  json.emplace_back("version", file_version);
  json.emplace_back("kind", std::string(kind));
  json.emplace_back("checksum", tokens_checksum(tokens));
  // Files of tokenizers that need none of it are as they always were.
  if (kind == "word") json.emplace_back("white_space", name_of(rules.space));
  if (rules.form != Normalization::none) json.emplace_back("normalize", name_of(rules.form));
  if (rules.byte_fallback) json.emplace_back("byte_fallback", true);
  const VocabularyRules usual = usual_rules(kind == "word");
  if (kind != "byte" && rules.eos != usual.eos) json.emplace_back("eos", rules.eos);
  if (kind != "byte" && rules.unk != usual.unk) json.emplace_back("unk", rules.unk);
  json.emplace_back("tokens", Value::List(tokens.begin(), tokens.end()));
  return json_text(std::move(json), 0, JsonNames::as_given) + "\n";
}

}  // namespace

VocabularyRules usual_rules(bool words) { return {.eos = words ? "<eos>" : "\n"}; }

std::string byte_name(unsigned byte) { return fmt::format("<0x{:02X}>", byte); }

std::unique_ptr<Tokenizer> make_vocabulary_tokenizer(bool words, std::vector<std::string> tokens,
                                                     const VocabularyRules& rules) {
  TokenIds ids = ids_of(tokens);
  return of_kind(words, std::move(tokens), rules, std::move(ids));
}

std::optional<VocabularyParts> vocabulary_parts(const Tokenizer& tokenizer) {
  const auto* const own = dynamic_cast<const VocabularyTokenizer*>(&tokenizer);
  if (own == nullptr) return std::nullopt;
  return VocabularyParts{own->kind() == "word", own->tokens(), own->rules()};
}

std::unique_ptr<Tokenizer> make_word_tokenizer(std::vector<std::string> tokens) {
  VocabularyRules rules = usual_rules(true);
  rules.space = WhiteSpace::ascii;
  return make_vocabulary_tokenizer(true, std::move(tokens), rules);
}

std::unique_ptr<Tokenizer> make_byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

std::unique_ptr<Tokenizer> parse_vocabulary_tokenizer(std::string_view bytes,
                                                      const std::string& name) {
  const auto refuse = [&](const char* why) {
    return Error(fmt::format("cannot load the tokenizer '{}': {}", name, why));
  };
  const FieldPlace place{.where = fmt::format("cannot load the tokenizer '{}'", name),
                         .origin = FieldPlace::Origin::file};
  // A vocabulary of words may be long. The longest string is a table of normalisation, of some
  // hundred kilobytes.
  const Value json = parse_json(
      bytes, place,
      {.bytes = std::size_t{1} << 28, .values = 8'000'000, .text = std::size_t{1} << 22});
  if (is_hugging_face(json)) return parse_hugging_face_tokenizer(json, bytes, name);
  const Value* const format = json.find("format");
  if (format == nullptr || *format != Value(file_format)) {
    throw refuse(
        "it is not a tokenizer, which has its rules besides its vocabulary (Hugging Face's is "
        "tokenizer.json)");
  }
  const Value* const version = json.find("version");
  if (version != nullptr && *version != Value(file_version)) {
    throw refuse("it was written by a newer version");
  }
  VocabularyFile file;
  read_fields({{vocabulary_file_fields(), file}}, json, place, Reading::complete);
  if (file.checksum != tokens_checksum(file.tokens)) {
    throw refuse("its tokens do not match their checksum, so it is damaged");
  }
  const std::string& kind = file.kind;
  std::vector<std::string>& tokens = file.tokens;
  if (kind == "byte") return make_byte_tokenizer();
  if (kind != "word" && kind != "char") throw refuse("its kind is unknown");
  VocabularyRules rules = usual_rules(kind == "word");
  rules.space = file.white_space;
  rules.form = file.normalize;
  rules.byte_fallback = file.byte_fallback;
  if (!file.eos.empty()) rules.eos = file.eos;
  if (!file.unk.empty()) rules.unk = file.unk;
  std::vector<std::string> needed = {rules.eos};
  if (!rules.byte_fallback) needed.push_back(rules.unk);
  for (unsigned byte = 0; rules.byte_fallback && byte < 256; ++byte) {
    needed.push_back(byte_name(byte));
  }
  TokenIds known = ids_of(tokens);
  if (known.size() != tokens.size()) throw refuse("a token is in it twice");
  for (const std::string& token : needed) {
    if (!known.contains(token)) {
      throw refuse(file.byte_fallback ? "it lacks the end-of-line token or that of a byte"
                                      : "it lacks the end-of-line or the unknown token");
    }
  }
  return of_kind(kind == "word", std::move(tokens), rules, std::move(known));
}

}  // namespace sluice
