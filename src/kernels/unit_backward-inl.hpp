// Rows of units, backward. Included once per SIMD target.
#if defined(SLUICE_KERNELS_UNIT_BACKWARD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_UNIT_BACKWARD_INL_HPP
#undef SLUICE_KERNELS_UNIT_BACKWARD_INL_HPP
#else
#define SLUICE_KERNELS_UNIT_BACKWARD_INL_HPP
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>

#include "activations-inl.hpp"
#include "span-inl.hpp"
#include "stream-inl.hpp"
#include "unit_calls.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// One half's share of a row: its gradient, its bias's gradient or null, its input, its bias or
// null.
struct Half {
  float* dz;
  float* dbias;
  const float* z;
  const float* bias;
};

// The gradient of a row's outputs: dy times scale.
struct OutputGradient {
  const float* dy;
  float scale;
};

// One row of n elements, n a multiple of the vector's lanes. b is unused unless the unit is gated.
// With reach.stream both halves of dz are aligned to the vector.
using BackwardRow = void (*)(const Half& a, const Half& b, const OutputGradient& output,
                             std::size_t n, const UnitParameters& parameters, const Reach& reach);

template <class D>
HWY_INLINE hn::Vec<D> Biased(D d, const float* z, const float* bias, std::size_t i) {
  const auto value = hn::LoadU(d, z + i);
  return bias != nullptr ? hn::Add(value, hn::LoadU(d, bias + i)) : value;
}

// dbias is summed row after row, in the first-level cache: the sums do not depend on the SIMD
// width, and z and dy are read once, in order.
template <class D>
HWY_INLINE void PutGradient(D d, hn::Vec<D> gradient, const Half& half, std::size_t i,
                            bool stream) {
  Put(d, gradient, half.dz + i, stream);
  if (half.dbias != nullptr) {
    hn::StoreU(hn::Add(hn::LoadU(d, half.dbias + i), gradient), d, half.dbias + i);
  }
}

// `plain`: no biases, scale 1, and everything in the caches.
template <Activation f, Activation g, bool gated, bool plain>
HWY_INLINE void BackwardVectors(Half a, Half b, const OutputGradient& output, std::size_t n,
                                const UnitParameters& parameters, Reach reach) {
  const hn::ScalableTag<float> d;
  const auto of_f = Broadcast(d, parameters.f, parameters.f_inverse);
  const auto of_g = Broadcast(d, parameters.g, parameters.g_inverse);
  const float* const dy = output.dy;
  const auto scales = hn::Set(d, output.scale);
  if constexpr (plain) {
    a.bias = b.bias = nullptr;
    a.dbias = b.dbias = nullptr;
    reach = Reach();
  }
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    if (reach.z != 0) {
      hwy::Prefetch(dy + i + reach.y);
      hwy::Prefetch(a.z + i + reach.z);
      if constexpr (gated) hwy::Prefetch(b.z + i + reach.z);
    }
    auto gradient = hn::LoadU(d, dy + i);
    if (!plain) gradient = hn::Mul(gradient, scales);
    const auto input = Biased(d, a.z, a.bias, i);
    if constexpr (gated) {
      const auto first = Derivation<f>(d, input, of_f);
      const auto second = Derivation<g>(d, Biased(d, b.z, b.bias, i), of_g);
      PutGradient(d, hn::Mul(gradient, hn::Mul(first.slope, second.value)), a, i, reach.stream);
      PutGradient(d, hn::Mul(gradient, hn::Mul(first.value, second.slope)), b, i, reach.stream);
    } else {
      PutGradient(d, hn::Mul(gradient, SlopeOf<f>(d, input, of_f)), a, i, reach.stream);
    }
  }
}

