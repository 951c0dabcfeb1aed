#pragma once
// What a Hugging Face tokenizer does to text before its model: normalizers and pre-tokenizers.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/fields.hpp"
#include "sluice/base/value.hpp"

namespace sluice {

/// A piece of text on its way to the model; `first`: it begins the text.
struct TextPiece {
  std::string text;
  bool first = false;
};

using NormalizeStep = std::function<std::string(std::string text)>;
using SplitStep = std::function<std::vector<TextPiece>(std::vector<TextPiece> pieces)>;

/// The step that a tokenizer.json's "normalizer" or "pre_tokenizer" describes; null stands for
/// none. Throws, as `place` says, for kinds and options that are not supported, naming them.
NormalizeStep read_normalizer(const Value& step, const FieldPlace& place);
SplitStep read_splitter(const Value& step, const FieldPlace& place);

/// GPT-2's characters for bytes: what bytes look like in byte-level vocabularies, and back: -1 for
/// a character that stands for none.
std::string byte_level_text(std::string_view bytes);
int byte_of_level(char32_t character);

/// The fields of such objects. Throws as `place` says when a field is missing or of another type.
const Value& need_field(const Value& object, std::string_view name, const FieldPlace& place);
std::string text_field(const Value& object, std::string_view name, const FieldPlace& place);
bool flag_field(const Value& object, std::string_view name, bool otherwise);

/// Calls body(code_point, bytes) for the characters of text.
void for_each_character(std::string_view text,
                        const std::function<void(char32_t, std::string_view)>& body);

}  // namespace sluice
