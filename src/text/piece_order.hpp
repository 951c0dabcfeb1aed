#pragma once
// The parts of a serialised SentencePiece model that its library does not give access to.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// `model` with its pieces in another order: piece i is what was piece order[i]. A model's ids are
/// its pieces' places and its segmentation depends on their scores alone, so the result segments
/// text alike. Throws Error when `model` is malformed or `order` is not as long as its list of
/// pieces.
std::string reorder_pieces(std::string_view model, const std::vector<std::size_t>& order);

/// `model` with a note of ours, which other programs pass over.
std::string with_note(std::string_view model, std::string_view note);
/// The note of a model; empty when it has none.
std::string model_note(std::string_view model);

/// Whether a piece of the model is called `name`.
bool has_piece(std::string_view model, std::string_view name);
/// Whether the model puts a blank in front of every text (add_dummy_prefix).
bool adds_blank(std::string_view model);

/// "bpe" or "unigram", or "" when the model is of another kind or malformed.
std::string model_kind(std::string_view model);

}  // namespace sluice
