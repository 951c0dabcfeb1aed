#pragma once
// Blocks of recurrent layers' weights as other programs order them.

#include <cstdint>
#include <optional>
#include <vector>

#include "sluice/nn/recurrent.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// A block of rows of our weights; none stands for a gate that is always open.
using GateBlock = std::optional<std::int64_t>;

/// Where an LSTM's gates are in our weights, those that are removed being none.
struct LstmBlocks {
  GateBlock input, forget, cell, output;
};
LstmBlocks lstm_blocks(const RecurrentOptions& options);

/// Blocks of `hidden` rows of a weight [.., K], or a bias (K = 1), in this order: [n·H, K]; zeros
/// for none.
Tensor ordered_blocks(const Tensor& w, std::int64_t hidden, const std::vector<GateBlock>& order);

/// Sets the blocks of a bias [n·H], in that order, of gates that are always open to a value whose σ
/// is 1.
void open_gates(const Tensor& bias, const std::vector<GateBlock>& order);

}  // namespace sluice
