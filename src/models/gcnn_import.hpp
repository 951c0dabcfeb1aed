#pragma once
// The gated convolutional models of other programs.

namespace sluice {

struct ForeignKind;

/// Architecture::foreign_kind() of the gated convolutional model: fairseq's fconv_lm.
const ForeignKind& fairseq_checkpoint();

}  // namespace sluice
