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

/// The normal distribution's tail Φ(-z) = density · ratio, z >= 0: density is e^(-z²/2), ratio is
/// ½ erfcx(z/√2), a polynomial in 1 / (1 + 0.3 z) with a relative error of 4e-9. Where z > 13.1,
/// density is 0, and z is 13.1: Inf must not meet that 0.
template <class V>
struct NormalTail {
  V z;
  V density;
  V ratio;
};
/// The square of z in two parts, the first its rounded value.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void Square(D d, V z, V& square, V& rest) {
#if HWY_NATIVE_FMA
  (void)d;
  square = hn::Mul(z, z);
  rest = hn::MulSub(z, z, square);
#else
  const V high = hn::And(z, hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), 0xFFFFF000U)));
  square = hn::Mul(high, high);
  rest = hn::Mul(hn::Sub(z, high), hn::Add(z, high));
#endif
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE NormalTail<V> Tail(D d, V unbounded) {
  const V one = hn::Set(d, 1.0F);
  const V most = hn::Set(d, 13.1F);
  const auto beyond = hn::Gt(unbounded, most);
  const V z = hn::IfThenElse(beyond, most, unbounded);
  // The rounding of z² would be magnified in the exponential; that of a tiny z would be a denormal.
  V square;
  V rest;
  Square(d, hn::Max(z, hn::Set(d, 0x1p-30F)), square, rest);
  const V half = hn::Set(d, -0.5F);
  const auto e = Split(d, hn::Mul(square, half), hn::Mul(rest, half));
  const V density = hn::IfThenZeroElse(beyond, hn::MulAdd(e.power, e.fraction, e.power));
  const V u = Quotient(d, one, hn::MulAdd(z, hn::Set(d, 0.3F), one));
  V p = hn::MulAdd(u, hn::Set(d, -0.0205846503F), hn::Set(d, 0.112217098F));
  p = hn::MulAdd(u, p, hn::Set(d, -0.227679506F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.191042006F));
  p = hn::MulAdd(u, p, hn::Set(d, -0.0787777081F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.0957932472F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.0785218701F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.110205539F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.119575612F));
  p = hn::MulAdd(u, p, hn::Set(d, 0.119686484F));
  return {z, density, hn::Mul(u, p)};
}

template <>
struct Act<Activation::gelu> {
  // x Φ(x) = max(x, 0) - |x| Φ(-|x|).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x) {
    const auto tail = Tail(d, hn::Abs(x));
    return hn::NegMulAdd(hn::Mul(tail.z, tail.ratio), tail.density,
                         Act<Activation::relu>::Value(d, x));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x) {
    const auto tail = Tail(d, hn::Abs(x));
    const V value = hn::NegMulAdd(hn::Mul(tail.z, tail.ratio), tail.density,
                                  Act<Activation::relu>::Value(d, x));
    // For z >= 0, Φ(-z) - z φ(z) is the derivative at -z, and 1 less it that at z.
    const V at_minus_z =
        hn::Mul(tail.density, hn::NegMulAdd(tail.z, hn::Set(d, 0.398942280F), tail.ratio));
    return {value, SelectNegative(d, x, at_minus_z, hn::Sub(hn::Set(d, 1.0F), at_minus_z))};
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
    return hn::Mul(bounded, Quotient(d, SelectNegative(d, x, e, one), hn::Add(one, e)));
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
