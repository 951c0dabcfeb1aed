// What the activations on vectors of float are made of. Included once per SIMD target.
#if defined(SLUICE_KERNELS_ACTIVATIONS_BASE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_ACTIVATIONS_BASE_INL_HPP
#undef SLUICE_KERNELS_ACTIVATIONS_BASE_INL_HPP
#else
#define SLUICE_KERNELS_ACTIVATIONS_BASE_INL_HPP
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

/// The parameters of an activation, in every lane; `inverse` is 1 / first.
template <class V>
struct Parameters {
  V first;
  V second;
  V inverse;
};

template <class D, class V = hn::Vec<D>>
HWY_INLINE Parameters<V> Broadcast(D d, const ActivationParameters& p, float inverse) {
  return {hn::Set(d, p[0]), hn::Set(d, p[1]), hn::Set(d, inverse)};
}

/// Act<f>::Value(d, x) is f(x); Act<f>::Derive(d, x) is both; Act<f>::Slope(d, x), where there is
/// one, is f'(x) for less than both cost. Activations that have parameters take them as a third
/// argument.
template <Activation f>
struct Act;

template <Activation f, class D, class V = hn::Vec<D>>
HWY_INLINE V ValueOf(D d, V x, const Parameters<V>& p) {
  if constexpr (requires { Act<f>::Value(d, x); }) {
    return Act<f>::Value(d, x);
  } else {
    return Act<f>::Value(d, x, p);
  }
}
template <Activation f, class D, class V = hn::Vec<D>>
HWY_INLINE Dual<V> Derivation(D d, V x, const Parameters<V>& p) {
  if constexpr (requires { Act<f>::Derive(d, x); }) {
    return Act<f>::Derive(d, x);
  } else {
    return Act<f>::Derive(d, x, p);
  }
}

template <Activation f, class D, class V = hn::Vec<D>>
HWY_INLINE V SlopeOf(D d, V x, const Parameters<V>& p) {
  if constexpr (requires { Act<f>::Slope(d, x); }) {
    return Act<f>::Slope(d, x);
  } else {
    return Derivation<f>(d, x, p).slope;
  }
}

/// v, or NaN where x is.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V UnlessNaN(D /*d*/, V x, V v) {
  return hn::IfThenElse(hn::IsNaN(x), x, v);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
