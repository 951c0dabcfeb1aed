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
struct Logistic {
  V of_x;
  V of_minus_x;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE Logistic<V> BothLogistic(D d, V x) {
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
    // e^-|x| never overflows: σ(x) is 1 / (1 + e^-|x|), or for negative x e^-|x| / (1 + e^-|x|).
    const V one = hn::Set(d, 1.0F);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(x)));
    return Quotient(d, SelectNegative(d, x, e, one), hn::Add(one, e));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const auto s = BothLogistic(d, x);
    return {s.of_x, hn::Mul(s.of_x, s.of_minus_x)};
  }
};

template <>
struct Act<Activation::silu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    // Where βx < -88, σ is 0, and Inf must not meet that 0.
    const V least = hn::Mul(p.inverse, hn::Set(d, -88.0F));
    const V bounded = hn::IfThenElse(hn::Lt(x, least), least, x);
    const V t = hn::Mul(bounded, p.first);
    const V one = hn::Set(d, 1.0F);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(t)));
    return hn::Mul(bounded, Quotient(d, SelectNegative(d, x, e, one), hn::Add(one, e)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const V least = hn::Mul(p.inverse, hn::Set(d, -88.0F));
    const V above = hn::IfThenElse(hn::Lt(x, least), least, x);
    const V t = AtMost(d, hn::Mul(above, p.first), 88.0F);
    const auto s = BothLogistic(d, t);
    return {hn::Mul(above, s.of_x), hn::Mul(s.of_x, hn::MulAdd(t, s.of_minus_x, hn::Set(d, 1.0F)))};
  }
};

template <>
struct Act<Activation::logsigmoid> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V below = AtMost(d, x, 0.0F);
    return hn::Sub(below, LogOnePlus(d, ExpNonPositive(d, hn::Neg(hn::Abs(x)))));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V one = hn::Set(d, 1.0F);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(x)));
    const V slope = Quotient(d, SelectNegative(d, x, one, e), hn::Add(one, e));
    return {hn::Sub(AtMost(d, x, 0.0F), LogOnePlus(d, e)), slope};
  }
};

template <>
struct Act<Activation::softplus> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V t = hn::Mul(x, p.first);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(t)));
    const V y = hn::Mul(hn::Add(AtLeast(d, t, 0.0F), LogOnePlus(d, e)), p.inverse);
    return hn::IfThenElse(hn::Gt(t, p.second), x, y);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const V one = hn::Set(d, 1.0F);
    const V t = hn::Mul(x, p.first);
    const auto beyond = hn::Gt(t, p.second);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(t)));
    const V y = hn::Mul(hn::Add(AtLeast(d, t, 0.0F), LogOnePlus(d, e)), p.inverse);
    const V slope = Quotient(d, SelectNegative(d, t, e, one), hn::Add(one, e));
    return {hn::IfThenElse(beyond, x, y), hn::IfThenElse(beyond, one, slope)};
  }
};

template <>
struct Act<Activation::mish> {
  // Numerator and denominator of tanh(log(1 + e^x)).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Ratio(D d, V x, V e) {
    const V two = hn::Set(d, 2.0F);
    const V product = hn::Mul(e, hn::Add(e, two));
    const V rest = hn::MulAdd(hn::Mul(two, e), hn::Add(e, hn::Set(d, 1.0F)), hn::Set(d, 1.0F));
    const V top = SelectNegative(d, x, product, hn::MulAdd(two, e, hn::Set(d, 1.0F)));
    return {top, SelectNegative(d, x, hn::Add(product, two), rest)};
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    // With e = e^-|x|, tanh(log(1 + e^x)) is t / (t + 2) with t = e (e + 2) for negative x, and
    // else t / (t + 2e²) with t = 1 + 2e. Where x < -88 it is 0, and Inf must not meet that 0.
    const V bounded = AtLeast(d, x, -88.0F);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(bounded)));
    const auto t = Ratio(d, bounded, e);
    return hn::Mul(bounded, Quotient(d, t.value, t.slope));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    // The derivative is t / u + 4 x e^n (1 + e) / u² with t / u as above, and n = 1 for negative x,
    // else 2. Beyond 40 it is 1.
    const V above = AtLeast(d, x, -88.0F);
    const V bounded = AtMost(d, above, 40.0F);
    const V one = hn::Set(d, 1.0F);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(bounded)));
    const auto t = Ratio(d, bounded, e);
    const V inverse = Quotient(d, one, t.slope);
    const V ratio = hn::Mul(t.value, inverse);
    const V growth = hn::Mul(hn::Mul(e, SelectNegative(d, x, one, e)), hn::Add(one, e));
    const V bend = hn::Mul(hn::Mul(hn::Set(d, 4.0F), bounded), growth);
    return {hn::Mul(above, ratio), hn::MulAdd(hn::Mul(bend, inverse), inverse, ratio)};
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
  const auto tiny = hn::Lt(t, hn::Set(d, kExpLowest));
  const auto e = Split(d, hn::IfThenElse(tiny, hn::Set(d, kExpLowest), t));
  const V less = hn::MulAdd(e.power, e.fraction, hn::Sub(e.power, hn::Set(d, 1.0F)));
  return {hn::IfThenZeroElse(tiny, hn::MulAdd(e.power, e.fraction, e.power)), less};
}
/// e^t - 1 for t <= 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpLessOne(D d, V t) {
  const auto e = Split(d, AtLeast(d, t, -20.0F));
  return hn::MulAdd(e.power, e.fraction, hn::Sub(e.power, hn::Set(d, 1.0F)));
}

template <>
struct Act<Activation::elu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V less = ExpLessOne(d, AtMost(d, x, 0.0F));
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(p.first, less));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const auto positive = hn::Gt(x, hn::Zero(d));
    const auto e = BothExp(d, AtMost(d, x, 0.0F));
    return {hn::IfThenElse(positive, x, hn::Mul(p.first, e.less_one)),
            hn::IfThenElse(positive, hn::Set(d, 1.0F), hn::Mul(p.first, e.power))};
  }
};

template <>
struct Act<Activation::celu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V less = ExpLessOne(d, AtMost(d, hn::Mul(x, p.inverse), 0.0F));
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(p.first, less));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const auto positive = hn::Gt(x, hn::Zero(d));
    const auto e = BothExp(d, AtMost(d, hn::Mul(x, p.inverse), 0.0F));
    return {hn::IfThenElse(positive, x, hn::Mul(p.first, e.less_one)),
            hn::IfThenElse(positive, hn::Set(d, 1.0F), e.power)};
  }
};

template <>
struct Act<Activation::selu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V less = ExpLessOne(d, AtMost(d, x, 0.0F));
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Mul(x, hn::Set(d, 1.05070099F)),
                          hn::Mul(hn::Set(d, 1.75809934F), less));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const auto positive = hn::Gt(x, hn::Zero(d));
    const auto e = BothExp(d, AtMost(d, x, 0.0F));
    return {hn::IfThenElse(positive, hn::Mul(x, hn::Set(d, 1.05070099F)),
                           hn::Mul(hn::Set(d, 1.75809934F), e.less_one)),
            hn::IfThenElse(positive, hn::Set(d, 1.05070099F),
                           hn::Mul(hn::Set(d, 1.75809934F), e.power))};
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
