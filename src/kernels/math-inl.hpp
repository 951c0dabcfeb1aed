// Vector mathematics for float lanes, written so that no path is slow: denormals arise only where
// an argument's result would be one. Included once per SIMD target.
//
// Accuracy, on every target, where the result is normal: Exp, ExpNonPositive, Logistic, what
// AddLogOnePlus adds, ExpLessOneOfRest 4 ULP. Results below 2^-126 are flushed to 0. NaN stays NaN.
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

/// Min(x, most) and Max(x, least) that keep a NaN in x.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AtMost(D d, V x, float most) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_SSE4
  return hn::Min(hn::Set(d, most), x);  // x86 gives the second operand where one is NaN
#else
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, most)), hn::Set(d, most), x);
#endif
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AtLeast(D d, V x, float least) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_SSE4
  return hn::Max(hn::Set(d, least), x);
#else
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, least)), hn::Set(d, least), x);
#endif
}

/// e^kExpLowest is just above the least normal number.
inline constexpr float kExpLowest = -87.3365F;
/// Where e^x is made 0: 2^-127 is 0 in a float whose exponent is put together from its bits.
inline constexpr float kExpZero = -88.0F;
/// Where e^x is made Inf, 2^128 likewise.
inline constexpr float kExpInfinity = 89.0F;

/// Added to a float below 2^22, leaves its nearest integer in the low bits, biased by 127: what an
/// exponent field holds.
inline constexpr float kRoundToExponent = 12582912.0F + 127.0F;
inline constexpr float kLog2E = 1.44269504F;
/// ln 2 in two parts (Cody & Waite 1980): integers below 2^7 times the first are exact.
inline constexpr float kLn2High = 0.693145751953125F;
inline constexpr float kLn2Low = 1.42860677e-6F;

/// e^x in parts: power · e^rest, with power = 2^q and |rest| <= ½ ln 2.
template <class V>
struct ExpParts {
  V power;
  V rest;
};
/// The power of two of `biased`, q + kRoundToExponent.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V PowerOf(D d, V biased) {
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(hn::RebindToSigned<D>(), biased)));
}
/// The parts of e^x, for exponents from kExpZero to kExpInfinity.
template <class D, class V = hn::Vec<D>>
HWY_INLINE ExpParts<V> Parts(D d, V x) {
  const V biased = hn::MulAdd(x, hn::Set(d, kLog2E), hn::Set(d, kRoundToExponent));
  const V q = hn::Sub(biased, hn::Set(d, kRoundToExponent));
  const V rest = hn::NegMulAdd(q, hn::Set(d, kLn2High), x);
  return {PowerOf(d, biased), hn::NegMulAdd(q, hn::Set(d, kLn2Low), rest)};
}
/// The parts of e^(-x / scale), rest scaled too. The scale is a power of 2.
template <class D, class V = hn::Vec<D>>
HWY_INLINE ExpParts<V> PartsOfNegated(D d, V x, float scale = 1.0F) {
  const V biased = hn::NegMulAdd(x, hn::Set(d, kLog2E / scale), hn::Set(d, kRoundToExponent));
  const V q = hn::Sub(biased, hn::Set(d, kRoundToExponent));
  const V rest = hn::NegMulSub(q, hn::Set(d, kLn2High * scale), x);
  return {PowerOf(d, biased), hn::NegMulAdd(q, hn::Set(d, kLn2Low * scale), rest)};
}
/// The parts of e^(x / scale), rest scaled too, where their error, |q| 2e-9, does not show.
template <class D, class V = hn::Vec<D>>
HWY_INLINE ExpParts<V> CoarseParts(D d, V x, float scale) {
  const V biased = hn::MulAdd(x, hn::Set(d, kLog2E / scale), hn::Set(d, kRoundToExponent));
  const V q = hn::Sub(biased, hn::Set(d, kRoundToExponent));
#if HWY_NATIVE_FMA
  return {PowerOf(d, biased), hn::NegMulAdd(q, hn::Set(d, 0.693147181F * scale), x)};
#else
  const V rest = hn::NegMulAdd(q, hn::Set(d, kLn2High * scale), x);
  return {PowerOf(d, biased), hn::NegMulAdd(q, hn::Set(d, kLn2Low * scale), rest)};
#endif
}

/// The parts of e^(-x / scale), likewise.
template <class D, class V = hn::Vec<D>>
HWY_INLINE ExpParts<V> CoarsePartsOfNegated(D d, V x, float scale) {
#if HWY_NATIVE_FMA
  const V biased = hn::NegMulAdd(x, hn::Set(d, kLog2E / scale), hn::Set(d, kRoundToExponent));
  const V q = hn::Sub(biased, hn::Set(d, kRoundToExponent));
  return {PowerOf(d, biased), hn::NegMulSub(q, hn::Set(d, 0.693147181F * scale), x)};
#else
  return PartsOfNegated(d, x, scale);
#endif
}

