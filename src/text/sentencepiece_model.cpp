#include "sentencepiece_model.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "protobuf.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// A table of normalisation: the size of a trie, in bytes, the trie, and the texts that it leads
/// to. The trie is Darts-clone's double array. A unit's child for byte c is at (its place ^ its
/// offset) ^ c, and its value, when it has one, at the child for byte 0.
bool leads_within(std::string_view table) {
  if (table.empty()) return true;
  std::uint32_t size = 0;
  if (table.size() <= sizeof(size)) return false;
  std::memcpy(&size, table.data(), sizeof(size));
  table.remove_prefix(sizeof(size));
  if (size >= table.size()) return false;
  std::vector<std::uint32_t> units(size / sizeof(std::uint32_t));
  if (units.empty()) return false;
  std::memcpy(units.data(), table.data(), units.size() * sizeof(std::uint32_t));
  const std::size_t texts = table.size() - size;

  constexpr std::uint32_t is_value = 1U << 31U, has_value = 1U << 8U, is_far = 1U << 9U;
  for (std::uint32_t place = 0; place < units.size(); ++place) {
    const std::uint32_t unit = units[place];
    if (place > 0 && (unit & is_value) != 0) continue;  // no byte leads to it
    const std::uint32_t offset = (unit >> 10U) << ((unit & is_far) != 0 ? 8U : 0U);
    const std::uint32_t children = place ^ offset;
    if ((children | 0xFFU) >= units.size()) return false;
    if ((unit & has_value) != 0 && (units[children] & ~is_value) >= texts) return false;
  }
  return true;
}

constexpr std::string_view no_model = "it is not a SentencePiece model, or damaged";

bool is_sound_piece(std::string_view text) {
  return !text.empty() && text.find('\0') == std::string_view::npos;
}

/// What is wrong with a model, or nothing. What these few kinds of fields cannot read to its end
/// may hold anything, since protobuf reads more of them.
std::string_view fault_of(std::string_view model) {
  WireFields fields(model);
  while (const auto field = fields.next()) {
    const bool piece = field->number == 1, normalizer = field->number == 3 || field->number == 5;
    if (!piece && !normalizer) continue;
    bool named = false;
    WireFields parts(field->content);
    while (const auto part = parts.next()) {
      if (normalizer && part->number == 2 && !leads_within(part->content)) {
        return "its table of normalisation is damaged";
      }
      if (piece && part->number == 1) {
        named = is_sound_piece(part->content);
        if (!named) break;
      }
    }
    if (piece && !named) return "a piece of it is empty or has a zero byte in it: it is damaged";
    if (!parts.at_end()) return no_model;
  }
  return fields.at_end() ? "" : no_model;
}

}  // namespace

void load_sentencepiece(sentencepiece::SentencePieceProcessor& processor, std::string_view model,
                        std::string_view name) {
  std::string_view fault = fault_of(model);
  if (fault.empty() && !processor.LoadFromSerializedProto(model).ok()) {
    fault = no_model;
  }
  if (!fault.empty()) throw Error(fmt::format("cannot load the tokenizer '{}': {}", name, fault));
}

}  // namespace sluice
