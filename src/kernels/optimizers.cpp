// SGD and Adam: one pass over parameters, gradients and moments, bound by memory.
#include "sluice/kernels/optimizers.hpp"

#include <cmath>
#include <cstddef>

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "optimizers.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// A moment whose gradients stay 0 (a word that does not occur) decays until it is denormal, and
// denormals are slow: end at 0 before.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Flush(D d, V moment) {
  return hn::IfThenZeroElse(hn::Lt(hn::Abs(moment), hn::Set(d, 1e-36F)), moment);
}

void Sgd(float* w, float* v, const float* grad, const SgdStep& step, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto scales = hn::Set(d, step.gradient_scale);
  const auto rate = hn::Set(d, step.lr);
  const auto keep = hn::Set(d, step.momentum);
  const auto decay = hn::Set(d, step.weight_decay);
  const bool heavy = step.momentum != 0.0F;
  const bool nesterov = step.nesterov;
  const auto none = hn::Mul(scales, hn::Zero(d));
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    const auto weight = span.Load(d, w + i);
    const auto scaled = grad == nullptr ? none : hn::Mul(scales, span.Load(d, grad + i));
    const auto g = hn::MulAdd(decay, weight, scaled);
    auto direction = g;
    if (heavy) {
      const auto moment = Flush(d, hn::MulAdd(keep, span.Load(d, v + i), g));
      span.Store(moment, d, v + i);
      direction = nesterov ? hn::MulAdd(keep, moment, g) : moment;
    }
    span.Store(hn::NegMulAdd(rate, direction, weight), d, w + i);
  });
}

void Adam(float* w, float* m, float* v, const float* grad, const AdamStep& step, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto scales = hn::Set(d, step.gradient_scale);
  const auto beta1 = hn::Set(d, step.beta1);
  const auto beta2 = hn::Set(d, step.beta2);
  const auto gain1 = hn::Set(d, 1.0F - step.beta1);
  const auto gain2 = hn::Set(d, 1.0F - step.beta2);
  const auto epsilon = hn::Set(d, step.epsilon);
  const auto rate = hn::Set(d, step.lr / step.bias_correction1);
  const auto root_correction = hn::Set(d, 1.0F / std::sqrt(step.bias_correction2));
  // Weight decay shrinks the weight (AdamW), or adds to the gradient (Adam).
  const auto shrink = hn::Set(d, step.decoupled ? 1.0F - step.lr * step.weight_decay : 1.0F);
  const auto decay = hn::Set(d, step.decoupled ? 0.0F : step.weight_decay);
  const auto none = hn::Mul(scales, hn::Zero(d));
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    const auto weight = span.Load(d, w + i);
    const auto scaled = grad == nullptr ? none : hn::Mul(scales, span.Load(d, grad + i));
    const auto g = hn::MulAdd(decay, weight, scaled);
    const auto first = Flush(d, hn::MulAdd(beta1, span.Load(d, m + i), hn::Mul(gain1, g)));
    const auto second =
        Flush(d, hn::MulAdd(hn::Mul(gain2, g), g, hn::Mul(beta2, span.Load(d, v + i))));
    span.Store(first, d, m + i);
    span.Store(second, d, v + i);
    const auto size = hn::MulAdd(hn::Sqrt(second), root_correction, epsilon);
    const auto change = hn::Div(hn::Mul(rate, first), size);
    span.Store(hn::Sub(hn::Mul(shrink, weight), change), d, w + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(Sgd);
HWY_EXPORT(Adam);
}  // namespace

void sgd_step(float* w, float* v, const float* grad, const SgdStep& step, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(Sgd)(w, v, grad, step, n);
}

void adam_step(float* w, float* m, float* v, const float* grad, const AdamStep& step,
               std::size_t n) {
  HWY_DYNAMIC_DISPATCH(Adam)(w, m, v, grad, step, n);
}

}  // namespace sluice::kernels
#endif
