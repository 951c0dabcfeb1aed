#pragma once
// A stack of recurrent layers that is used, not trained.

#include <memory>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/nn/condition.hpp"
#include "sluice/nn/norm.hpp"
#include "sluice/tensor/packed_rows.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

class PreparedCell;

/// A layer of a RecurrentStack with its weights prepared.
struct FrozenRecurrentLayer {
  Norm norm;
  std::shared_ptr<const PreparedCell> cell;
  FrozenCondition condition;
};

/// RecurrentStack with its weights prepared (RecurrentStack::freeze). Constant to its users: any
/// number of threads may call it at once.
struct FrozenRecurrent {
  std::vector<FrozenRecurrentLayer> layers;
  bool residual = false;

  /// Reads texts on side by side: x [ΣT, C] to [ΣT, H]. `state` holds the states of layer 0, then
  /// of layer 1, .., [texts, H] each or undefined for zeros, and receives those after each text's
  /// last position.
  Tensor forward(const Tensor& x, const PackedRows& rows, std::span<Tensor> state,
                 const RowLabels& labels = {}) const;
};

}  // namespace sluice
SLUICE_API_END
