// The activations on vectors of float: value, and value with derivative. Formulas and accuracy are
// those of sluice/kernels/units.hpp. Included once per SIMD target.
#if defined(SLUICE_KERNELS_ACTIVATIONS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_ACTIVATIONS_INL_HPP
#undef SLUICE_KERNELS_ACTIVATIONS_INL_HPP
#else
#define SLUICE_KERNELS_ACTIVATIONS_INL_HPP
#endif

#include <hwy/highway.h>

#include "math-inl.hpp"
#include "sluice/kernels/units.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// f(x) and f'(x).
template <class V>
struct Dual {
  V value;
  V slope;
};

/// Act<f>::Value(d, x) is f(x); Act<f>::Derive(d, x) is both.
template <Activation f>
struct Act;

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
  const V large = hn::Div(one, hn::Add(one, e));
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
    return hn::Div(SelectNegative(d, x, e, one), hn::Add(one, e));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const auto s = BothLogistic(d, x);
    return {s.of_x, hn::Mul(s.of_x, s.of_minus_x)};
  }
};

template <>
struct Act<Activation::tanh> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    // With m = e^(-2|x|) - 1, tanh |x| = -m / (2 + m): no cancellation at 0, no overflow. From
    // |x| = 10 it is 1.
    const V least = hn::Set(d, -20.0F);
    V t = hn::Mul(hn::Set(d, -2.0F), hn::Abs(x));
    t = hn::IfThenElse(hn::Lt(t, least), least, t);
    const auto e = Split(d, t);
    const V m = hn::MulAdd(e.power, e.fraction, hn::Sub(e.power, hn::Set(d, 1.0F)));
    const V y = hn::Div(m, hn::Add(m, hn::Set(d, 2.0F)));
    return hn::Xor(hn::Neg(y), hn::And(x, hn::SignBit(d)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    // With e = e^(-2|x|), tanh' x = 4e / (1 + e)², which is accurate in the tails too.
    const V t = hn::Mul(hn::Set(d, -2.0F), hn::Abs(x));
    const auto tiny = hn::Lt(t, hn::Set(d, kExpLowest));
    const auto parts = Split(d, hn::IfThenElse(tiny, hn::Set(d, kExpLowest), t));
    const V m = hn::MulAdd(parts.power, parts.fraction, hn::Sub(parts.power, hn::Set(d, 1.0F)));
    const V e = hn::IfThenZeroElse(tiny, hn::MulAdd(parts.power, parts.fraction, parts.power));
    const V inverse = hn::Div(hn::Set(d, 2.0F), hn::Add(m, hn::Set(d, 2.0F)));
    const V y = hn::Mul(hn::Mul(m, hn::Set(d, -0.5F)), inverse);
    return {hn::Xor(y, hn::And(x, hn::SignBit(d))), hn::Mul(hn::Mul(e, inverse), inverse)};
  }
};

