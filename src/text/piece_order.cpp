#include "piece_order.hpp"

#include <cstdint>
#include <optional>

#include "sluice/base/error.hpp"

// sentencepiece_model.proto: ModelProto { repeated SentencePiece pieces = 1; TrainerSpec
// trainer_spec = 2; NormalizerSpec normalizer_spec = 3; ... }, SentencePiece { string piece = 1;
// ... }, NormalizerSpec { ... bool add_dummy_prefix = 3 [default = true]; ... }, TrainerSpec {
// ModelType model_type = 3 [default = UNIGRAM]; ... }, ModelType { UNIGRAM = 1; BPE = 2; ... };
// protobuf's wire format of them.

namespace sluice {
namespace {

/// Where a model has a note of ours: the schema keeps numbers from 200 on for extensions.
constexpr std::uint64_t note_field = 16'384;

/// One field of a message.
struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;      ///< of a varint
  std::string_view content;     ///< of a length-delimited field
  std::string_view serialised;  ///< tag and all
};

/// Reads fields one by one; stops at the end and at anything malformed.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  std::optional<Field> next() {
    const std::string_view start = rest_;
    const auto tag = varint();
    if (!tag) return std::nullopt;
    Field field;
    field.number = *tag >> 3U;
    switch (*tag & 7U) {
      case 0: {
        const auto value = varint();
        if (!value) return std::nullopt;
        field.value = *value;
        break;
      }
      case 1:
        if (!skip(8)) return std::nullopt;
        break;
      case 2: {
        const auto length = varint();
        const std::string_view content = rest_;
        if (!length || !skip(*length)) return std::nullopt;
        field.content = content.substr(0, *length);
        break;
      }
      case 5:
        if (!skip(4)) return std::nullopt;
        break;
      default:
        return std::nullopt;
    }
    field.serialised = start.substr(0, start.size() - rest_.size());
    return field;
  }

  bool at_end() const { return rest_.empty(); }

 private:
  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }
  bool skip(std::uint64_t length) {
    if (length > rest_.size()) return false;
    rest_.remove_prefix(length);
    return true;
  }

  std::string_view rest_;
};

}  // namespace

std::string reorder_pieces(std::string_view model, const std::vector<std::size_t>& order) {
  std::vector<std::string_view> pieces;
  std::string others;
  Fields fields(model);
  while (const auto field = fields.next()) {
    if (field->number == 1) {
      pieces.push_back(field->serialised);
    } else {
      others += field->serialised;
    }
  }
  if (!fields.at_end() || pieces.size() != order.size()) {
    throw Error("cannot order the subwords by frequency: SentencePiece's model is malformed");
  }
  std::string result;
  result.reserve(model.size());
  for (const std::size_t piece : order) result += pieces.at(piece);
  return result + others;
}

std::string with_note(std::string_view model, std::string_view note) {
  std::string result(model);
  const auto put = [&](std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) result += static_cast<char>(value | 0x80U);
    result += static_cast<char>(value);
  };
  put(note_field << 3U | 2U);
  put(note.size());
  return result.append(note);
}

std::string model_note(std::string_view model) {
  std::string note;
  Fields fields(model);
  while (const auto field = fields.next()) {
    if (field->number == note_field) note = field->content;
  }
  return note;
}

bool has_piece(std::string_view model, std::string_view name) {
  Fields fields(model);
  while (const auto field = fields.next()) {
    if (field->number != 1) continue;
    Fields piece(field->content);
    while (const auto part = piece.next()) {
      if (part->number == 1 && part->content == name) return true;
    }
  }
  return false;
}

bool adds_blank(std::string_view model) {
  bool adds = true;
  Fields fields(model);
  while (const auto field = fields.next()) {
    if (field->number != 3) continue;
    Fields normalizer(field->content);
    while (const auto setting = normalizer.next()) {
      if (setting->number == 3) adds = setting->value != 0;
    }
  }
  return adds;
}

std::string model_kind(std::string_view model) {
  std::uint64_t type = 1;
  Fields fields(model);
  while (const auto field = fields.next()) {
    if (field->number != 2) continue;
    Fields trainer(field->content);
    while (const auto setting = trainer.next()) {
      if (setting->number == 3) type = setting->value;
    }
  }
  if (!fields.at_end() || type < 1 || type > 2) return "";
  return type == 1 ? "unigram" : "bpe";
}

}  // namespace sluice
