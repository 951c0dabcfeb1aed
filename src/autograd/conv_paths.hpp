#pragma once
// The two ways causal_conv_unit computes.

#include <cstdint>

#include "sluice/autograd/convolution.hpp"
#include "sluice/tensor/conv.hpp"

namespace sluice {

/// A checked call of causal_conv_unit.
struct ConvCall {
  const Variable& x;
  const Variable& w;
  const Variable& bias;
  const Variable& residual;
  const CausalConv& options;
  ConvShape shape;
  std::int64_t outputs;  // N
  DType operand;         // of the matrix products
  Tensor* next_context;
};

/// K products for each output, on a padded copy of the input.
Variable direct_conv_unit(const ConvCall& call);
/// Toom-Cook with tiles of `tile` outputs.
Variable fast_conv_unit(const ConvCall& call, int tile);

}  // namespace sluice
