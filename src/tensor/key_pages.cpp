#include "sluice/tensor/key_pages.hpp"

#include <algorithm>

#include "sluice/base/profile.hpp"

namespace sluice {
namespace {

/// Positions of a page: what a text of few tokens holds at least, and what is copied when a copy of
/// a text reads on.
constexpr std::int64_t kPageRows = 16;

}  // namespace

std::int64_t KeyLayout::rows() const { return std::clamp<std::int64_t>(window - 1, 1, kPageRows); }

std::int64_t KeyLayout::oldest(std::int64_t position) const {
  return std::max<std::int64_t>(position - (window - 1), 0);
}

KeyPass::KeyPass(const KeyLayout& layout, const PackedRows& rows, std::span<const TextKeys> texts)
    : layout_(layout), rows_(rows) {
  const std::int64_t each = layout.rows();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Text& text = texts_.emplace_back(Text{texts[i], {}});
    const std::int64_t begin = text.before.position, end = begin + rows.length(i);
    const std::int64_t first_page = layout.oldest(begin) / each;
    const std::vector<Tensor>& pages = *text.before.pages;
    for (std::int64_t page = layout.oldest(end) / each; page * each < end; ++page) {
      if (layout.oldest(end) == end) break;  // a window of one position carries nothing
      const auto had = static_cast<std::size_t>(page - first_page);
      if (had >= pages.size()) {
        text.after.emplace_back(Shape{layout.layers, each, 2 * layout.width});
      } else if ((page + 1) * each <= begin || pages[had].unique()) {
        text.after.push_back(pages[had]);
      } else {
        text.after.push_back(pages[had].clone());
      }
    }
  }
}

float* KeyPass::at(const Tensor& page, std::int64_t layer, std::int64_t position) const {
  return page.data<float>() +
         (layer * layout_.rows() + position % layout_.rows()) * 2 * layout_.width;
}

std::vector<KeyRows<float>> KeyPass::carried(const Text& text, std::int64_t layer) const {
  std::vector<KeyRows<float>> keys;
  const std::int64_t each = layout_.rows(), end = text.before.position;
  std::int64_t position = layout_.oldest(end);
  for (const Tensor& page : *text.before.pages) {
    const std::int64_t next = std::min((position / each + 1) * each, end);
    const float* const row = at(page, layer, position);
    keys.push_back({row, row + layout_.width, 2 * layout_.width, next - position});
    position = next;
  }
  return keys;
}

void KeyPass::append(const Text& text, std::int64_t layer, const float* keys, std::int64_t pitch,
                     std::int64_t count) const {
  const std::int64_t each = layout_.rows(), begin = text.before.position, end = begin + count;
  const std::int64_t oldest = layout_.oldest(end);
  for (std::int64_t position = std::max(begin, oldest); position < end; ++position) {
    const auto page = static_cast<std::size_t>(position / each - oldest / each);
    std::copy_n(keys + (position - begin) * pitch, 2 * layout_.width,
                at(text.after[page], layer, position));
  }
}

Tensor KeyPass::attend(const Tensor& qkv, std::int64_t layer, const Attention& options) const {
  const std::int64_t d = layout_.width, pitch = qkv.dim(1);
  Tensor y(Shape{qkv.dim(0), d});
  std::vector<AttentionText<float>> texts(texts_.size());
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    const float* const rows = qkv.data<float>() + rows_.first(i) * pitch;
    AttentionText<float>& text = texts[i];
    text.q = rows;
    text.q_pitch = pitch;
    text.time = rows_.length(i);
    text.keys = carried(texts_[i], layer);
    text.keys.push_back({rows + d, rows + 2 * d, pitch, text.time});
    text.y = y.data<float>() + rows_.first(i) * d;
    text.y_pitch = d;
  }
  attention_forward<float>(texts, options, d);
  const ProfileScope profile("attention context", 0, 4.0 * static_cast<double>(y.bytes()));
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    append(texts_[i], layer, texts[i].q + d, pitch, texts[i].time);
  }
  return y;
}

void KeyPass::keep() {
  for (Text& text : texts_) *text.before.pages = std::move(text.after);
}

}  // namespace sluice
