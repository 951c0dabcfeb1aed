#pragma once
// What ops share: recording a gradient closure, and operands of matrix products.

#include <initializer_list>
#include <utility>

#include "sluice/autograd/ops.hpp"
#include "sluice/autograd/variable.hpp"

namespace sluice {

/// Wraps an op's result. When a tape records and one of `inputs` requires a gradient, the result
/// does too, and `backward(dy)` runs in the reverse walk if a gradient reached the result.
template <class Backward>
Variable record(const Tensor& value, std::initializer_list<Variable> inputs, Backward backward) {
  Tape* tape = Tape::current();
  bool wanted = false;
  for (const Variable& input : inputs) wanted = wanted || input.requires_grad();
  if (tape == nullptr || !wanted) return Variable(value);
  Variable result(value, true);
  tape->record([slot = result.gradient(), backward = std::move(backward)] {
    const Tensor dy = slot->take();
    if (dy.defined()) backward(dy);
  });
  return result;
}

/// Element type of GEMM operands at a precision: bfloat16 for float32 tensors at bf16.
DType gemm_dtype(DType dtype, Precision precision);

/// Columns a float32 GEMM operand of `columns` columns had best be stored with: rows whose length
/// is a power of two would share sets of the cache, which costs products up to a quarter of their
/// speed (measured with oneDNN 2.6 on AVX-512).
std::int64_t spaced_columns(std::int64_t columns, DType dtype);

/// x [.., C] stored in rows of spaced_columns(C): x itself where those are C.
Tensor spaced(const Tensor& x);

/// `x` as a GEMM operand of type `dtype`: x itself, or rounded to bfloat16 on all threads.
Tensor as_operand(const Tensor& x, DType dtype);

}  // namespace sluice
