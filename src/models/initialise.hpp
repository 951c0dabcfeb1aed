#pragma once
// Initial weights of another kind than an architecture's own.

#include <cstdint>

#include "sluice/models/config.hpp"
#include "sluice/nn/module.hpp"

namespace sluice {

/// Draws the weights of the stack anew as config.init says, with random numbers of `seed`, and
/// multiplies them by config.init_scale; gains of weight normalisation follow. A weight that serves
/// several gates or the halves of a gated unit is drawn block by block, each [N, C, K]. Embedding,
/// softmax, biases, norms and parameters of units stay as they are, and so does IndRNN's recurrent
/// vector.
///   xavier      normal, deviation √(2 / (fan_in + fan_out)) (Glorot & Bengio 2010 eq. 16)
///   kaiming     normal, deviation gain / √fan_in (He et al. 2015 eq. 10), gain that of the
///               unit the projection ends in (nn/init.hpp), 1 for others
///   orthogonal  gain · Q (Saxe et al. 2013), the same gain
void initialise_stack(const ModelConfig& config, std::uint64_t seed, const Parameters& parameters);

}  // namespace sluice
