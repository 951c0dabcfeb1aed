#pragma once
// The layers of a model that is used, not trained: without a tape, constant, shared by threads.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/nn/row_labels.hpp"
#include "sluice/tensor/packed_rows.hpp"
#include "sluice/tensor/prepared_weight.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a stack carries from one part of one text to the next. A value: copies share tensors, so
/// that copying costs little whatever the size. Whoever moves a state on replaces its tensors, or
/// writes over one of which it is the only holder (Tensor::unique). A state belongs to one stack,
/// and to one thread at a time.
struct StackState {
  /// The architecture's own; empty at the start of a text.
  std::vector<Tensor> tensors;
  /// Rows read so far.
  std::int64_t position = 0;

  /// Memory of the tensors (those that copies share are counted in each).
  std::size_t bytes() const;
};

/// A stack with weights made ready once: embedded tokens in, the softmax's input out. Immutable:
/// any number of threads may call it at once, each with states of its own. What it gives depends on
/// the texts and the number of threads set (base/parallel.hpp), not on the thread that calls; who
/// else is in the batch may change rounding, since the products' shapes change with it.
class FrozenStack {
 public:
  virtual ~FrozenStack() = default;
  FrozenStack(const FrozenStack&) = delete;
  FrozenStack& operator=(const FrozenStack&) = delete;

  /// Columns D of x, and of what forward() gives.
  std::int64_t inputs() const { return inputs_; }
  std::int64_t outputs() const { return outputs_; }

  /// Reads on any number of texts side by side, each by its own number of rows: x float32 [ΣT, D]
  /// holds text i's rows where `rows` says, *states[i] is what came before it and becomes what
  /// comes after it; `labels`, one for all rows or one for each, are those of a model that has
  /// labels. Returns [ΣT, outputs()]; the caller may write over it. Throws Error when sizes
  /// do not fit or a text is given no row. When anything is thrown, states are as they were or at
  /// the start of a text.
  Tensor forward(const Tensor& x, const PackedRows& rows, std::span<StackState* const> states,
                 const RowLabels& labels = {}) const;

 protected:
  FrozenStack(std::int64_t inputs, std::int64_t outputs) : inputs_(inputs), outputs_(outputs) {}

  /// forward() with checked arguments; positions are moved on behind it. Must replace the states'
  /// tensors, not write to them unless unique.
  virtual Tensor run(const Tensor& x, const PackedRows& rows, std::span<StackState* const> states,
                     const RowLabels& labels) const = 0;

 private:
  std::int64_t inputs_, outputs_;
};

}  // namespace sluice
SLUICE_API_END
