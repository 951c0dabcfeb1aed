// Hugging Face's tokenizer.json.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "../kinds.hpp"
#include "../splitting.hpp"
#include "piece_model.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "steps.hpp"

namespace sluice {
namespace {

constexpr std::string_view meta_blank = "\xE2\x96\x81";  // U+2581

/// How tokens become text again.
struct Decoding {
  enum class Kind { words, byte_level, word_piece, metaspace, suffix };
  Kind kind = Kind::words;
  std::string mark;  ///< word_piece: of continuations; suffix: of a word's end
};

void read_decoder(const Value& decoder, const FieldPlace& place, Decoding& decoding) {
  if (decoder.is_null()) return;
  const std::string type = text_field(decoder, "type", place);
  if (type == "ByteLevel") {
    decoding.kind = Decoding::Kind::byte_level;
  } else if (type == "Metaspace") {
    decoding.kind = Decoding::Kind::metaspace;
  } else if (type == "WordPiece") {
    decoding = {Decoding::Kind::word_piece, text_field(decoder, "prefix", place)};
  } else if (type == "BPEDecoder") {
    decoding = {Decoding::Kind::suffix, text_field(decoder, "suffix", place)};
  } else if (type == "Replace") {
    const Value& pattern = need_field(decoder, "pattern", place);
    if (text_field(pattern, "String", place) != meta_blank) {
      place.refuse("its decoder 'Replace' is supported for U+2581 alone");
    }
    decoding.kind = Decoding::Kind::metaspace;
  } else if (type == "Sequence") {
    const Value& list = need_field(decoder, "decoders", place);
    const auto* const parts = list.as<Value::List>();
    if (parts == nullptr) place.refuse("a list of decoders", list);
    for (const Value& part : *parts) read_decoder(part, place, decoding);
  } else if (type != "ByteFallback" && type != "Fuse" && type != "Strip") {
    place.refuse(fmt::format("its decoder {} is not supported", in_quotes(type)));
  }
}

/// A token that is found in the text before anything else is done to it.
struct AddedToken {
  std::string text;
  TokenId id;
};

class HuggingFaceTokenizer final : public Tokenizer {
 public:
  HuggingFaceTokenizer(const Value& json, std::string bytes, const FieldPlace& place)
      : bytes_(std::move(bytes)),
        normalize_(read_normalizer(part(json, "normalizer"), place)),
        split_(read_splitter(part(json, "pre_tokenizer"), place)),
        model_(read_piece_model(need_field(json, "model", place), place)) {
    read_decoder(part(json, "decoder"), place, decoding_);
    for (const auto& [name, id] : model_->ids()) put(name, id);
    read_added(part(json, "added_tokens"), place);
    eos_ = find_eos(place);
    std::replace_if(
        names_.begin(), names_.end(), [](const auto& name) { return name.empty(); },
        std::string("<unused>"));
    spelled_.assign(names_.size(), -1);
    for (int byte = 0; model_->spells_bytes() && byte < 256; ++byte) {
      const auto found = model_->ids().find(fmt::format("<0x{:02X}>", byte));
      spelled_[static_cast<std::size_t>(found->second)] = byte;
    }
  }

  std::string_view kind() const override { return model_->kind(); }
  std::int64_t size() const override { return static_cast<std::int64_t>(names_.size()); }
  TokenId eos() const override { return eos_; }
  TokenId unk() const override { return model_->spells_bytes() ? -1 : model_->unk(); }

  std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const override {
    line = without_return(line);
    const std::size_t before = out.size();
    bool first = true;
    while (!line.empty()) {
      std::size_t size = 0;
      while (size < line.size()) {
        const std::size_t next = segment_length(line.substr(size));
        if (size > 0 && size + next > longest_segment) break;
        size += next;
      }
      encode_stretch(line.substr(0, size), first, out);
      first = false;
      line.remove_prefix(size);
    }
    const auto begin = out.begin() + static_cast<std::ptrdiff_t>(before);
    return unk() < 0 ? 0 : std::count(begin, out.end(), unk());
  }

  std::string text_after(TokenId previous, TokenId next) const override {
    require_token(next, size());
    if (next == eos_) return "\n";
    const auto place = static_cast<std::size_t>(next);
    if (spelled_[place] >= 0) return {static_cast<char>(spelled_[place])};
    const std::string& name = names_[place];
    const bool starts = previous == eos_;
    const bool is_added = std::any_of(added_.begin(), added_.end(),
                                      [&](const AddedToken& token) { return token.id == next; });
    switch (decoding_.kind) {
      case Decoding::Kind::byte_level:
        return is_added ? name : bytes_of(name);
      case Decoding::Kind::metaspace:
        return is_added ? name : with_blanks(name, starts);
      case Decoding::Kind::word_piece:
        if (name.starts_with(decoding_.mark)) return name.substr(decoding_.mark.size());
        break;
      case Decoding::Kind::suffix: {
        const bool ends = !decoding_.mark.empty() && name.ends_with(decoding_.mark);
        return ends ? name.substr(0, name.size() - decoding_.mark.size()) + " " : name;
      }
      case Decoding::Kind::words:
        break;
    }
    return (starts ? "" : " ") + name;
  }

