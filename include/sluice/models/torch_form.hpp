#pragma once
// Stacks as PyTorch has them: what an architecture says of itself for export.

#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/base/api.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/nn/module.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A stack in PyTorch.
struct TorchStack {
  /// Python that defines `class Stack(nn.Module)`: stack(x, state) of x [B, T, dim] gives
  /// [B, T, output_width()] and the state behind it; a state of None is the start of a text. torch,
  /// nn and F (torch.nn.functional) are imported before it.
  std::string source;
  /// Its state dict.
  NamedTensors tensors;
};

/// The parameters behind the token layers, under their own names: the state dict of a stack whose
/// modules are named as Sluice's layers are.
NamedTensors stack_tensors(const Parameters& parameters);

/// Python for what layers have: `class Norm`, made with a number of channels, of x [B, T, C], and
/// `class Unit`, made with a number of output channels, of z [.., inputs].
std::string torch_norm(std::string_view name, std::int64_t groups);
std::string torch_unit(std::string_view spec);

}  // namespace sluice
SLUICE_API_END