/// The normal distribution's tail Φ(-z) = density · ratio, z >= 0: density is e^(-z²/2), ratio is
/// ½ erfcx(z/√2), a polynomial in 1 / (1 + 0.3 z) with a relative error of 4e-9.
template <class V>
struct NormalTail {
  V density;
  V ratio;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE NormalTail<V> Tail(D d, V z) {
  const hn::RebindToUnsigned<D> du;
  const V one = hn::Set(d, 1.0F);
  // z² in two parts, the first exact: its rounding would be magnified in the exponential.
  const V high = hn::And(z, hn::BitCast(d, hn::Set(du, 0xFFFFF000U)));
  const V low = hn::Mul(hn::Sub(high, z), hn::Mul(hn::Set(d, 0.5F), hn::Add(z, high)));
  const V density =
      ExpNonPositive(d, hn::Mul(hn::Mul(hn::Set(d, -0.5F), high), high), kExpLowest, low);
  const V u = hn::Div(one, hn::MulAdd(z, hn::Set(d, 0.3F), one));
  V p = hn::MulAdd(u, hn::Set(d, -0.0205846503F), hn::Set(d, 0.112217098F));
  p = hn::MulAdd(u, p, hn::Set(d, -0.227679506F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.191042006F));
  p = hn::MulAdd(u, p, hn::Set(d, -0.0787777081F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.0957932472F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.0785218701F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.110205539F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.119575612F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.119686484F));
  return {density, hn::Mul(u, p)};
}

template <>
struct Act<Activation::gelu> {
  // Beyond |x| = 14 the tail is 0, and Inf must not meet that 0.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Bounded(D d, V x) {
    const V z = hn::Abs(x);
    return hn::IfThenElse(hn::Gt(z, hn::Set(d, 14.0F)), hn::Set(d, 14.0F), z);
  }
  // x Φ(x) = max(x, 0) - |x| Φ(-|x|).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V z = Bounded(d, x);
    const auto tail = Tail(d, z);
    return hn::NegMulAdd(hn::Mul(z, tail.ratio), tail.density, Act<Activation::relu>::Value(d, x));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V z = Bounded(d, x);
    const auto tail = Tail(d, z);
    const V value =
        hn::NegMulAdd(hn::Mul(z, tail.ratio), tail.density, Act<Activation::relu>::Value(d, x));
    // For z >= 0, Φ(-z) - z φ(z) is the derivative at -z, and 1 less it that at z.
    const V at_minus_z =
        hn::Mul(tail.density, hn::NegMulAdd(z, hn::Set(d, 0.398942280F), tail.ratio));
    return {value, SelectNegative(d, x, at_minus_z, hn::Sub(hn::Set(d, 1.0F), at_minus_z))};
  }
};

template <>
struct Act<Activation::silu> {
  // Beyond |x| = 88, σ(-|x|) is 0, and Inf must not meet that 0.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V least = hn::Set(d, -88.0F);
    const V bounded = hn::IfThenElse(hn::Lt(x, least), least, x);
    const V one = hn::Set(d, 1.0F);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(bounded)));
    return hn::Div(hn::Mul(bounded, SelectNegative(d, x, e, one)), hn::Add(one, e));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V least = hn::Set(d, -88.0F);
    const V most = hn::Set(d, 88.0F);
    const V above = hn::IfThenElse(hn::Lt(x, least), least, x);
    const V bounded = hn::IfThenElse(hn::Gt(above, most), most, above);
    const auto s = BothLogistic(d, bounded);
    return {hn::Mul(above, s.of_x),
            hn::Mul(s.of_x, hn::MulAdd(bounded, s.of_minus_x, hn::Set(d, 1.0F)))};
  }
};

template <>
struct Act<Activation::gelu_tanh> {
  // ½ x (1 + tanh u) = x σ(2u) with 2u = x (√(8/π) + 0.044715 √(8/π) x²). At |x| = 10.1, σ(-2|u|)
  // is 0, and Inf must not meet that 0.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const V least = hn::Set(d, -10.1F);
    const V bounded = hn::IfThenElse(hn::Lt(x, least), least, x);
    const V w = Argument(d, bounded);
    const V one = hn::Set(d, 1.0F);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(w)));
    return hn::Div(hn::Mul(bounded, SelectNegative(d, x, e, one)), hn::Add(one, e));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const V least = hn::Set(d, -10.1F);
    const V most = hn::Set(d, 10.1F);
    const V above = hn::IfThenElse(hn::Lt(x, least), least, x);
    const V bounded = hn::IfThenElse(hn::Gt(above, most), most, above);
    const auto s = BothLogistic(d, Argument(d, bounded));
    const V square = hn::Mul(bounded, bounded);
    const V growth = hn::MulAdd(square, hn::Set(d, 0.214064425F), hn::Set(d, 1.59576912F));
    return {hn::Mul(above, s.of_x),
            hn::Mul(s.of_x, hn::MulAdd(hn::Mul(bounded, growth), s.of_minus_x, hn::Set(d, 1.0F)))};
  }

 private:
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Argument(D d, V x) {
    return hn::Mul(x,
                   hn::MulAdd(hn::Mul(x, x), hn::Set(d, 0.0713548163F), hn::Set(d, 1.59576912F)));
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
