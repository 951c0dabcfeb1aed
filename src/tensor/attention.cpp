#include "sluice/tensor/attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/attention.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/operand.hpp"
#include "sluice/tensor/detail/rotary_table.hpp"
#include "sluice/tensor/gemm.hpp"

namespace sluice {
namespace {

// Queries per block: their scores stay in the second-level cache for windows of some thousands.
constexpr std::int64_t kQueries = 64;
// Rows and columns of the products are multiples of this, so that chunks of any length need few
// different primitives. Rows of operands behind the last are zeros, and so are those of products.
constexpr std::int64_t kPad = 16;
// With so few queries the products are bound by reading keys and values once.
constexpr std::int64_t kFewQueries = 2;

std::int64_t padded(std::int64_t n) { return (n + kPad - 1) / kPad * kPad; }

// A [rows, d] operand of the products in a thread's scratch memory.
struct Operand {
  Tensor data;
  MatrixView view(std::int64_t first, std::int64_t rows) const {
    return matrix(data).row_range(first, rows);
  }
};

// A block of queries of one head, and the keys it sees.
struct Block {
  std::int64_t first, count;        // queries
  std::int64_t key_begin, key_end;  // multiples of kPad
  kernels::Band band;
  std::int64_t key_count() const { return key_end - key_begin; }
  // Its scores, a row for each query.
  kernels::BandedRows rows() const {
    const auto n = static_cast<std::size_t>(key_count());
    return {static_cast<std::size_t>(count), n, n, band};
  }
};

// Scratch memory of a thread, for the longest text.
struct Scratch {
  Operand keys, values, queries, probabilities;
  Tensor row;     // one row of float values on their way to an operand
  Tensor scores;  // [kQueries, most keys of a block]
  Tensor stats;   // [kQueries, 2]
  Tensor out;     // [kQueries, d]
  // For the gradient:
  Operand outputs, score_gradients;
  Tensor dprobabilities, dkeys, dvalues;
};

// Zeroes rows [first, last) of an operand.
void clear_rows(const Operand& rows, std::int64_t first, std::int64_t last) {
  const std::size_t bytes =
      static_cast<std::size_t>(rows.data.dim(1)) * dtype_size(rows.data.dtype());
  std::memset(static_cast<std::byte*>(rows.data.raw()) + static_cast<std::size_t>(first) * bytes, 0,
              static_cast<std::size_t>(last - first) * bytes);
}

// All heads of all texts.
template <class T>
class Heads {
 public:
  using Text = AttentionText<T>;

  Heads(std::span<const Text> texts, const Attention& options, std::int64_t width)
      : texts_(texts), options_(options), width_(width) {
    for (const Text& text : texts) {
      longest_ = std::max(longest_, text.time);
      most_keys_ = std::max(most_keys_, text.key_count());
      rows_ += text.time;
    }
    if (options.rotary) table_ = rotary_table<T>(head_width() / 2, most_keys_);
  }

  void forward() const {
    const ProfileScope profile(
        "attention", 0, 4 * static_cast<double>(rows_ * width_) * static_cast<double>(sizeof(T)));
    for_heads(false, [&](const Scratch& s, std::size_t text, std::int64_t head) {
      forward(s, texts_[text], head);
    });
  }

  void backward(std::span<const AttentionGradients<T>> gradients) const {
    const ProfileScope profile(
        "attention", 0, 7 * static_cast<double>(rows_ * width_) * static_cast<double>(sizeof(T)));
    for_heads(true, [&](const Scratch& s, std::size_t text, std::int64_t head) {
      backward(s, texts_[text], gradients[text], head);
    });
  }

 private:
  std::int64_t head_width() const { return width_ / options_.heads; }
  T scale() const { return T{1} / std::sqrt(static_cast<T>(head_width())); }
  DType operand() const { return operand_type(dtype_of<T>, options_.precision); }