template <Activation f, Activation g, bool gated>
void BackwardRowOf(const Half& a, const Half& b, const OutputGradient& output, std::size_t n,
                   const UnitParameters& parameters, const Reach& reach) {
  if (a.bias == nullptr && a.dbias == nullptr && output.scale == 1.0F && !reach.far()) {
    BackwardVectors<f, g, gated, true>(a, b, output, n, parameters, reach);
  } else {
    BackwardVectors<f, g, gated, false>(a, b, output, n, parameters, reach);
  }
}

// The last few elements of a half's rows, one vector long.
struct HalfRest {
  static constexpr std::size_t kMost = hn::MaxLanes(hn::ScalableTag<float>());
  HWY_ALIGN float dz[kMost];
  HWY_ALIGN float dbias[kMost];
  HWY_ALIGN float z[kMost];
  HWY_ALIGN float bias[kMost];

  // The half as it starts, its biases fetched for good.
  Half Start(const Half& half, std::size_t whole, First rest) {
    const hn::ScalableTag<float> d;
    if (half.dbias != nullptr) hn::Store(rest.Load(d, half.dbias + whole), d, dbias);
    if (half.bias != nullptr) hn::Store(rest.Load(d, half.bias + whole), d, bias);
    return {dz, half.dbias != nullptr ? dbias : nullptr, z, half.bias != nullptr ? bias : nullptr};
  }
};

// All rows of a call; `gated` says whether z has a second half.
inline void BackwardRows(const BackwardCall& call, BackwardRow row, bool gated) {
  const auto [dz, dz_pitch, dbias, dy, z, z_pitch, bias, scale, rows, n, parameters, far, stream] =
      call;
  const hn::ScalableTag<float> d;
  const std::size_t tail = n % hn::Lanes(d);
  const std::size_t whole = n - tail;
  const First rest{tail};
  const Half none{nullptr, nullptr, nullptr, nullptr};
  const Half a{dz, dbias, z, bias};
  const Half b = gated ? Half{dz + n, dbias != nullptr ? dbias + n : nullptr, z + n,
                              bias != nullptr ? bias + n : nullptr}
                       : none;
  // Rows that start anywhere are written through the caches.
  const bool aligned = ToAlignment(d, dz) == 0 && (!gated || tail == 0) &&
                       (rows == 1 || dz_pitch % hn::Lanes(d) == 0);
  const Reach reach(far, stream && aligned, z_pitch, n);
  for (std::size_t r = 0; r < rows && whole > 0; ++r) {
    const Half row_a{a.dz + r * dz_pitch, a.dbias, a.z + r * z_pitch, a.bias};
    const Half row_b = gated ? Half{b.dz + r * dz_pitch, b.dbias, b.z + r * z_pitch, b.bias} : none;
    row(row_a, row_b, {dy + r * n, scale}, whole, parameters, reach);
  }
  if (reach.stream) hwy::FlushStream();
  if (tail == 0 || rows == 0) return;

  HalfRest memory_a;
  HalfRest memory_b;
  HWY_ALIGN float dy_rest[HalfRest::kMost];
  const Half rest_a = memory_a.Start(a, whole, rest);
  const Half rest_b = gated ? memory_b.Start(b, whole, rest) : none;
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t from = r * z_pitch + whole;
    const std::size_t to = r * dz_pitch + whole;
    hn::Store(rest.Load(d, dy + r * n + whole), d, dy_rest);
    hn::Store(rest.Load(d, a.z + from), d, memory_a.z);
    if (gated) hn::Store(rest.Load(d, b.z + from), d, memory_b.z);
    row(rest_a, rest_b, {dy_rest, scale}, hn::Lanes(d), parameters, Reach());
    rest.Store(hn::Load(d, memory_a.dz), d, a.dz + to);
    if (gated) rest.Store(hn::Load(d, memory_b.dz), d, b.dz + to);
  }
  if (a.dbias != nullptr) rest.Store(hn::Load(d, memory_a.dbias), d, a.dbias + whole);
  if (b.dbias != nullptr) rest.Store(hn::Load(d, memory_b.dbias), d, b.dbias + whole);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
