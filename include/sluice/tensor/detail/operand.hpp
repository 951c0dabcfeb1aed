#pragma once
// Operands of matrix products: their type, and rows stored so that products read them fast.

#include <cstdint>

#include "sluice/tensor/precision.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// Element type of a product's operands at a precision: bfloat16 for float32 tensors at bf16.
DType operand_type(DType dtype, Precision precision);

/// `x` as an operand of type `dtype`: x itself, or rounded to bfloat16 on all threads.
Tensor as_operand(const Tensor& x, DType dtype);

/// What rows of `columns` float32 numbers had best be apart: rows whose length is a power of two
/// would share sets of the cache, which costs products up to a quarter of their speed (measured
/// with oneDNN 2.6 on AVX-512).
inline std::int64_t spaced_columns(std::int64_t columns) {
  return columns % 128 == 0 ? columns + 16 : columns;
}
/// The same for an operand of any type; other types than float32 gain nothing by it.
inline std::int64_t spaced_columns(std::int64_t columns, DType dtype) {
  return dtype == DType::f32 ? spaced_columns(columns) : columns;
}

/// x [.., C] stored in rows of spaced_columns(C): x itself where those are C.
Tensor spaced(const Tensor& x);

}  // namespace sluice
