#pragma once
// Recurrent language models: what their configs hold.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/models/architecture.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The stack of a recurrent model (arch rnn, lstm, gru, indrnn, mut1).
struct RecurrentShape {
  /// Layers, and the hidden size H of each.
  std::int64_t depth = 0, hidden = 0;
  /// rnn: the cell's nonlinearity, an activation of parse_unit().
  std::string unit = "tanh";
  /// lstm: what the forget gate's bias starts at.
  float forget_bias = 1;
  /// lstm: gates that are always open, of "input", "forget" and "output" (for ablations).
  std::vector<std::string> removed_gates = {};
  /// gru: whether the reset gate acts "after" the matrix product (PyTorch, cuDNN) or "before" it
  /// (Cho et al. 2014).
  std::string reset = "after";
  /// indrnn: the largest |u|.
  float bound = 1;
  /// Layers add their inputs where widths agree.
  bool residual = false;
  /// One dropout mask for all steps of a chunk (Gal & Ghahramani 2016).
  bool variational = false;
};

/// One for each cell of nn/recurrent.hpp.
std::vector<std::unique_ptr<const Architecture>> recurrent_architectures();

}  // namespace sluice
SLUICE_API_END
