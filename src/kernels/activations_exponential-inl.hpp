// Activations made from the exponential. Included once per SIMD target.
#if defined(SLUICE_KERNELS_ACTIVATIONS_EXPONENTIAL_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_ACTIVATIONS_EXPONENTIAL_INL_HPP
#undef SLUICE_KERNELS_ACTIVATIONS_EXPONENTIAL_INL_HPP
#else
#define SLUICE_KERNELS_ACTIVATIONS_EXPONENTIAL_INL_HPP
#endif

#include <hwy/highway.h>

#include "activations_base-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// σ(x) and σ(-x), each with its own relative accuracy.
template <class V>
struct LogisticPair {
  V of_x;
  V of_minus_x;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE LogisticPair<V> BothLogistic(D d, V x) {
  const V one = hn::Set(d, 1.0F);
  const V e = ExpNonPositive(d, hn::Neg(hn::Abs(x)));
  const V large = Quotient(d, one, hn::Add(one, e));
  const V small = hn::Mul(e, large);
  return {SelectNegative(d, x, small, large), SelectNegative(d, x, large, small)};
}

template <>
struct Act<Activation::sigmoid> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    return Logistic(d, x);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    // With e = e^-|x|, σ'(x) = e / (1 + e)², and σ(x) is 1 / (1 + e) or for negative x e / (1 + e).
    const V one = hn::Set(d, 1.0F);
    const V z = hn::Abs(x);
    const auto beyond = hn::Gt(z, hn::Set(d, -kExpLowest));
    const auto parts = PartsOfNegated(d, hn::IfThenElse(beyond, hn::Set(d, -kExpZero), z));
    const V e = hn::Mul(parts.power, ExpOfRest(d, parts.rest));
    const V sum = hn::Add(one, e);
    const V inverse_square = hn::Div(one, hn::Mul(sum, sum));
    const V large = hn::Mul(inverse_square, sum);
    return {SelectNegative(d, x, hn::Mul(e, large), large), hn::Mul(e, inverse_square)};
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V x) {
    return Bell(d, x, 1.0F);
  }
};

template <>
struct Act<Activation::silu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    // Where βx < -87, σ jumps to 0 before it would be denormal, and Inf must not meet that 0.
    const V least = hn::Mul(p.inverse, hn::Set(d, kLeast));
    const V far = hn::Mul(p.inverse, hn::Set(d, -kExpInfinity));
    const V bounded = hn::IfThenElse(hn::Lt(x, least), far, x);
    const auto e = PartsOfNegated(d, AtMost(d, hn::Mul(bounded, p.first), kMost));
    return hn::Div(bounded, hn::MulAdd(e.power, ExpOfRest(d, e.rest), hn::Set(d, 1.0F)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    // 1 - σ = e^-t σ would lose its digits as a difference.
    const V unbounded = hn::Mul(x, p.first);
    const auto far = hn::Lt(unbounded, hn::Set(d, kLeast));
    const V t = AtMost(d, AtLeast(d, unbounded, kLeast), kMost);
    const auto parts = PartsOfNegated(d, t);
    const V e = hn::Mul(parts.power, ExpOfRest(d, parts.rest));
    const V s = hn::Div(hn::Set(d, 1.0F), hn::Add(e, hn::Set(d, 1.0F)));
    return {hn::IfThenZeroElse(far, hn::Mul(x, s)),
            hn::IfThenZeroElse(far, hn::MulAdd(hn::Mul(t, hn::Mul(e, s)), s, s))};
  }

 private:
  static constexpr float kLeast = -87.3F, kMost = 80.0F;
};

template <>
struct Act<Activation::logsigmoid> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(x)));
    return hn::Neg(AddLogOnePlus(d, e, AtLeast(d, hn::Neg(x), 0.0F)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    return {Value(d, x), Logistic(d, hn::Neg(x))};
  }
};

template <>
struct Act<Activation::softplus> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V t = hn::Mul(x, p.first);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(t)));
    const V y = hn::Mul(AddLogOnePlus(d, e, AtLeast(d, t, 0.0F)), p.inverse);
    return hn::IfThenElse(hn::Gt(t, p.second), x, y);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const V t = hn::Mul(x, p.first);
    return {Value(d, x, p), hn::IfThenElse(hn::Gt(t, p.second), hn::Set(d, 1.0F), Logistic(d, t))};
  }
};

