#include "steps.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <unordered_map>

#include "regex.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {
namespace {

void add_character(std::string& text, char32_t character) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t size =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}
bool is_mark(char32_t c) { return category(c) == UTF8PROC_CATEGORY_MN; }
bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x85 || category(c) == UTF8PROC_CATEGORY_ZS || c == 0x2028 ||
         c == 0x2029;
}
bool is_control(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF ||
         kind == UTF8PROC_CATEGORY_CN || kind == UTF8PROC_CATEGORY_CO;
}
bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string mapped(const std::string& text, int options) {
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &made,
                                             static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(made, std::free);
  if (size < 0) return text;
  return {reinterpret_cast<const char*>(made), static_cast<std::size_t>(size)};
}

std::string lower(const std::string& text) {
  std::string out;
  for_each_character(text, [&](char32_t c, std::string_view) {
    add_character(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  });
  return out;
}

std::string without_marks(const std::string& text) {
  std::string out;
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    if (!is_mark(c)) out += bytes;
  });
  return out;
}

NormalizeStep bert_normalizer(const Value& step) {
  const bool clean = flag_field(step, "clean_text", true);
  const bool chinese = flag_field(step, "handle_chinese_chars", true);
  const bool lowercase = flag_field(step, "lowercase", true);
  const bool strip = flag_field(step, "strip_accents", lowercase);
  return [=](const std::string& text) {
    std::string out;
    for_each_character(text, [&](char32_t c, std::string_view bytes) {
      if (clean && (c == 0 || c == 0xFFFD || is_control(c))) return;
      if (chinese && is_chinese(c)) {
        out.append(" ").append(bytes).append(" ");
      } else if (clean && is_space(c)) {
        out += ' ';
      } else {
        out += bytes;
      }
    });
    if (strip) out = without_marks(mapped(out, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE));
    return lowercase ? lower(out) : out;
  };
}

Regex pattern_of(const Value& step, const FieldPlace& place) {
  const Value& pattern = need_field(step, "pattern", place);
  if (pattern.find("String") != nullptr)
    return Regex::literal(text_field(pattern, "String", place));
  return Regex(text_field(pattern, "Regex", place));
}

NormalizeStep replacer(const Value& step, const FieldPlace& place) {
  const Regex pattern = pattern_of(step, place);
  const std::string content = text_field(step, "content", place);
  return [pattern, content](const std::string& text) {
    std::string out;
    std::size_t at = 0;
    for (const auto& [begin, end] : pattern.find_all(text)) {
      out.append(text, at, begin - at).append(content);
      at = end;
    }
    return out.append(text, at);
  };
}

NormalizeStep stripper(const Value& step) {
  const bool left = flag_field(step, "strip_left", true);
  const bool right = flag_field(step, "strip_right", true);
  return [=](const std::string& text) {
    std::size_t begin = text.size(), end = 0, at = 0;
    for_each_character(text, [&](char32_t c, std::string_view bytes) {
      if (!is_space(c)) {
        begin = std::min(begin, at);
        end = at + bytes.size();
      }
      at += bytes.size();
    });
    if (end == 0) return std::string();
    const std::size_t from = left ? begin : 0;
    return text.substr(from, (right ? end : text.size()) - from);
  };
}

const std::array<std::string, 256>& level_characters() {
  static const std::array<std::string, 256> table = [] {
    std::array<std::string, 256> made;
    char32_t next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool itself =
          (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      add_character(made[byte], itself ? byte : next);
      if (!itself) ++next;
    }
    return made;
  }();
  return table;
}

/// What becomes of what a pattern matches, by Hugging Face's names.
enum class Behavior { removed, isolated, previous, next, contiguous };

/// A part of a text, and whether the pattern matched it.
struct Part {
  std::string text;
  bool match;
};

std::vector<std::string> join(std::vector<Part> parts, Behavior behavior) {
  std::vector<std::string> out;
  bool open = false;  // the last of `out` waits for what follows
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Part& part = parts[i];
    const bool after_match = i > 0 && parts[i - 1].match;
    if (part.match && behavior == Behavior::removed) {
      open = false;
    } else if (open || (!out.empty() && i > 0 && part.match &&
                        ((behavior == Behavior::previous && !after_match) ||
                         (behavior == Behavior::contiguous && after_match)))) {
      out.back() += part.text;
      open = false;
    } else {
      out.push_back(std::move(part.text));
    }
    if (part.match && behavior == Behavior::next) {
      // A match that follows a match begins a piece of its own.
      open = i + 1 < parts.size() && !parts[i + 1].match;
    }
  }
  return out;
}

