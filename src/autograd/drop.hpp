#pragma once
// Dropout of elements and tensors, for the ops that have it built in.

#include <cstdint>

#include "sluice/autograd/dropout.hpp"

namespace sluice {

/// to = dropout(x), or x itself without dropout; `offset` is the place of x[0] in the op's input.
/// `to` may be x. What goes to bfloat16 is rounded after dropout.
void drop(float* to, const float* x, std::int64_t n, const Dropout& dropout, std::int64_t offset);
void drop(double* to, const double* x, std::int64_t n, const Dropout& dropout, std::int64_t offset);
void drop(std::uint16_t* to, const float* x, std::int64_t n, const Dropout& dropout,
          std::int64_t offset);

/// dropout(x) on all threads, which is also the gradient of what has gradient x; x itself where
/// nothing is dropped. Counted in the profile under `scope`.
Tensor dropped(const Tensor& x, const Dropout& dropout, const char* scope = "dropout");

}  // namespace sluice
