#pragma once
// The one way in which rows are gathered for a pass over several texts, and told apart behind it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sluice/inference/frozen_model.hpp"

namespace sluice::detail {

/// What a model reads in one pass: tokens of any number of texts side by side, each behind what its
/// state has read. Made for one pass, by one thread. States must stay where they are until then.
class PassRows {
 public:
  /// Room for the next `count` tokens of the text of `state`, which no text of the pass has yet; to
  /// be filled before more is added. A count of 0 adds nothing.
  std::span<std::int32_t> make_room(StackState& state, std::size_t count);
  /// The same, filled.
  void add(StackState& state, std::span<const std::int32_t> ids);

  bool empty() const { return ids_.empty(); }
  /// ΣT so far, which is the number of the row that comes next.
  std::int64_t rows() const { return static_cast<std::int64_t>(ids_.size()); }

  /// Reads all: hidden rows, float32 [ΣT, H]. `labels`, int32 [ΣT], are those of the rows; without
  /// any, all have the model's. Throws Error as FrozenModel::hidden() does.
  Tensor read(const FrozenModel& model, std::span<const std::int32_t> labels = {}) const;

  /// Asks for `target` behind `row`. Rows come in ascending order, each at most once.
  void ask(std::int64_t row, std::int32_t target);
  std::span<const std::int32_t> targets() const { return targets_; }
  /// -ln p(target) in nats of all that was asked, from what read() gave; moved in, its memory goes
  /// before logits come.
  std::vector<double> nll(const FrozenModel& model, Tensor hidden) const;

 private:
  std::vector<std::int32_t> ids_;
  std::vector<std::int64_t> lengths_;
  std::vector<StackState*> states_;
  std::vector<std::int32_t> asked_, targets_;
};

/// Row `row` of hidden [R, H] for longer than the others: [1, H], a copy where a view would keep
/// more than itself alive.
Tensor own_row(const Tensor& hidden, std::int64_t row);

}  // namespace sluice::detail