  std::string token(TokenId id) const override {
    require_token(id, size());
    return names_[static_cast<std::size_t>(id)];
  }
  std::string serialize() const override { return bytes_; }
  std::string_view file_name() const override { return vocabulary_file; }

 private:
  static const Value& part(const Value& json, std::string_view name) {
    static const Value none;
    const Value* const found = json.find(name);
    return found == nullptr ? none : *found;
  }

  void put(const std::string& name, TokenId id) {
    const auto place = static_cast<std::size_t>(id);
    if (names_.size() <= place) names_.resize(place + 1);
    names_[place] = name;
  }

  void read_added(const Value& list, const FieldPlace& place) {
    const auto* const tokens = list.as<Value::List>();
    if (tokens == nullptr) return;
    const std::int64_t most = most_number(names_.size() + tokens->size());
    for (const Value& each : *tokens) {
      const std::string text = text_field(each, "content", place);
      for (const char* const option : {"lstrip", "rstrip", "single_word"}) {
        if (flag_field(each, option, false)) {
          place.refuse(fmt::format("'{}' of token {} is not supported", option, in_quotes(text)));
        }
      }
      const Value& number = need_field(each, "id", place);
      const auto* const id = number.as<std::int64_t>();
      if (id == nullptr || *id < 0 || *id > most) {
        place.refuse(fmt::format("a token's number, {} at most", most), number);
      }
      put(text, static_cast<TokenId>(*id));
      if (!text.empty()) added_.push_back({text, static_cast<TokenId>(*id)});
    }
    // Of those that begin at one place the longest counts.
    std::stable_sort(added_.begin(), added_.end(), [](const AddedToken& a, const AddedToken& b) {
      return a.text.size() > b.text.size();
    });
  }

  TokenId find_eos(const FieldPlace& place) const {
    for (const char* const name :
         {"</s>", "<|endoftext|>", "<eos>", "<|end_of_text|>", "[SEP]", "<|im_end|>", "[EOS]"}) {
      const auto found = std::find(names_.begin(), names_.end(), name);
      if (found != names_.end()) return static_cast<TokenId>(found - names_.begin());
    }
    place.refuse("it has no token that can end lines: </s>, <|endoftext|>, <eos> or [SEP]");
  }

  void encode_stretch(std::string_view text, bool first, std::vector<TokenId>& out) const {
    std::size_t plain = 0;  // where what is not yet encoded begins
    for (std::size_t at = 0; at < text.size();) {
      const auto found = std::find_if(added_.begin(), added_.end(), [&](const AddedToken& token) {
        return text.substr(at).starts_with(token.text);
      });
      if (found == added_.end()) {
        ++at;
        continue;
      }
      encode_plain(text.substr(plain, at - plain), first && plain == 0, out);
      // Only a line's end is eos.
      if (found->id != eos_) {
        out.push_back(found->id);
      } else if (unk() >= 0) {
        out.push_back(unk());
      }
      at += found->text.size();
      plain = at;
    }
    encode_plain(text.substr(plain), first && plain == 0, out);
  }

  void encode_plain(std::string_view text, bool first, std::vector<TokenId>& out) const {
    if (text.empty()) return;
    for (const TextPiece& piece : split_({{normalize_(std::string(text)), first}})) {
      if (!piece.text.empty()) model_->encode(piece.text, out);
    }
  }

  static std::string bytes_of(const std::string& name) {
    std::string text;
    for_each_character(name, [&](char32_t c, std::string_view bytes) {
      const int byte = byte_of_level(c);
      if (byte >= 0) {
        text += static_cast<char>(byte);
      } else {
        text += bytes;
      }
    });
    return text;
  }

  static std::string with_blanks(std::string_view name, bool starts) {
    if (starts && name.starts_with(meta_blank)) name.remove_prefix(meta_blank.size());
    std::string text;
    while (!name.empty()) {
      const bool blank = name.starts_with(meta_blank);
      text += blank ? ' ' : name.front();
      name.remove_prefix(blank ? meta_blank.size() : 1);
    }
    return text;
  }

  std::string bytes_;
  NormalizeStep normalize_;
  SplitStep split_;
  std::unique_ptr<const PieceModel> model_;
  Decoding decoding_;
  std::vector<std::string> names_;
  std::vector<AddedToken> added_;
  std::vector<int> spelled_;  // by token: the byte it stands for, or -1
  TokenId eos_ = -1;
};

}  // namespace

bool is_hugging_face(const Value& json) { return json.find("model") != nullptr; }

std::unique_ptr<Tokenizer> parse_hugging_face_tokenizer(const Value& json, std::string_view bytes,
                                                        const std::string& name) {
  const FieldPlace place{.where = fmt::format("cannot load the tokenizer '{}'", name),
                         .origin = FieldPlace::Origin::file};
  return std::make_unique<HuggingFaceTokenizer>(json, std::string(bytes), place);
}

}  // namespace sluice
