#pragma once
// Protobuf's wire format, as far as SentencePiece's models need it. Of sentencepiece_model.proto:
//   ModelProto      repeated SentencePiece pieces = 1; TrainerSpec trainer_spec = 2;
//                   NormalizerSpec normalizer_spec = 3; NormalizerSpec denormalizer_spec = 5
//   SentencePiece   string piece = 1
//   TrainerSpec     ModelType model_type = 3, UNIGRAM = 1 (the default) or BPE = 2
//   NormalizerSpec  bytes precompiled_charsmap = 2; bool add_dummy_prefix = 3, true by default

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

/// One field of a message.
struct WireField {
  std::uint64_t number = 0;
  std::uint64_t value = 0;      ///< of a varint
  std::string_view content;     ///< of a length-delimited field
  std::string_view serialised;  ///< tag and all
};

/// Reads fields one by one; stops at the end and at anything malformed.
class WireFields {
 public:
  explicit WireFields(std::string_view message) : rest_(message) {}

  std::optional<WireField> next() {
    const std::string_view start = rest_;
    const auto tag = varint();
    // Protobuf drops higher bits, and finds another field than it looks like.
    if (!tag || *tag > UINT32_MAX) return std::nullopt;
    WireField field;
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

}  // namespace sluice
