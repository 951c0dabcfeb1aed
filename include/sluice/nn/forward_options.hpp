#pragma once
// How a forward pass runs: what models tell their stacks, and stacks their layers.

#include <cstdint>
#include <span>

#include "sluice/autograd/dropout.hpp"
#include "sluice/base/api.hpp"
#include "sluice/nn/probe.hpp"
#include "sluice/nn/row_labels.hpp"
#include "sluice/tensor/conv.hpp"
#include "sluice/tensor/precision.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct ForwardOptions {
  /// Dropout on, drawn from (seed, step); batch norm takes the batch's statistics.
  bool training = false;
  /// Probability that an input of a layer is dropped; models put their own here.
  float dropout = 0;
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  Precision precision = Precision::f32;
  ConvPath conv = ConvPath::automatic;
  /// Compute projections again for the gradients instead of keeping them.
  bool recompute = false;
  /// Of the rows [B·T], for a model with labels; others do not look.
  RowLabels labels = {};
  /// Of the texts [B]: 1 where one begins with this chunk, whose state then counts for nothing;
  /// empty: none ever does but where the state is empty. A text's chunks have it all or none.
  std::span<const std::uint8_t> starts = {};
  /// Sees the token vectors and what every layer computes; null: nobody looks, nothing is spent.
  Probe* probe = nullptr;

  /// The dropout of one place of a model, each of which draws from a stream of its own; none unless
  /// training.
  Dropout dropout_of(std::uint32_t stream) const {
    if (!training) return {};
    return {dropout, seed, stream, step};
  }
};

}  // namespace sluice
SLUICE_API_END
