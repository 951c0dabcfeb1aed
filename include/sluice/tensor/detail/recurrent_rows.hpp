#pragma once
// How the rows of a recurrent layer lie, and what carries them there and back.
//
// Inside a layer rows are time-major: those of step t of all texts that have one are next to each
// other, the longest text's first, so that a step's rows are one matrix and the states before it
// are the first of the step before. Rows of gates and states are a little longer than they hold
// where powers of two would share cache sets (spaced_columns).

#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/tensor/detail/operand.hpp"
#include "sluice/tensor/matrix_view.hpp"
#include "sluice/tensor/packed_rows.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice::recurrent {

/// The steps of texts side by side: where the row of a text's position stands among time-major
/// rows. Cheap to copy. A value.
class Steps {
 public:
  Steps() = default;
  /// `texts` texts of `steps` positions each.
  Steps(std::int64_t texts, std::int64_t steps) : texts_(texts), count_(steps) {}
  /// Texts of lengths of their own; none is empty.
  explicit Steps(const PackedRows& rows);

  std::int64_t texts() const { return texts_; }
  /// Steps of the longest text.
  std::int64_t count() const { return count_; }
  /// Rows of all steps.
  std::int64_t rows() const { return order_ ? order_->first.back() : texts_ * count_; }
  /// Texts that have a step t, which are the first so many of step t - 1.
  std::int64_t active(std::int64_t t) const {
    return order_ ? order_->first[at(t + 1)] - order_->first[at(t)] : texts_;
  }
  /// The first row of step t.
  std::int64_t row(std::int64_t t) const { return order_ ? order_->first[at(t)] : t * texts_; }
  /// The same among states, which begin with those before the first step: what step t reads is at
  /// state_row(t), what it gives at state_row(t + 1).
  std::int64_t state_row(std::int64_t t) const { return t == 0 ? 0 : texts_ + row(t - 1); }

  /// The text whose rows are at `place` in each step, and the row of its last state.
  std::int64_t text(std::int64_t place) const { return order_ ? order_->texts[at(place)] : place; }
  std::int64_t last_state_row(std::int64_t place) const {
    return state_row(length(text(place))) + place;
  }

  /// Rows of `text` where texts stand one behind another ("packed"): the first, and how many.
  std::int64_t start(std::int64_t text) const {
    return order_ ? order_->packed.first(at(text)) : text * count_;
  }
  std::int64_t length(std::int64_t text) const {
    return order_ ? order_->packed.length(at(text)) : count_;
  }
  /// From a row to the packed row, and back.
  std::int64_t packed_of(std::int64_t row) const {
    return order_ ? order_->packed_of[at(row)] : row % texts_ * count_ + row / texts_;
  }
  std::int64_t row_of(std::int64_t packed) const {
    return order_ ? order_->row_of[at(packed)] : packed % count_ * texts_ + packed / count_;
  }

 private:
  struct Order {
    PackedRows packed;
    std::vector<std::int64_t> texts;  // longest first
    std::vector<std::int64_t> first;  // [count + 1]
    std::vector<std::int64_t> packed_of, row_of;
  };
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  std::int64_t texts_ = 0, count_ = 0;
  std::shared_ptr<const Order> order_;  // null where all lengths are one
};

/// Sizes and types of one pass of a layer.
struct Call {
  Steps steps;
  std::int64_t inputs = 0, hidden = 0;
  DType dtype = DType::f32;
  /// Type of the operands of matrix products.
  DType operand = DType::f32;

  std::int64_t batch() const { return steps.texts(); }
  std::int64_t time() const { return steps.count(); }
  std::int64_t rows() const { return steps.rows(); }
  /// Row pitch of an array of `columns`.
  std::int64_t pitch(std::int64_t columns) const {
    return operand == DType::bf16 ? columns : spaced_columns(columns, dtype);
  }
};

/// x [.., C] of packed rows time-major, as an operand: [rows, pitch].
Tensor to_time_major(const Tensor& x, const Call& call);
/// Columns [first, first + columns) of time-major rows, from `first_row` on, as packed rows of
/// `shape`.
Tensor from_time_major(const Tensor& rows, std::int64_t first_row, std::int64_t first_column,
                       Shape shape, const Call& call);

/// States of all steps, [texts + rows, pitch(H)], those before the first step set from `first`
/// [texts, H] or zero.
Tensor make_states(const Tensor& first, const Call& call);
/// Each text's state after its last step, [texts, H].
Tensor last_state(const Tensor& states, const Call& call);

}  // namespace sluice::recurrent
