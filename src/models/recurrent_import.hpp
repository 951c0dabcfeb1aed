#pragma once
// Recurrent models of other programs.

namespace sluice {

struct ForeignKind;

/// Architecture::foreign_kind() of the cells that torch.nn has, too: RNN, LSTM and GRU.
const ForeignKind& torch_checkpoint();

}  // namespace sluice