  Block block_at(const Text& text, std::int64_t keys, std::int64_t first) const {
    const std::int64_t count = std::min(kQueries, text.time - first);
    const std::int64_t carried = keys - text.time;
    const std::int64_t oldest = carried + first - options_.window + 1;
    const std::int64_t begin = std::max<std::int64_t>(oldest, 0) / kPad * kPad;
    const std::int64_t end = padded(carried + first + count);
    return {first, count, begin, end, {oldest - begin, carried + first + 1 - begin}};
  }

  Scratch scratch(bool backward) const {
    const std::int64_t d = head_width(), n = padded(most_keys_);
    const std::int64_t q = std::min(kQueries, padded(longest_));
    // Largest number of keys of a block.
    const std::int64_t block_keys = std::min(n, padded(options_.window + kQueries) + kPad);
    const auto make = [](std::int64_t rows, std::int64_t columns, DType dtype) {
      return Tensor(Shape{rows, columns}, dtype);
    };
    Scratch s;
    s.keys = {make(n, d, operand())};
    s.values = {make(n, d, operand())};
    s.queries = {make(q, d, operand())};
    s.row = make(1, d, dtype_of<T>);
    s.scores = make(q, block_keys, dtype_of<T>);
    s.stats = make(q, 2, dtype_of<T>);
    s.out = make(q, d, dtype_of<T>);
    const bool rounded = operand() != dtype_of<T>;
    if (rounded) s.probabilities = {make(q, block_keys, operand())};
    if (!backward) return s;
    s.outputs = {make(q, d, operand())};
    s.dprobabilities = make(q, block_keys, dtype_of<T>);
    if (rounded) s.score_gradients = {make(q, block_keys, operand())};
    s.dkeys = make(n, d, dtype_of<T>);
    s.dvalues = make(n, d, dtype_of<T>);
    return s;
  }

  // Row `to` of an operand from d values, rotated to `position` when that is not negative.
  void put(const Operand& operand_rows, std::int64_t to, const T* from, std::int64_t position,
           T factor, const Tensor& row) const {
    const std::int64_t d = head_width();
    const auto count = static_cast<std::size_t>(d);
    const bool rounded = operand_rows.data.dtype() != dtype_of<T>;
    T* const out = rounded ? row.data<T>() : operand_rows.data.data<T>() + to * d;
    if (position >= 0) {
      kernels::rotate_pairs(out, from, table_->rotation(position, factor, false), count / 2);
    } else {
      kernels::scale_into(out, from, factor, count);
    }
    if constexpr (std::is_same_v<T, float>) {
      if (rounded) {
        kernels::to_bfloat16(operand_rows.data.data<std::uint16_t>() + to * d, out, count);
      }
    }
  }
  std::int64_t position(std::int64_t key) const { return options_.rotary ? key : -1; }

  // Keys and values of one head; their number.
  std::int64_t gather(const Scratch& s, const Text& text, std::int64_t head) const {
    const std::int64_t column = head * head_width();
    std::int64_t j = 0;
    for (const KeyRows<T>& rows : text.keys) {
      for (std::int64_t i = 0; i < rows.count; ++i, ++j) {
        const std::int64_t at = i * rows.pitch + column;
        put(s.keys, j, rows.k + at, position(j), T{1}, s.row);
        put(s.values, j, rows.v + at, -1, T{1}, s.row);
      }
    }
    clear_rows(s.keys, j, padded(j));
    clear_rows(s.values, j, padded(j));
    return j;
  }

  void gather_queries(const Scratch& s, const Block& block, const Text& text, std::int64_t keys,
                      std::int64_t head) const {
    for (std::int64_t i = 0; i < block.count; ++i) {
      const std::int64_t t = block.first + i;
      put(s.queries, i, text.q + t * text.q_pitch + head * head_width(),
          position(keys - text.time + t), scale(), s.row);
    }
    clear_rows(s.queries, block.count, padded(block.count));
  }

  // Scores of a block: [padded(count), key_count()] with that pitch.
  void score(const Scratch& s, const Block& block) const {
    gemm(s.scores.data<T>(), block.key_count(), s.queries.view(0, padded(block.count)),
         transpose(s.keys.view(block.key_begin, block.key_count())));
  }

