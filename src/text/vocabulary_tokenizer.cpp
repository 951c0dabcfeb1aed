// Tokenizers that look units up in a list: words, characters, bytes.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "counting.hpp"
#include "kinds.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/file.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

constexpr std::string_view unknown_name = "<unk>";
constexpr std::string_view word_eos_name = "<eos>";

/// A list of tokens with an end-of-line and an unknown token in it.
class VocabularyTokenizer : public Tokenizer {
 public:
  VocabularyTokenizer(std::vector<std::string> tokens, std::string_view eos_name)
      : tokens_(std::move(tokens)) {
    ids_.reserve(tokens_.size());
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      ids_.emplace(tokens_[i], static_cast<TokenId>(i));
    }
    eos_ = ids_.at(eos_name);
    unk_ = ids_.at(unknown_name);
    // Only a line's end is eos, whatever words the text holds.
    ids_.erase(eos_name);
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(tokens_.size()); }
  TokenId eos() const override { return eos_; }
  TokenId unk() const override { return unk_; }
  std::string token(TokenId id) const override {
    require_token(id, size());
    return tokens_[static_cast<std::size_t>(id)];
  }
  std::string serialize() const override { return vocabulary_json(kind(), tokens_); }
  std::string_view file_name() const override { return vocabulary_file; }

 protected:
  TokenId id_of(std::string_view text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? unk_ : found->second;
  }

 private:
  std::vector<std::string> tokens_;
  std::unordered_map<std::string_view, TokenId> ids_;  // keys are in tokens_
  TokenId eos_ = 0;
  TokenId unk_ = 0;
};

class WordTokenizer final : public VocabularyTokenizer {
 public:
  explicit WordTokenizer(std::vector<std::string> tokens)
      : VocabularyTokenizer(std::move(tokens), word_eos_name) {}
  std::string_view kind() const override { return "word"; }
  std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const override {
    std::int64_t unknown = 0;
    for_each_word(line, [&](std::string_view word) {
      out.push_back(id_of(word));
      if (out.back() == unk() && word != unknown_name) ++unknown;
    });
    return unknown;
  }
  std::string text_after(TokenId previous, TokenId next) const override {
    if (next == eos()) return "\n";
    return fmt::format("{}{}", previous == eos() ? "" : " ", token(next));
  }
};

class CharTokenizer final : public VocabularyTokenizer {
 public:
  explicit CharTokenizer(std::vector<std::string> tokens)
      : VocabularyTokenizer(std::move(tokens), "\n"), ascii_(128) {
    for (std::size_t i = 0; i < ascii_.size(); ++i) {
      const char c = static_cast<char>(i);
      ascii_[i] = c == '\n' ? eos() : id_of({&c, 1});
    }
  }
  std::string_view kind() const override { return "char"; }
  std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const override {
    std::int64_t unknown = 0;
    line = without_return(line);
    while (!line.empty()) {
      const auto byte = static_cast<unsigned char>(line.front());
      const std::size_t length = byte < ascii_.size() ? 1 : sequence_length(line);
      out.push_back(byte < ascii_.size() ? ascii_[byte] : id_of(line.substr(0, length)));
      if (out.back() == unk()) ++unknown;
      line.remove_prefix(length);
    }
    return unknown;
  }
  std::string text_after(TokenId /*previous*/, TokenId next) const override {
    return next == unk() ? "\xEF\xBF\xBD" : token(next);
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
                                : fmt::format("<0x{:02X}>", id);
  }
  std::string serialize() const override { return vocabulary_json(kind(), {}); }
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
  std::vector<std::string> tokens;
};

constexpr const char* file_format = "sluice-tokenizer";
constexpr int file_version = 1;

const FieldTable& vocabulary_file_fields() {
  using File = VocabularyFile;
  static const FieldTable table = FieldsOf<File>()
                                      .add("format", &File::format)
                                      .add("version", &File::version)
                                      .add("kind", &File::kind)
                                      .add("checksum", &File::checksum)
                                      .add("tokens", &File::tokens);
  return table;
}

}  // namespace

std::string vocabulary_json(std::string_view kind, const std::vector<std::string>& tokens) {
  nlohmann::ordered_json json;
  json["format"] = file_format;
  json["version"] = file_version;
  json["kind"] = kind;
  json["checksum"] = tokens_checksum(tokens);
  json["tokens"] = tokens;
  return json.dump(0) + "\n";
}

std::unique_ptr<Tokenizer> train_vocabulary_tokenizer(const TokenizerOptions& options,
                                                      const std::vector<TextSource>& sources,
                                                      const Progress& progress) {
  const bool words = options.kind == "word";
  const std::string eos_name(words ? word_eos_name : "\n");
  TextCounts counts = count_units(sources, words ? Unit::word : Unit::character,
                                  std::numeric_limits<std::int64_t>::max(), progress);
  const std::int64_t lines = counts.lines;
  std::int64_t unknown = 0;
  const auto make_unknown = [&](std::string_view name) {
    const auto found = counts.units.find(name);
    if (found == counts.units.end()) return;
    unknown += found->second;
    counts.units.erase(found);
  };
  make_unknown(unknown_name);
  make_unknown(eos_name);

  auto sorted = by_frequency(std::move(counts.units));
  while (!sorted.empty() && (sorted.back().second < options.min_count ||
                             (options.vocabulary != 0 &&
                              static_cast<std::int64_t>(sorted.size()) + 2 > options.vocabulary))) {
    unknown += sorted.back().second;
    sorted.pop_back();
  }
  Counts kept;
  for (auto& [text, count] : sorted) kept.emplace(std::move(text), count);
  kept.emplace(eos_name, lines);
  kept.emplace(unknown_name, unknown);
  std::vector<std::string> tokens;
  for (auto& [text, count] : by_frequency(std::move(kept))) tokens.push_back(std::move(text));
  if (words) return std::make_unique<WordTokenizer>(std::move(tokens));
  return std::make_unique<CharTokenizer>(std::move(tokens));
}

std::unique_ptr<Tokenizer> make_byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

std::unique_ptr<Tokenizer> parse_vocabulary_tokenizer(std::string_view bytes,
                                                      const std::string& name) {
  const auto refuse = [&](const char* why) {
    return Error(fmt::format("cannot load the tokenizer '{}': {}", name, why));
  };
  const FieldPlace place{.where = fmt::format("cannot load the tokenizer '{}'", name),
                         .origin = FieldPlace::Origin::file};
  const Value json = parse_json(bytes, place);
  const Value* const format = json.find("format");
  if (format == nullptr || *format != Value(file_format)) throw refuse("it is not a tokenizer");
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
  const std::string_view eos_name = kind == "word" ? word_eos_name : "\n";
  for (const std::string_view needed : {eos_name, unknown_name}) {
    if (std::count(tokens.begin(), tokens.end(), needed) != 1) {
      throw refuse("it lacks the end-of-line or the unknown token");
    }
  }
  if (kind == "word") return std::make_unique<WordTokenizer>(std::move(tokens));
  return std::make_unique<CharTokenizer>(std::move(tokens));
}

}  // namespace sluice
