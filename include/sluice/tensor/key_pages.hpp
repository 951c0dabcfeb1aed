#pragma once
// Keys and values that a text carries through all attention layers of a model, in pages.

#include <cstdint>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/tensor/attention.hpp"
#include "sluice/tensor/packed_rows.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How pages are cut: each holds `rows()` positions of all layers, [layers, rows(), 2D], keys and
/// values (not rotated) side by side.
struct KeyLayout {
  std::int64_t layers = 0, width = 0;
  /// Positions a position sees, itself included.
  std::int64_t window = 1;

  std::int64_t rows() const;
  /// The first position that is still seen when `position` is the next to come.
  std::int64_t oldest(std::int64_t position) const;
};

/// A text's pages, those of positions oldest(position) to position - 1, and how many were read.
struct TextKeys {
  std::vector<Tensor>* pages = nullptr;
  std::int64_t position = 0;
};

/// One pass of texts side by side through the layers. Pages are values: those that copies of a text
/// share are never written, a page that is not full is copied before it is; so what a pass costs a
/// text is its own rows, and what a text holds is bounded by the window. One thread at a time.
class KeyPass {
 public:
  /// Texts are read on by the lengths of `rows`; their pages stay as they are until keep().
  KeyPass(const KeyLayout& layout, const PackedRows& rows, std::span<const TextKeys> texts);

  /// Attention in `layer`: qkv [ΣT, 3D], queries, keys and values side by side, to [ΣT, D]. Each
  /// layer comes once; its keys and values go to the pages.
  Tensor attend(const Tensor& qkv, std::int64_t layer, const Attention& options) const;

  /// Gives the texts their new pages.
  void keep();

 private:
  struct Text {
    TextKeys before;
    std::vector<Tensor> after;
  };

  std::vector<KeyRows<float>> carried(const Text& text, std::int64_t layer) const;
  void append(const Text& text, std::int64_t layer, const float* keys, std::int64_t pitch,
              std::int64_t count) const;
  float* at(const Tensor& page, std::int64_t layer, std::int64_t position) const;

  KeyLayout layout_;
  PackedRows rows_;
  std::vector<Text> texts_;
};

}  // namespace sluice
SLUICE_API_END
