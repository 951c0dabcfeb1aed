#pragma once
// Optimizer updates. One thread. Moments below 1e-36 in magnitude become
// 0: those of a word that no longer occurs would decay into denormals, which are slow.

#include <cstddef>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// PyTorch's SGD (torch.optim.SGD, dampening 0) with the gradient scaled first:
///   g = grad · gradient_scale + weight_decay · w
///   v = momentum · v + g;  w -= lr · (nesterov ? g + momentum · v : v)
/// With momentum 0, v may be null. grad null stands for zeros, and gives the same bits as zeros.
struct SgdStep {
  float gradient_scale, lr, momentum, weight_decay;
  bool nesterov;
};
void sgd_step(float* w, float* v, const float* grad, const SgdStep& step, std::size_t n);

/// PyTorch's Adam / AdamW (decoupled = true) with the gradient scaled first. bias_correction1 =
/// 1 - beta1^t, bias_correction2 = 1 - beta2^t for step t counted from 1. grad null stands for
/// zeros, and gives the same bits as zeros.
struct AdamStep {
  float gradient_scale, lr, beta1, beta2, epsilon, weight_decay;
  float bias_correction1, bias_correction2;
  bool decoupled;
};
void adam_step(float* w, float* m, float* v, const float* grad, const AdamStep& step,
               std::size_t n);

}  // namespace sluice::kernels
SLUICE_API_END
