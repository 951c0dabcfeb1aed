// Walking over spans whose length is no multiple of the vector's. Included once per SIMD target.
#if defined(SLUICE_KERNELS_SPAN_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_SPAN_INL_HPP
#undef SLUICE_KERNELS_SPAN_INL_HPP
#else
#define SLUICE_KERNELS_SPAN_INL_HPP
#endif

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Access to a whole vector at p.
struct Whole {
  template <class D>
  HWY_INLINE hn::Vec<D> Load(D d, const hn::TFromD<D>* p) const {
    return hn::LoadU(d, p);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> LoadOr(D d, const hn::TFromD<D>* p, hn::Vec<D> /*rest*/) const {
    return hn::LoadU(d, p);
  }
  template <class D>
  HWY_INLINE void Store(hn::Vec<D> v, D d, hn::TFromD<D>* p) const {
    hn::StoreU(v, d, p);
  }
};

/// Access to the first `count` lanes at p, fewer than a vector: what lies behind them is neither
/// read nor written. Lanes not loaded are 0, or those of `rest`.
struct First {
  std::size_t count;

  template <class D>
  HWY_INLINE hn::Vec<D> Load(D d, const hn::TFromD<D>* p) const {
#if HWY_MEM_OPS_MIGHT_FAULT
    HWY_ALIGN hn::TFromD<D> lanes[hn::MaxLanes(D())] = {};
    for (std::size_t i = 0; i < count; ++i) lanes[i] = p[i];
    return hn::Load(d, lanes);
#else
    return hn::MaskedLoad(hn::FirstN(d, count), d, p);
#endif
  }
  template <class D>
  HWY_INLINE hn::Vec<D> LoadOr(D d, const hn::TFromD<D>* p, hn::Vec<D> rest) const {
    return hn::IfThenElse(hn::FirstN(d, count), Load(d, p), rest);
  }
  template <class D>
  HWY_INLINE void Store(hn::Vec<D> v, D d, hn::TFromD<D>* p) const {
#if HWY_MEM_OPS_MIGHT_FAULT
    HWY_ALIGN hn::TFromD<D> lanes[hn::MaxLanes(D())];
    hn::Store(v, d, lanes);
    for (std::size_t i = 0; i < count; ++i) p[i] = lanes[i];
#else
    hn::BlendedStore(v, hn::FirstN(d, count), d, p);
#endif
  }
};

/// Calls body(i, access) for each vector of a span of n elements, i its first element, access a
/// Whole, or for the last a First.
template <class D, class Body>
HWY_INLINE void ForEachVector(D d, std::size_t n, const Body& body) {
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, Whole{});
  if (i < n) body(i, First{n - i});
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