/// e^(r / scale) for |r| <= scale · ½ ln 2: minimax with the first two coefficients 1, relative
/// error 1.1e-7, less near 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpOfRest(D d, V r, float scale = 1.0F) {
  const float s = 1 / scale;
  V p = hn::MulAdd(r, hn::Set(d, 0.0083125017F * s * s * s * s * s),
                   hn::Set(d, 0.041890333F * s * s * s * s));
  p = hn::MulAdd(r, p, hn::Set(d, 0.166671154F * s * s * s));
  p = hn::MulAdd(r, p, hn::Set(d, 0.499992303F * s * s));
  p = hn::MulAdd(r, p, hn::Set(d, s));
  return hn::MulAdd(r, p, hn::Set(d, 1.0F));
}
/// e^(r / scale) - 1 for such r, with its own relative accuracy: minimax of (e^r - 1 - r) / r²,
/// error 3e-9 of e^r.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpLessOneOfRest(D d, V r, float scale = 1.0F) {
  const float s = 1 / scale;
  V p = hn::MulAdd(r, hn::Set(d, 0.00138143252F * s * s * s * s * s * s),
                   hn::Set(d, 0.00836885162F * s * s * s * s * s));
  p = hn::MulAdd(r, p, hn::Set(d, 0.0416684002F * s * s * s * s));
  p = hn::MulAdd(r, p, hn::Set(d, 0.166665196F * s * s * s));
  p = hn::MulAdd(r, p, hn::Set(d, 0.49999994F * s * s));
  return hn::Mul(r, hn::MulAdd(r, p, hn::Set(d, s)));
}

/// x, or `far` where x < lowest, NaN as it is. e^x is to jump to 0 before it would be denormal.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Beyond(D d, V x, float lowest, float far) {
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, lowest)), hn::Set(d, far), x);
}

/// e^x for x <= 88; 0 where x < lowest (at least kExpLowest).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpNonPositive(D d, V x, float lowest = kExpLowest) {
  const auto e = Parts(d, Beyond(d, x, lowest, kExpZero));
  return hn::Mul(e.power, ExpOfRest(d, e.rest));
}

/// e^x for every x.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  const auto e = Parts(d, AtMost(d, Beyond(d, x, kExpLowest, kExpZero), kExpInfinity));
  // The power 2^128 is Inf, yet the product may be finite: take half of it, twice.
  const auto huge = hn::Gt(e.power, hn::Set(d, 0x1p127F));
  const V power = hn::IfThenElse(huge, hn::Set(d, 0x1p127F), e.power);
  const V y = hn::Mul(power, ExpOfRest(d, e.rest));
  return hn::IfThenElse(huge, hn::Add(y, y), y);
}

/// e / (1 + e)² with e = e^(-|x| / scale), 8 ULP, 0 where e is below 2^-126: the derivative of σ
/// with scale 1, a quarter of tanh's with ½.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Bell(D d, V x, float scale) {
  const V z = hn::Abs(x);
  const auto beyond = hn::Gt(z, hn::Set(d, -kExpLowest * scale));
  const V bounded = hn::IfThenElse(beyond, hn::Set(d, -kExpZero * scale), z);
  const auto parts = CoarsePartsOfNegated(d, bounded, scale);
  const V e = hn::Mul(parts.power, ExpOfRest(d, parts.rest, scale));
  const V sum = hn::Add(e, hn::Set(d, 1.0F));
  return hn::Div(e, hn::Mul(sum, sum));
}

/// σ(x) = 1 / (1 + e^-x), 4 ULP; 0 where x < kExpLowest.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Logistic(D d, V x) {
  const V one = hn::Set(d, 1.0F);
  const V bounded = AtMost(d, Beyond(d, x, kExpLowest, -kExpInfinity), 80.0F);
  const auto e = PartsOfNegated(d, bounded);
  return hn::Div(one, hn::MulAdd(e.power, ExpOfRest(d, e.rest), one));
}

/// start + log(1 + e) for 0 <= e <= 1, its error 4 ULP of the logarithm: e L(e), L minimax with a
/// relative error of 3e-8.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AddLogOnePlus(D d, V e, V start) {
  V p = hn::MulAdd(e, hn::Set(d, 0.00523269739F), hn::Set(d, -0.0295052589F));
  p = hn::MulAdd(e, p, hn::Set(d, 0.0782259991F));
  p = hn::MulAdd(e, p, hn::Set(d, -0.136632513F));
  p = hn::MulAdd(e, p, hn::Set(d, 0.191060103F));
  p = hn::MulAdd(e, p, hn::Set(d, -0.248429835F));
  p = hn::MulAdd(e, p, hn::Set(d, 0.33319097F));
  p = hn::MulAdd(e, p, hn::Set(d, -0.499994932F));
  p = hn::MulAdd(e, p, hn::Set(d, 0.99999997F));
  return hn::MulAdd(e, p, start);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