std::vector<Part> parts_of(const Regex& pattern, const std::string& text, bool invert) {
  std::vector<Part> parts;
  std::size_t at = 0;
  for (const auto& [begin, end] : pattern.find_all(text)) {
    if (begin > at) parts.push_back({text.substr(at, begin - at), invert});
    parts.push_back({text.substr(begin, end - begin), !invert});
    at = end;
  }
  if (at < text.size()) parts.push_back({text.substr(at), invert});
  return parts;
}

SplitStep splitter(const Regex& pattern, Behavior behavior, bool invert = false) {
  return [=](const std::vector<TextPiece>& pieces) {
    std::vector<TextPiece> out;
    for (const TextPiece& piece : pieces) {
      bool first = piece.first;
      for (std::string& text : join(parts_of(pattern, piece.text, invert), behavior)) {
        if (!text.empty()) out.push_back({std::move(text), first});
        first = false;
      }
    }
    return out;
  };
}

Behavior behavior_of(const Value& step, const FieldPlace& place) {
  const std::string name = text_field(step, "behavior", place);
  static const std::unordered_map<std::string, Behavior> known = {
      {"Removed", Behavior::removed},
      {"Isolated", Behavior::isolated},
      {"MergedWithPrevious", Behavior::previous},
      {"MergedWithNext", Behavior::next},
      {"Contiguous", Behavior::contiguous}};
  const auto found = known.find(name);
  if (found == known.end()) place.refuse(fmt::format("behavior {} is not known", in_quotes(name)));
  return found->second;
}

SplitStep byte_level(const Value& step) {
  const bool prefix = flag_field(step, "add_prefix_space", true);
  const bool cut = flag_field(step, "use_regex", true);
  static const SplitStep words = splitter(
      Regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
      Behavior::isolated);
  return [=](std::vector<TextPiece> pieces) {
    for (TextPiece& piece : pieces) {
      if (prefix && !piece.text.starts_with(' ')) piece.text.insert(0, " ");
    }
    if (cut) pieces = words(std::move(pieces));
    for (TextPiece& piece : pieces) piece.text = byte_level_text(piece.text);
    return pieces;
  };
}

SplitStep metaspace(const Value& step, const FieldPlace& place) {
  const Value* const given = step.find("replacement");
  const std::string mark =
      given == nullptr ? "\xE2\x96\x81" : text_field(step, "replacement", place);
  const bool older = flag_field(step, "add_prefix_space", true);
  const std::string scheme = step.find("prepend_scheme") != nullptr
                                 ? text_field(step, "prepend_scheme", place)
                                 : (older ? "always" : "never");
  const bool cut = flag_field(step, "split", true);
  const Regex pattern = Regex::literal(mark);
  const SplitStep words = splitter(pattern, Behavior::next);
  return [=](std::vector<TextPiece> pieces) {
    for (TextPiece& piece : pieces) {
      std::string text;
      for (const char c : piece.text) {
        if (c == ' ') {
          text += mark;
        } else {
          text += c;
        }
      }
      const bool prepend = scheme == "always" || (scheme == "first" && piece.first);
      if (prepend && !text.starts_with(mark)) text.insert(0, mark);
      piece.text = std::move(text);
    }
    return cut ? words(std::move(pieces)) : pieces;
  };
}

constexpr const char* bert_punctuation = R"([!-/:-@\[-`{-~\p{P}])";

SplitStep in_turn(std::vector<SplitStep> steps) {
  return [steps = std::move(steps)](std::vector<TextPiece> pieces) {
    for (const SplitStep& step : steps) pieces = step(std::move(pieces));
    return pieces;
  };
}

}  // namespace

void for_each_character(std::string_view text,
                        const std::function<void(char32_t, std::string_view)>& body) {
  while (!text.empty()) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t size = utf8proc_iterate(
        reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
        static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size(), 4)), &character);
    const std::size_t length = size > 0 ? static_cast<std::size_t>(size) : 1;
    body(size > 0 ? static_cast<char32_t>(character) : 0xFFFD, text.substr(0, length));
    text.remove_prefix(length);
  }
}

std::string byte_level_text(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += level_characters()[static_cast<unsigned char>(byte)];
  return out;
}

