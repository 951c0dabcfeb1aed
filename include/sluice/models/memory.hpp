#pragma once
// How much memory training a model takes, before it is tried.

#include <cstddef>
#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/models/config.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Estimate of the bytes that training takes at its peak, float32: per parameter its value, its
/// gradient and `optimizer_states` more (1 for momentum, 2 for Adam, and sums over micro-batches);
/// the derived weights of weight
/// normalisation and their gradients; and per position of a batch × context chunk what the layers
/// keep for their gradients (without their projections when `recompute`). Tokens, code,
/// filters kept transformed and the GEMM's scratch memory are not counted. Saturates at the largest
/// std::size_t. The config must be valid.
std::size_t training_memory_estimate(const ModelConfig& config, std::int64_t batch,
                                     std::int64_t context, int optimizer_states = 2,
                                     bool recompute = false);

/// Bytes this process may use: the machine's physical memory, or its control group's limit where
/// that is lower.
std::size_t physical_memory();

/// Throws UsageError saying how much training would take and how much there is when the estimate
/// exceeds `available`.
void check_training_memory(const ModelConfig& config, std::int64_t batch, std::int64_t context,
                           int optimizer_states = 2, bool recompute = false,
                           std::size_t available = physical_memory());

}  // namespace sluice
SLUICE_API_END