  // Scores or probabilities as an operand: `x` itself or, rounded, `to`.
  MatrixView as_matrix(const Tensor& x, const Operand& to, const Block& block) const {
    const std::int64_t rows = padded(block.count), n = block.key_count();
    if constexpr (std::is_same_v<T, float>) {
      if (to.data.defined()) {
        kernels::to_bfloat16(to.data.data<std::uint16_t>(), x.data<T>(),
                             static_cast<std::size_t>(rows * n));
        return matrix(to.data.data<std::uint16_t>(), rows, n);
      }
    }
    return matrix(x.data<T>(), rows, n);
  }

  T* stats_at(const Text& text, std::int64_t head, std::int64_t t) const {
    return text.stats + (head * text.time + t) * 2;
  }

  void forward(const Scratch& s, const Text& text, std::int64_t head) const {
    const std::int64_t d = head_width();
    const std::int64_t keys = gather(s, text, head);
    for (std::int64_t first = 0; first < text.time; first += kQueries) {
      const Block block = block_at(text, keys, first);
      gather_queries(s, block, text, keys, head);
      const std::int64_t n = block.key_count();
      const auto softmax = [&] {
        kernels::band_softmax(
            s.scores.data<T>(),
            text.stats == nullptr ? s.stats.data<T>() : stats_at(text, head, first), block.rows());
      };
      if (block.count <= kFewQueries && operand() == dtype_of<T>) {
        few_scores(s, block);
        softmax();
        few_outputs(s, block);
      } else {
        score(s, block);
        softmax();
        gemm(s.out.data<T>(), d, as_matrix(s.scores, s.probabilities, block),
             s.values.view(block.key_begin, n));
      }
      for (std::int64_t i = 0; i < block.count; ++i) {
        std::memcpy(text.y + (first + i) * text.y_pitch + head * d, s.out.data<T>() + i * d,
                    static_cast<std::size_t>(d) * sizeof(T));
      }
    }
  }

  void few_scores(const Scratch& s, const Block& block) const {
    const auto n = static_cast<std::size_t>(block.key_count());
    const auto d = static_cast<std::size_t>(head_width());
    for (std::int64_t i = 0; i < block.count; ++i) {
      kernels::matrix_times_vector(s.scores.data<T>() + i * block.key_count(),
                                   s.keys.data.data<T>() + block.key_begin * head_width(),
                                   s.queries.data.data<T>() + i * head_width(), n, d, d);
    }
  }
  void few_outputs(const Scratch& s, const Block& block) const {
    const auto n = static_cast<std::size_t>(block.key_count());
    const auto d = static_cast<std::size_t>(head_width());
    for (std::int64_t i = 0; i < block.count; ++i) {
      kernels::vector_times_matrix(
          s.out.data<T>() + i * head_width(), s.scores.data<T>() + i * block.key_count(),
          s.values.data.data<T>() + block.key_begin * head_width(), n, d, d);
    }
  }