int byte_of_level(char32_t character) {
  static const std::unordered_map<char32_t, int> bytes = [] {
    std::unordered_map<char32_t, int> made;
    for (int byte = 0; byte < 256; ++byte) {
      for_each_character(level_characters()[static_cast<std::size_t>(byte)],
                         [&](char32_t c, std::string_view) { made[c] = byte; });
    }
    return made;
  }();
  const auto found = bytes.find(character);
  return found == bytes.end() ? -1 : found->second;
}

const Value& need_field(const Value& object, std::string_view name, const FieldPlace& place) {
  const Value* const found = object.find(name);
  if (found == nullptr) place.refuse(fmt::format("field '{}' is missing", name));
  return *found;
}

std::string text_field(const Value& object, std::string_view name, const FieldPlace& place) {
  const Value& value = need_field(object, name, place);
  const auto* const text = value.as<std::string>();
  if (text == nullptr) place.field(name).refuse("text", value);
  return *text;
}

bool flag_field(const Value& object, std::string_view name, bool otherwise) {
  const Value* const found = object.find(name);
  const bool* const flag = found == nullptr ? nullptr : found->as<bool>();
  return flag == nullptr ? otherwise : *flag;
}

NormalizeStep read_normalizer(const Value& step, const FieldPlace& place) {
  if (step.is_null()) return [](std::string text) { return text; };
  const std::string type = text_field(step, "type", place);
  const std::unordered_map<std::string, int> forms = {
      {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
      {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
      {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
      {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
  if (const auto form = forms.find(type); form != forms.end()) {
    return [options = form->second](const std::string& text) { return mapped(text, options); };
  }
  if (type == "Lowercase") return lower;
  if (type == "StripAccents") return without_marks;
  if (type == "BertNormalizer") return bert_normalizer(step);
  if (type == "Replace") return replacer(step, place);
  if (type == "Strip") return stripper(step);
  if (type == "Prepend") {
    return [front = text_field(step, "prepend", place)](const std::string& text) {
      return text.empty() ? text : front + text;
    };
  }
  if (type == "Sequence") {
    const Value& list = need_field(step, "normalizers", place);
    const auto* const parts = list.as<Value::List>();
    if (parts == nullptr) place.refuse("a list of normalizers", list);
    std::vector<NormalizeStep> steps;
    for (const Value& part : *parts) steps.push_back(read_normalizer(part, place));
    return [steps](std::string text) {
      for (const NormalizeStep& each : steps) text = each(std::move(text));
      return text;
    };
  }
  place.refuse(fmt::format("its normalizer {} is not supported", in_quotes(type)));
}

SplitStep read_splitter(const Value& step, const FieldPlace& place) {
  if (step.is_null()) return [](std::vector<TextPiece> pieces) { return pieces; };
  const std::string type = text_field(step, "type", place);
  if (type == "ByteLevel") return byte_level(step);
  if (type == "Metaspace") return metaspace(step, place);
  if (type == "Whitespace") return splitter(Regex(R"(\w+|[^\w\s]+)"), Behavior::removed, true);
  if (type == "WhitespaceSplit") return splitter(Regex(R"(\s+)"), Behavior::removed);
  if (type == "BertPreTokenizer") {
    return in_turn({splitter(Regex(R"(\s+)"), Behavior::removed),
                    splitter(Regex(bert_punctuation), Behavior::isolated)});
  }
  if (type == "Punctuation") {
    return splitter(Regex(bert_punctuation), step.find("behavior") == nullptr
                                                 ? Behavior::isolated
                                                 : behavior_of(step, place));
  }
  if (type == "Digits") {
    return splitter(Regex(R"(\p{N})"), flag_field(step, "individual_digits", false)
                                           ? Behavior::isolated
                                           : Behavior::contiguous);
  }
  if (type == "Split") {
    return splitter(pattern_of(step, place), behavior_of(step, place),
                    flag_field(step, "invert", false));
  }
  if (type == "Sequence") {
    const Value& list = need_field(step, "pretokenizers", place);
    const auto* const parts = list.as<Value::List>();
    if (parts == nullptr) place.refuse("a list of pre-tokenizers", list);
    std::vector<SplitStep> steps;
    for (const Value& part : *parts) steps.push_back(read_splitter(part, place));
    return in_turn(std::move(steps));
  }
  place.refuse(fmt::format("its pre-tokenizer {} is not supported", in_quotes(type)));
}

}  // namespace sluice
