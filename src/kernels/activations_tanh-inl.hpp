// tanh and its kin. Included once per SIMD target.
#if defined(SLUICE_KERNELS_ACTIVATIONS_TANH_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_ACTIVATIONS_TANH_INL_HPP
#undef SLUICE_KERNELS_ACTIVATIONS_TANH_INL_HPP
#else
#define SLUICE_KERNELS_ACTIVATIONS_TANH_INL_HPP
#endif

#include <hwy/highway.h>

#include "activations_base-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <>
struct Act<Activation::tanh> {
  // With x = ½ q ln 2 + r and h = tanh r, e^(2x) is 2^q (1 + h) / (1 - h), and tanh x the quotient
  // of (2^q - 1) + (2^q + 1) h and (2^q + 1) + (2^q - 1) h: no cancellation at 0. From |x| = 10 it
  // is 1. h is r times a polynomial in r², minimax with a relative error of 5e-8.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V one = hn::Set(d, 1.0F);
    const auto e = CoarseParts(d, AtMost(d, AtLeast(d, x, -10.0F), 10.0F), 0.5F);
    // What is added keeps the square of a tiny r from being denormal.
    const V u = hn::MulAdd(e.rest, e.rest, hn::Set(d, 0x1p-60F));
    V h = hn::MulAdd(u, hn::Set(d, 0.1309334F), hn::Set(d, -0.333306395F));
    h = hn::MulAdd(u, h, hn::Set(d, 0.999999955F));
    h = hn::Mul(e.rest, h);
    const V less = hn::Sub(e.power, one);
    const V more = hn::Add(e.power, one);
    return Quotient(d, hn::MulAdd(h, more, less), hn::MulAdd(h, less, more));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    // With e = e^(-2|x|), tanh' x = 4e / (1 + e)², which is accurate in the tails too.
    const V one = hn::Set(d, 1.0F);
    const V z = hn::Abs(x);
    const auto beyond = hn::Gt(z, hn::Set(d, -0.5F * kExpLowest));
    const V bounded = hn::IfThenElse(beyond, hn::Set(d, -0.5F * kExpZero), z);
    const auto parts = PartsOfNegated(d, bounded, 0.5F);
    const V fraction = ExpLessOneOfRest(d, parts.rest, 0.5F);
    const V e = hn::MulAdd(parts.power, fraction, parts.power);
    const V less = hn::NegMulAdd(parts.power, fraction, hn::Sub(one, parts.power));
    const V sum = hn::Add(e, one);
    const V share = hn::Div(hn::Set(d, 4.0F), hn::Mul(sum, sum));
    const V y = hn::Mul(hn::Mul(less, hn::Set(d, 0.25F)), hn::Mul(sum, share));
    return {hn::Xor(y, hn::And(x, hn::SignBit(d))), hn::Mul(e, share)};
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V x) {
    return hn::Mul(hn::Set(d, 4.0F), Bell(d, x, 0.5F));
  }
};

template <>
struct Act<Activation::tanhshrink> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V z = hn::Abs(x);
    // Near 0 the difference would cancel: x³ times a minimax polynomial in x², error 6e-9. Cubes
    // that would be denormal are 0.
    const V one = hn::Set(d, 1.0F);
    const V near = hn::IfThenZeroElse(hn::Lt(z, hn::Set(d, 0x1p-39F)), AtMost(d, z, 1.0F));
    const V u = hn::Mul(near, near);
    V q = hn::MulAdd(u, hn::Set(d, -0.000142823963F), hn::Set(d, 0.000923609361F));
    q = hn::MulAdd(u, q, hn::Set(d, -0.00320695387F));
    q = hn::MulAdd(u, q, hn::Set(d, 0.00869795121F));
    q = hn::MulAdd(u, q, hn::Set(d, -0.0218295865F));
    q = hn::MulAdd(u, q, hn::Set(d, 0.0539634228F));
    q = hn::MulAdd(u, q, hn::Set(d, -0.133333102F));
    q = hn::MulAdd(u, q, hn::Set(d, 0.333333343F));
    const V small = hn::Mul(near, hn::Mul(u, q));
    const V large = hn::Sub(z, Act<Activation::tanh>::Value(d, z));
    return hn::Or(hn::IfThenElse(hn::Lt(z, one), small, large), hn::And(x, hn::SignBit(d)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V t = Act<Activation::tanh>::Value(d, x);
    const V kept = hn::IfThenZeroElse(hn::Lt(hn::Abs(t), hn::Set(d, 0x1p-59F)), t);
    return {Value(d, x), hn::Mul(kept, kept)};
  }
};

template <>
struct Act<Activation::penalized_tanh> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V factor = hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0F), p.first);
    return hn::Mul(factor, Act<Activation::tanh>::Value(d, x));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const V factor = hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0F), p.first);
    const auto t = Act<Activation::tanh>::Derive(d, x);
    return {hn::Mul(factor, t.value), hn::Mul(factor, t.slope)};
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