  // Gradients of one head.
  void backward(const Scratch& s, const Text& text, const AttentionGradients<T>& to,
                std::int64_t head) const {
    const std::int64_t d = head_width(), column = head * d;
    const auto count = static_cast<std::size_t>(d);
    const std::int64_t keys = gather(s, text, head);
    const std::int64_t carried = keys - text.time;
    s.dkeys.fill_zero();
    s.dvalues.fill_zero();
    for (std::int64_t first = 0; first < text.time; first += kQueries) {
      const Block block = block_at(text, keys, first);
      const std::int64_t n = block.key_count();
      gather_queries(s, block, text, keys, head);
      for (std::int64_t i = 0; i < block.count; ++i) {
        put(s.outputs, i, to.dy + (first + i) * text.y_pitch + column, -1, T{1}, s.row);
      }
      clear_rows(s.outputs, block.count, padded(block.count));
      const MatrixView outputs = s.outputs.view(0, padded(block.count));
      score(s, block);
      gemm(s.dprobabilities.data<T>(), n, outputs, transpose(s.values.view(block.key_begin, n)));
      kernels::band_softmax_backward(s.scores.data<T>(), s.dprobabilities.data<T>(),
                                     stats_at(text, head, first), block.rows());
      const MatrixView p = as_matrix(s.scores, s.probabilities, block);
      const MatrixView ds = as_matrix(s.dprobabilities, s.score_gradients, block);
      gemm(s.dvalues.data<T>() + block.key_begin * d, d, transpose(p), outputs, true);
      gemm(s.dkeys.data<T>() + block.key_begin * d, d, transpose(ds),
           s.queries.view(0, padded(block.count)), true);
      gemm(s.out.data<T>(), d, ds, s.keys.view(block.key_begin, n));
      for (std::int64_t i = 0; i < block.count; ++i) {
        give(to.dq + (first + i) * to.pitch + column, s.out.data<T>() + i * d,
             position(carried + first + i), scale());
      }
    }
    for (std::int64_t t = 0; t < text.time; ++t) {
      const std::int64_t j = carried + t;
      give(to.dk + t * to.pitch + column, s.dkeys.data<T>() + j * d, position(j), T{1});
      std::memcpy(to.dv + t * to.pitch + column, s.dvalues.data<T>() + j * d, count * sizeof(T));
    }
  }

  void give(T* to, const T* from, std::int64_t at, T factor) const {
    const auto count = static_cast<std::size_t>(head_width());
    if (at >= 0) {
      kernels::rotate_pairs(to, from, table_->rotation(at, factor, true), count / 2);
    } else {
      kernels::scale_into(to, from, factor, count);
    }
  }

  // Calls f(scratch, text, head) for all of them, every head of a text in turn; or, so that texts
  // of different lengths are shared fairly, every text of a head.
  template <class F>
  void for_heads(bool backward_pass, F&& f) const {
    if (texts_.empty()) return;
    const auto count = static_cast<std::int64_t>(texts_.size());
    const std::int64_t time = std::max<std::int64_t>(rows_ / count, 1);
    const std::int64_t seen = std::min(options_.window, most_keys_);
    const std::int64_t work = std::max<std::int64_t>(4 * time * seen * head_width() / 16, 1);
    const std::int64_t grain = std::max<std::int64_t>(1, kElementGrain / work);
    const bool equal = rows_ == longest_ * count;
    parallel_for(count * options_.heads, grain, [&](std::int64_t begin, std::int64_t end) {
      const Scratch s = scratch(backward_pass);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t text = equal ? i / options_.heads : i % count;
        f(s, static_cast<std::size_t>(text), equal ? i % options_.heads : i / count);
      }
    });
  }

  std::span<const Text> texts_;
  Attention options_;
  std::int64_t width_;
  std::int64_t longest_ = 0, most_keys_ = 0, rows_ = 0;
  std::shared_ptr<const RotaryTable<T>> table_;
};

}  // namespace

template <class T>
void attention_forward(std::span<const AttentionText<T>> texts, const Attention& options,
                       std::int64_t width) {
  Heads<T>(texts, options, width).forward();
}

template <class T>
void attention_backward(std::span<const AttentionText<T>> texts,
                        std::span<const AttentionGradients<T>> gradients, const Attention& options,
                        std::int64_t width) {
  Heads<T>(texts, options, width).backward(gradients);
}

template void attention_forward(std::span<const AttentionText<float>>, const Attention&,
                                std::int64_t);
template void attention_forward(std::span<const AttentionText<double>>, const Attention&,
                                std::int64_t);
template void attention_backward(std::span<const AttentionText<float>>,
                                 std::span<const AttentionGradients<float>>, const Attention&,
                                 std::int64_t);
template void attention_backward(std::span<const AttentionText<double>>,
                                 std::span<const AttentionGradients<double>>, const Attention&,
                                 std::int64_t);

}  // namespace sluice
