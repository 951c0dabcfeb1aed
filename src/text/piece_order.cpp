#include "piece_order.hpp"

#include <cstdint>

#include "protobuf.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// Where a model has a note of ours: the schema keeps numbers from 200 on for extensions.
constexpr std::uint64_t note_field = 16'384;

}  // namespace

std::string reorder_pieces(std::string_view model, const std::vector<std::size_t>& order) {
  std::vector<std::string_view> pieces;
  std::string others;
  WireFields fields(model);
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
  WireFields fields(model);
  while (const auto field = fields.next()) {
    if (field->number == note_field) note = field->content;
  }
  return note;
}

bool has_piece(std::string_view model, std::string_view name) {
  WireFields fields(model);
  while (const auto field = fields.next()) {
    if (field->number != 1) continue;
    WireFields piece(field->content);
    while (const auto part = piece.next()) {
      if (part->number == 1 && part->content == name) return true;
    }
  }
  return false;
}

bool adds_blank(std::string_view model) {
  bool adds = true;
  WireFields fields(model);
  while (const auto field = fields.next()) {
    if (field->number != 3) continue;
    WireFields normalizer(field->content);
    while (const auto setting = normalizer.next()) {
      if (setting->number == 3) adds = setting->value != 0;
    }
  }
  return adds;
}

std::string model_kind(std::string_view model) {
  std::uint64_t type = 1;
  WireFields fields(model);
  while (const auto field = fields.next()) {
    if (field->number != 2) continue;
    WireFields trainer(field->content);
    while (const auto setting = trainer.next()) {
      if (setting->number == 3) type = setting->value;
    }
  }
  if (!fields.at_end() || type < 1 || type > 2) return "";
  return type == 1 ? "unigram" : "bpe";
}

}  // namespace sluice
