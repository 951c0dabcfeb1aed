// gelu and its approximation. Included once per SIMD target.
#if defined(SLUICE_KERNELS_ACTIVATIONS_GELU_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_ACTIVATIONS_GELU_INL_HPP
#undef SLUICE_KERNELS_ACTIVATIONS_GELU_INL_HPP
#else
#define SLUICE_KERNELS_ACTIVATIONS_GELU_INL_HPP
#endif

#include <hwy/highway.h>

#include "activations_exponential-inl.hpp"
#include "activations_piecewise-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// e^(-z²/2) for 0 <= z <= 13.2, or 0 where z is kGaussZero. The rounding of z² would be magnified
/// in the exponential: it is taken exactly.
inline constexpr float kGaussMost = 13.1F, kGaussZero = 13.26F;
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Gauss(D d, V z) {
#if HWY_NATIVE_FMA
  // Twice the exponent is z² + q · 2 ln 2. What is added keeps results of tiny z from being
  // denormal.
  const V tiny = hn::Set(d, 0x1p-60F);
  const V biased = hn::NegMulAdd(hn::MulAdd(z, z, tiny), hn::Set(d, 0.5F * kLog2E),
                                 hn::Set(d, kRoundToExponent));
  const V q = hn::Sub(biased, hn::Set(d, kRoundToExponent));
  const V rest = hn::NegMulSub(z, z, hn::MulAdd(q, hn::Set(d, 2 * kLn2High), tiny));
  const V r = hn::NegMulAdd(q, hn::Set(d, 2 * kLn2Low), rest);
  return hn::Mul(PowerOf(d, biased), ExpOfRest(d, r, 2.0F));
#else
  const V high = hn::And(z, hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), 0xFFFFF000U)));
  const V bounded = hn::Max(high, hn::Set(d, 0x1p-30F));
  const V half = hn::Set(d, -0.5F);
  const V low = hn::Mul(hn::Mul(hn::Sub(z, high), half), hn::Add(z, high));
  const auto e = Parts(d, hn::Mul(hn::Mul(bounded, bounded), half));
  return hn::Mul(e.power, ExpOfRest(d, hn::Add(e.rest, low)));
#endif
}

/// The normal distribution's tail: Φ(-z) = share · p with p and q those of ½ erfcx(z/√2) = p / q,
/// polynomials in z whose quotient has a relative error of 5e-9, and share = e^(-z²/2) / q. Where
/// z > 13.1, share is 0, and z is finite: Inf must not meet that 0.
template <class V>
struct NormalTail {
  V z, p, q, share;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE NormalTail<V> Tail(D d, V unbounded) {
  const auto beyond = hn::Gt(unbounded, hn::Set(d, kGaussMost));
  const V z = hn::IfThenElse(beyond, hn::Set(d, kGaussZero), unbounded);
  // So small that share is not denormal.
  constexpr float kUnit = 0x1p-13F;
  V p = hn::MulAdd(z, hn::Set(d, kUnit * 0.00400735345F), hn::Set(d, kUnit * 0.0398970805F));
  p = hn::MulAdd(z, p, hn::Set(d, kUnit * 0.181047276F));
  p = hn::MulAdd(z, p, hn::Set(d, kUnit * 0.435333997F));
  p = hn::MulAdd(z, p, hn::Set(d, kUnit * 0.5F));
  V q = hn::MulAdd(z, hn::Set(d, kUnit * 0.0100447992F), hn::Set(d, kUnit * 0.100014672F));
  q = hn::MulAdd(z, q, hn::Set(d, kUnit * 0.463695526F));
  q = hn::MulAdd(z, q, hn::Set(d, kUnit * 1.19340312F));
  q = hn::MulAdd(z, q, hn::Set(d, kUnit * 1.66855288F));
  q = hn::MulAdd(z, q, hn::Set(d, kUnit));
  return {z, p, q, hn::Div(Gauss(d, z), q)};
}

template <>
struct Act<Activation::gelu> {
  // x Φ(x) = max(x, 0) - |x| Φ(-|x|).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    return Value(d, x, Tail(d, hn::Abs(x)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    // For z >= 0, Φ(-z) - z φ(z) is the derivative at -z, and 1 less it that at z.
    const auto tail = Tail(d, hn::Abs(x));
    const V scaled_z = hn::Mul(tail.z, hn::Set(d, 0.398942280F));
    const V at_minus_z = hn::Mul(tail.share, hn::NegMulAdd(scaled_z, tail.q, tail.p));
    return {Value(d, x, tail),
            SelectNegative(d, x, at_minus_z, hn::Sub(hn::Set(d, 1.0F), at_minus_z))};
  }

 private:
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const NormalTail<V>& tail) {
    return hn::NegMulAdd(hn::Mul(tail.z, tail.p), tail.share, AtLeast(d, x, 0.0F));
  }
};

template <>
struct Act<Activation::gelu_tanh> {
  // ½ x (1 + tanh u) = x σ(w) with w = 2u = x (√(8/π) + 0.044715 √(8/π) x²). Below -10, where w is
  // -87.3, σ is 0, and Inf must not meet that 0.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V bounded = Beyond(d, x, kLeast, kFar);
    const V e = ExpOf(d, AtMost(d, bounded, kMost));
    return hn::Div(bounded, hn::Add(e, hn::Set(d, 1.0F)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    // 1 - σ = e^-w σ would lose its digits as a difference.
    const auto far = hn::Lt(x, hn::Set(d, kLeast));
    const V bounded = AtMost(d, AtLeast(d, x, kLeast), kMost);
    const V e = ExpOf(d, bounded);
    const V s = hn::Div(hn::Set(d, 1.0F), hn::Add(e, hn::Set(d, 1.0F)));
    const V square = hn::Mul(bounded, bounded);
    const V growth = hn::MulAdd(square, hn::Set(d, 0.214064425F), hn::Set(d, 1.59576912F));
    const V bend = hn::Mul(hn::Mul(bounded, growth), hn::Mul(e, s));
    return {hn::IfThenZeroElse(far, hn::Mul(x, s)),
            hn::IfThenZeroElse(far, hn::MulAdd(bend, s, s))};
  }

 private:
  static constexpr float kLeast = -9.99F, kFar = -10.06F, kMost = 9.0F;
  // e^-w.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V ExpOf(D d, V x) {
    const V w =
        hn::Mul(x, hn::MulAdd(hn::Mul(x, x), hn::Set(d, 0.0713548163F), hn::Set(d, 1.59576912F)));
    const auto e = PartsOfNegated(d, w);
    return hn::Mul(e.power, ExpOfRest(d, e.rest));
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
