#pragma once
// What every op does at its end: recording its gradient.

#include <initializer_list>
#include <utility>

#include "sluice/autograd/variable.hpp"
#include "sluice/tensor/detail/operand.hpp"

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

}  // namespace sluice
