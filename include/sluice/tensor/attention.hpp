#pragma once
// Causal multi-head attention over a sliding window, and its gradient, for texts of any lengths.
//
// Computed for one block of queries after another, per text and head (Dao et al. 2022, the softmax
// over the block's whole window at once): memory grows with a text's length, not its square. Each
// head of a text is one thread's, so results depend neither on the number of threads nor on other
// texts. float32 and float64; safe to call from any number of threads on arrays of their own.

#include <cstdint>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/tensor/precision.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How causal attention computes.
struct Attention {
  /// Heads H; head h has the h-th D/H of the columns of q, k and v.
  std::int64_t heads = 1;
  /// Positions a position sees: itself and the window - 1 before it. At least 1.
  std::int64_t window = 1;
  /// Rotate queries and keys by their positions (see rotary) before they meet. Only differences of
  /// positions matter, so positions count from the oldest key at hand: nothing loses precision
  /// however far into a text it stands, and keys are carried as they were before rotation.
  bool rotary = false;
  /// bf16: the operands of the products (scores, their softmax) are rounded to bfloat16.
  Precision precision = Precision::f32;
};

/// Some keys of a text and their values, neighbours in time: rows of D numbers, `pitch` apart.
template <class T>
struct KeyRows {
  const T* k = nullptr;
  const T* v = nullptr;
  std::int64_t pitch = 0, count = 0;
};

/// One text's share of a call: `time` queries, and all keys that the first of them sees, the oldest
/// first; the last `time` of them are the queries' own positions. Nobody may see more than
/// Attention::window of them.
template <class T>
struct AttentionText {
  const T* q = nullptr;
  std::int64_t q_pitch = 0, time = 0;
  std::vector<KeyRows<T>> keys;
  /// Receives the output, rows `y_pitch` apart.
  T* y = nullptr;
  std::int64_t y_pitch = 0;
  /// [H, time, 2], two numbers for each row's softmax, for the gradient; null where none is wanted.
  T* stats = nullptr;

  std::int64_t key_count() const {
    std::int64_t count = 0;
    for (const KeyRows<T>& rows : keys) count += rows.count;
    return count;
  }
};

/// For each text and head, d = D/H: y[t] = Σ_j softmax_j(q[t] · k[j] / √d) v[j] over the keys that
/// t sees. The options must fit `width`, D. A NaN reaches the outputs of its head and text that
/// share its blocks.
template <class T>
void attention_forward(std::span<const AttentionText<T>> texts, const Attention& options,
                       std::int64_t width);

/// Gradients of a text's queries and of its last `time` keys and values, rows `pitch` apart, from
/// that of its output, rows `y_pitch` apart.
template <class T>
struct AttentionGradients {
  const T* dy = nullptr;
  T* dq = nullptr;
  T* dk = nullptr;
  T* dv = nullptr;
  std::int64_t pitch = 0;
};

/// The gradient of attention_forward on the same texts, whose `stats` it left; scores are computed
/// again.
template <class T>
void attention_backward(std::span<const AttentionText<T>> texts,
                        std::span<const AttentionGradients<T>> gradients, const Attention& options,
                        std::int64_t width);

}  // namespace sluice
SLUICE_API_END
