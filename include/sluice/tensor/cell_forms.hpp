#pragma once
// The forms that recurrent cells come in.

#include <cstdint>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Which gates an LSTM has; one without is always open: 1 (the ablations of Greff et al. 2017).
struct LstmGates {
  bool input = true;
  bool forget = true;
  bool output = true;
  /// Blocks of H rows in the weights: the gates and the candidate.
  std::int64_t blocks() const { return 1 + int{input} + int{forget} + int{output}; }
};

/// Where a GRU's reset gate acts on the candidate: on h₋ `before` the matrix product (Cho et al.
/// 2014), n = tanh(W_in x + b_in + W_hn (r ⊙ h₋) + b_hn), or `after` it (PyTorch's and cuDNN's), n
/// = tanh(W_in x + b_in + r ⊙ (W_hn h₋ + b_hn)).
enum class GruReset : std::uint8_t { before, after };

}  // namespace sluice
SLUICE_API_END