template <>
struct Act<Activation::mish> {
  // With e = e^x, tanh(log(1 + e)) is t / (t + 2), t = e (e + 2). From x = 20 it is 1. Where
  // x < kExpLowest it is 0, and Inf must not meet that 0.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V two = hn::Set(d, 2.0F);
    const V bounded = Beyond(d, x, kExpLowest, kExpZero);
    const V e = ExpOf(d, bounded);
    const V t = hn::Mul(e, hn::Add(e, two));
    return hn::Mul(bounded, hn::Div(t, hn::Add(t, two)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    // With u = 1 / (½ t + 1) the derivative is (1 - u) + x e (1 + e) u².
    const V one = hn::Set(d, 1.0F);
    const V bounded = Beyond(d, x, kExpLowest, kExpZero);
    const V e = ExpOf(d, bounded);
    const V t = hn::Mul(e, hn::Add(e, hn::Set(d, 2.0F)));
    const V half = hn::Mul(t, hn::Set(d, 0.5F));
    const V u = hn::Div(one, hn::Add(half, one));
    const V growth = hn::Mul(hn::Mul(hn::Sub(t, e), u), u);
    return {hn::Mul(bounded, hn::Mul(half, u)),
            hn::MulAdd(AtMost(d, bounded, kMost), growth, hn::Sub(one, u))};
  }

 private:
  static constexpr float kMost = 20.0F;
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V ExpOf(D d, V bounded) {
    const auto e = Parts(d, AtMost(d, bounded, kMost));
    return hn::Mul(e.power, ExpOfRest(d, e.rest));
  }
};

/// e^t and e^t - 1 for t <= 0, each with its own relative accuracy.
template <class V>
struct ExpAndLess {
  V power;
  V less_one;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE ExpAndLess<V> BothExp(D d, V t) {
  const auto e = Parts(d, Beyond(d, t, kExpLowest, kExpZero));
  const V fraction = ExpLessOneOfRest(d, e.rest);
  return {hn::MulAdd(e.power, fraction, e.power),
          hn::MulAdd(e.power, fraction, hn::Sub(e.power, hn::Set(d, 1.0F)))};
}
/// e^t - 1 for t <= 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpLessOne(D d, V t) {
  const auto e = CoarseParts(d, AtLeast(d, t, -20.0F), 1.0F);
  return hn::MulAdd(e.power, ExpLessOneOfRest(d, e.rest), hn::Sub(e.power, hn::Set(d, 1.0F)));
}

template <>
struct Act<Activation::elu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    return hn::MulAdd(p.first, ExpLessOne(d, AtMost(d, x, 0.0F)), AtLeast(d, x, 0.0F));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const auto e = BothExp(d, AtMost(d, x, 0.0F));
    const V slope =
        hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0F), hn::Mul(p.first, e.power));
    return {hn::MulAdd(p.first, e.less_one, AtLeast(d, x, 0.0F)), slope};
  }
};

template <>
struct Act<Activation::celu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V less = ExpLessOne(d, AtMost(d, hn::Mul(x, p.inverse), 0.0F));
    return hn::MulAdd(p.first, less, AtLeast(d, x, 0.0F));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const auto e = BothExp(d, AtMost(d, hn::Mul(x, p.inverse), 0.0F));
    return {hn::MulAdd(p.first, e.less_one, AtLeast(d, x, 0.0F)), e.power};
  }
};

template <>
struct Act<Activation::selu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    return Joined(d, x, ExpLessOne(d, AtMost(d, x, 0.0F)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const auto e = BothExp(d, AtMost(d, x, 0.0F));
    const V slope = hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Set(d, kScale),
                                   hn::Mul(hn::Set(d, kScaledAlpha), e.power));
    return {Joined(d, x, e.less_one), slope};
  }

 private:
  static constexpr float kScale = 1.05070099F, kScaledAlpha = 1.75809934F;
  // As a float the scale is 3e-8 too large, which next to overflow gives Inf for the largest float;
  // what it is beyond 1 is 20 times as exact.
  static constexpr float kScaleBeyondOne = 0.0507009874F;
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Joined(D d, V x, V less) {
    const V positive = AtLeast(d, x, 0.0F);
    return hn::MulAdd(hn::Set(d, kScaledAlpha), less,
                      hn::MulAdd(positive, hn::Set(d, kScaleBeyondOne), positive));
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
