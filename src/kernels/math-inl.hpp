// Vector mathematics for float lanes, written so that no path is slow: denormals arise only where
// an argument's result would be one. Included once per SIMD target.
//
// Accuracy, on every target, where the result is normal: Exp, ExpNonPositive, LogOnePlus 4 ULP,
// Expm1 part of SplitExp 4 ULP relative. Results below 2^-126 are flushed to 0. NaN in, NaN out.
#if defined(SLUICE_KERNELS_MATH_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_MATH_INL_HPP
#undef SLUICE_KERNELS_MATH_INL_HPP
#else
#define SLUICE_KERNELS_MATH_INL_HPP
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// a / b within 1 ULP, for a and b that are finite and b and 1/b normal. Where there are good
/// approximate reciprocals this takes a quarter of a division's time.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Quotient(D /*d*/, V a, V b) {
#if HWY_TARGET <= HWY_AVX3
  const V inverse = hn::ApproximateReciprocal(b);
  const V q = hn::Mul(a, inverse);
  return hn::MulAdd(hn::NegMulAdd(q, b, a), inverse, q);
#else
  return hn::Div(a, b);
#endif
}

/// x < 0 ? yes : no, where IfNegativeThenElse goes by the sign bit, also of -0 and NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SelectNegative(D d, V x, V yes, V no) {
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), yes, no);
}

/// e^kExpLowest is just above the least normal number.
inline constexpr float kExpLowest = -87.3365F;

/// e^x in parts: power · (1 + fraction), with power = 2^q and fraction = e^r - 1, |r| <= ½ ln 2.
template <class V>
struct SplitExp {
  V power;
  V fraction;
};

/// Added to a float below 2^22, leaves its nearest integer in the low bits, biased by 127: what an
/// exponent field holds.
inline constexpr float kRoundToExponent = 12582912.0F + 127.0F;

/// Splits e^x for kExpLowest <= x <= 89. The fraction keeps its relative accuracy down to x = 0.
/// With `small`, |small| << 1, splits e^(x + small).
template <class D, class V = hn::Vec<D>, class... Small>
HWY_INLINE SplitExp<V> Split(D d, V x, Small... small) {
  const hn::RebindToSigned<D> di;
  const V biased = hn::MulAdd(x, hn::Set(d, 1.44269504F), hn::Set(d, kRoundToExponent));
  const V q = hn::Sub(biased, hn::Set(d, kRoundToExponent));
  // ln 2 in two parts (Cody & Waite 1980): q times the first is exact.
  V r = hn::NegMulAdd(q, hn::Set(d, 0.693145751953125F), x);
  r = hn::NegMulAdd(q, hn::Set(d, 1.42860677e-6F), r);
  ((r = hn::Add(r, small)), ...);
  // Minimax of (e^r - 1 - r) / r², error 3e-9 of e^r.
  V p = hn::MulAdd(r, hn::Set(d, 0.00138143252F), hn::Set(d, 0.00836885162F));
  p = hn::MulAdd(r, p, hn::Set(d, 0.0416684002F));
  p = hn::MulAdd(r, p, hn::Set(d, 0.166665196F));
  p = hn::MulAdd(r, p, hn::Set(d, 0.49999994F));
  // (r p) r + r rather than r² p + r: r² of a tiny r would be a denormal.
  const V fraction = hn::MulAdd(hn::Mul(r, p), r, r);
  return {hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, biased))), fraction};
}

/// e^x for x <= 0, or e^(x + small); 0 where x < lowest (at least kExpLowest).
template <class D, class V = hn::Vec<D>, class... Small>
HWY_INLINE V ExpNonPositive(D d, V x, float lowest, Small... small) {
  const auto underflows = hn::Lt(x, hn::Set(d, lowest));
  const auto e = Split(d, hn::IfThenElse(underflows, hn::Set(d, lowest), x), small...);
  return hn::IfThenZeroElse(underflows, hn::MulAdd(e.power, e.fraction, e.power));
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpNonPositive(D d, V x) {
  return ExpNonPositive(d, x, kExpLowest);
}

/// e^x for every x.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  const auto underflows = hn::Lt(x, hn::Set(d, kExpLowest));
  V bounded = hn::IfThenElse(underflows, hn::Set(d, kExpLowest), x);
  bounded = hn::IfThenElse(hn::Gt(x, hn::Set(d, 89.0F)), hn::Set(d, 89.0F), bounded);
  const auto e = Split(d, bounded);
  // The power 2^128 is Inf, yet the product may be finite: take half of it, twice.
  const auto huge = hn::Gt(e.power, hn::Set(d, 0x1p127F));
  const V power = hn::IfThenElse(huge, hn::Set(d, 0x1p127F), e.power);
  V y = hn::MulAdd(power, e.fraction, power);
  y = hn::IfThenElse(huge, hn::Add(y, y), y);
  return hn::IfThenZeroElse(underflows, y);
}

/// log(1 + e) for 0 <= e <= 1, relative error 4 ULP: with t = 2e / (2 + e) it is
/// 2 atanh(t/2) = t + t u R(u), u = t², R minimax with an error of 5e-9 of the result.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V LogOnePlus(D d, V e) {
  const V t = Quotient(d, hn::Add(e, e), hn::Add(e, hn::Set(d, 2.0F)));
  // The square of a tiny t would be a denormal.
  const V least = hn::Set(d, 1e-9F);
  const V bounded = hn::IfThenElse(hn::Lt(t, least), least, t);
  const V u = hn::Mul(bounded, bounded);
  V q = hn::MulAdd(u, hn::Set(d, 0.000547109288F), hn::Set(d, 0.00218764087F));
  q = hn::MulAdd(u, q, hn::Set(d, 0.0125067271F));
  q = hn::MulAdd(u, q, hn::Set(d, 0.0833330229F));
  return hn::MulAdd(t, hn::Mul(u, q), t);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
