#include "sluice/inference/detail/pass_rows.hpp"

#include <algorithm>

#include "sluice/tensor/detail/rows.hpp"

namespace sluice::detail {

std::span<std::int32_t> PassRows::make_room(StackState& state, std::size_t count) {
  if (count == 0) return {};
  ids_.resize(ids_.size() + count);
  lengths_.push_back(static_cast<std::int64_t>(count));
  states_.push_back(&state);
  return std::span(ids_).last(count);
}

void PassRows::add(StackState& state, std::span<const std::int32_t> ids) {
  std::copy(ids.begin(), ids.end(), make_room(state, ids.size()).begin());
}

Tensor PassRows::read(const FrozenModel& model, std::span<const std::int32_t> labels) const {
  return model.hidden(ids_, PackedRows(lengths_), states_, {.all = model.label(), .each = labels});
}

void PassRows::ask(std::int64_t row, std::int32_t target) {
  asked_.push_back(static_cast<std::int32_t>(row));
  targets_.push_back(target);
}

std::vector<double> PassRows::nll(const FrozenModel& model, Tensor hidden) const {
  if (asked_.empty()) return {};
  if (asked_.size() != ids_.size()) hidden = pick_rows(hidden, asked_, "pass");
  return model.nll(hidden, targets_);
}

Tensor own_row(const Tensor& hidden, std::int64_t row) {
  return hidden.dim(0) == 1 ? hidden : hidden.rows(row, row + 1).clone();
}

}  // namespace sluice::detail
