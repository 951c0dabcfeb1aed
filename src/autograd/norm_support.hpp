#pragma once
// What the norms share: checks of shapes, and pointers to tensors that may be undefined.

#include <cstdint>

#include "sluice/autograd/variable.hpp"

namespace sluice {

/// Throws Error naming `op` unless `parameter` is undefined or has this shape and x's type.
void check_norm_parameter(const char* op, const char* name, const Variable& parameter,
                          const Shape& shape, const Variable& x);

/// Throws Error naming `op` when x has no elements or its rank is outside [least, most].
void check_norm_input(const char* op, const Variable& x, int least, int most);

/// Throws UsageError unless groups divides channels.
void check_norm_groups(const char* op, std::int64_t groups, std::int64_t channels);

/// Pointer to the elements; null when undefined.
template <class T>
T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

}  // namespace sluice
