// Activations made of pieces of straight lines, parabolas and one hyperbola. Included once per SIMD
// target.
#if defined(SLUICE_KERNELS_ACTIVATIONS_PIECEWISE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_ACTIVATIONS_PIECEWISE_INL_HPP
#undef SLUICE_KERNELS_ACTIVATIONS_PIECEWISE_INL_HPP
#else
#define SLUICE_KERNELS_ACTIVATIONS_PIECEWISE_INL_HPP
#endif

#include <hwy/highway.h>

#include "activations_base-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <>
struct Act<Activation::identity> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D /*d*/, V x) {
    return x;
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    return {x, hn::Set(d, 1.0F)};
  }
};

template <>
struct Act<Activation::relu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V one_or_nan = hn::IfThenElse(hn::IsNaN(x), x, hn::Set(d, 1.0F));
    return {Value(d, x), hn::IfThenZeroElse(hn::Le(x, hn::Zero(d)), one_or_nan)};
  }
};

/// 1 where x lies strictly between, else 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V OneBetween(D d, V x, V least, V most) {
  const auto outside = hn::Or(hn::Le(x, least), hn::Ge(x, most));
  return hn::IfThenZeroElse(outside, UnlessNaN(d, x, hn::Set(d, 1.0F)));
}
/// 1 where |x| > λ, else 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V OneBeyond(D d, V x, V lambda) {
  return hn::IfThenZeroElse(hn::Le(hn::Abs(x), lambda), UnlessNaN(d, x, hn::Set(d, 1.0F)));
}

template <>
struct Act<Activation::relu6> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V above = Act<Activation::relu>::Value(d, x);
    return hn::IfThenElse(hn::Gt(above, p.first), p.first, above);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    return {Value(d, x, p), OneBetween(d, x, hn::Zero(d), p.first)};
  }
};

template <>
struct Act<Activation::hardtanh> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D /*d*/, V x, const Parameters<V>& p) {
    const V above = hn::IfThenElse(hn::Lt(x, p.first), p.first, x);
    return hn::IfThenElse(hn::Gt(x, p.second), p.second, above);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    return {Value(d, x, p), OneBetween(d, x, p.first, p.second)};
  }
};

/// min(max(x + 3, 0), 6) / 6.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Ramp(D d, V x) {
  const V ramp = AtMost(d, AtLeast(d, hn::Add(x, hn::Set(d, 3.0F)), 0.0F), 6.0F);
  return hn::Mul(ramp, hn::Set(d, 1.0F / 6.0F));
}

template <>
struct Act<Activation::hardsigmoid> {
  // In x of the ramp's width: at the standard slope and offset these are 3 and 6, as in hardswish.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V start = AtLeast(d, hn::Add(x, hn::Mul(p.second, p.inverse)), 0.0F);
    return hn::Mul(hn::IfThenElse(hn::Gt(start, p.inverse), p.inverse, start), p.first);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const V shift = hn::Mul(p.second, p.inverse);
    const V inside = OneBetween(d, x, hn::Neg(shift), hn::Sub(p.inverse, shift));
    return {Value(d, x, p), hn::Mul(inside, p.first)};
  }
};

template <>
struct Act<Activation::hardswish> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    // -Inf must not meet the factor 0.
    return hn::Mul(AtLeast(d, x, -3.0F), Ramp(d, x));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V sixth = hn::Set(d, 1.0F / 6.0F);
    const V inner = hn::Mul(hn::MulAdd(x, hn::Set(d, 2.0F), hn::Set(d, 3.0F)), sixth);
    const V slope = hn::IfThenElse(hn::Ge(x, hn::Set(d, 3.0F)), hn::Set(d, 1.0F), inner);
    return {Value(d, x), hn::IfThenZeroElse(hn::Le(x, hn::Set(d, -3.0F)), slope)};
  }
};

template <>
struct Act<Activation::leaky_relu> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(x, p.first));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const V slope = hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0F), p.first);
    return {Value(d, x, p), UnlessNaN(d, x, slope)};
  }
};

template <>
struct Act<Activation::softshrink> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, const Parameters<V>& p) {
    const V shift = hn::Or(p.first, hn::And(x, hn::SignBit(d)));
    return hn::IfThenZeroElse(hn::Le(hn::Abs(x), p.first), hn::Sub(x, shift));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    return {Value(d, x, p), OneBeyond(d, x, p.first)};
  }
};

template <>
struct Act<Activation::hardshrink> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D /*d*/, V x, const Parameters<V>& p) {
    return hn::IfThenZeroElse(hn::Le(hn::Abs(x), p.first), x);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    return {Value(d, x, p), OneBeyond(d, x, p.first)};
  }
};

template <>
struct Act<Activation::threshold> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D /*d*/, V x, const Parameters<V>& p) {
    return hn::IfThenElse(hn::Le(x, p.first), p.second, x);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, const Parameters<V>& p) {
    const V one = UnlessNaN(d, x, hn::Set(d, 1.0F));
    return {Value(d, x, p), hn::IfThenZeroElse(hn::Le(x, p.first), one)};
  }
};

template <>
struct Act<Activation::squared_relu> {
  // max(x, 0), or 0 where its square would be next to denormal.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Kept(D d, V x) {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, 0x1p-59F)), x);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V kept = Kept(d, x);
    return hn::Mul(kept, kept);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V kept = Kept(d, x);
    return {hn::Mul(kept, kept), hn::Add(kept, kept)};
  }
};

template <>
struct Act<Activation::softsign> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    // Inf / Inf would be NaN.
    const V z = AtMost(d, hn::Abs(x), hwy::HighestValue<float>());
    const V y = hn::Div(z, hn::Add(z, hn::Set(d, 1.0F)));
    return hn::Or(y, hn::And(x, hn::SignBit(d)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V z = hn::Abs(x);
    const V one = hn::Set(d, 1.0F);
    const auto far = hn::Gt(z, hn::Set(d, 0x1p59F));
    const V near = AtMost(d, z, 0x1p59F);
    const V inverse = hn::Div(one, hn::Add(near, one));
    const V y = hn::IfThenElse(far, one, hn::Mul(near, inverse));
    return {hn::Or(y, hn::And(x, hn::SignBit(d))),
            hn::IfThenZeroElse(far, hn::Mul(inverse, inverse))};
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
