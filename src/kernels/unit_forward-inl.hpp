// Rows of units, forward. Included once per SIMD target.
#if defined(SLUICE_KERNELS_UNIT_FORWARD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_UNIT_FORWARD_INL_HPP
#undef SLUICE_KERNELS_UNIT_FORWARD_INL_HPP
#else
#define SLUICE_KERNELS_UNIT_FORWARD_INL_HPP
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

// Where one row comes from and goes. b is null unless the unit is gated.
struct ForwardOperands {
  float* y;
  const float *a, *b;
  const float *bias_a = nullptr, *bias_b = nullptr, *residual = nullptr;
  float scale = 1;
};

// One row of n elements, n a multiple of the vector's lanes. With reach.stream y is aligned to the
// vector. With places: no biases, no residual, scale 1, n a multiple of kLine, y aligned to the
// vector, and all of the four rows.
using ForwardRow = void (*)(const ForwardOperands& at, std::size_t n,
                            const UnitParameters& parameters, const Reach& reach,
                            const Places* places);

// `plain`: no biases, no residual, scale 1, and everything in the caches.
template <Activation f, Activation g, bool gated, bool plain>
HWY_INLINE void ForwardVectors(const ForwardOperands& at, std::size_t n,
                               const UnitParameters& parameters, Reach reach) {
  const auto [y, a, b, bias_a, bias_b, residual, scale] = at;
  const hn::ScalableTag<float> d;
  const auto of_f = Broadcast(d, parameters.f, parameters.f_inverse);
  const auto of_g = Broadcast(d, parameters.g, parameters.g_inverse);
  const auto scales = hn::Set(d, scale);
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    if (!plain && reach.z != 0) {
      hwy::Prefetch(a + i + reach.z);
      if constexpr (gated) hwy::Prefetch(b + i + reach.z);
    }
    auto value_a = hn::LoadU(d, a + i);
    if (!plain && bias_a != nullptr) value_a = hn::Add(value_a, hn::LoadU(d, bias_a + i));
    auto value = ValueOf<f>(d, value_a, of_f);
    if constexpr (gated) {
      auto value_b = hn::LoadU(d, b + i);
      if (!plain && bias_b != nullptr) value_b = hn::Add(value_b, hn::LoadU(d, bias_b + i));
      value = hn::Mul(value, ValueOf<g>(d, value_b, of_g));
    }
    if (!plain && residual != nullptr) value = hn::Add(value, hn::LoadU(d, residual + i));
    Put(d, plain ? value : hn::Mul(value, scales), y + i, !plain && reach.stream);
  }
}

template <Activation f, Activation g, bool gated>
HWY_INLINE void ForwardAtPlaces(const ForwardOperands& at, std::size_t n,
                                const UnitParameters& parameters, const Places places) {
  const float* const a = at.a;
  const float* const b = at.b;
  const hn::ScalableTag<float> d;
  const auto of_f = Broadcast(d, parameters.f, parameters.f_inverse);
  const auto of_g = Broadcast(d, parameters.g, parameters.g_inverse);
  for (std::size_t line = 0; line < n; line += kLine) {
    for (std::size_t place = 0; place < Places::kCount; ++place) {
      const std::size_t from = line + place * places.z_step;
      const std::size_t to = line + place * places.y_step;
      hwy::Prefetch(a + from + places.ahead);
      if constexpr (gated) hwy::Prefetch(b + from + places.ahead);
      for (std::size_t i = 0; i < kLine; i += hn::Lanes(d)) {
        auto value = ValueOf<f>(d, hn::LoadU(d, a + from + i), of_f);
        if constexpr (gated) {
          value = hn::Mul(value, ValueOf<g>(d, hn::LoadU(d, b + from + i), of_g));
        }
        hn::Stream(value, d, at.y + to + i);
      }
    }
  }
}

template <Activation f, Activation g, bool gated>
void ForwardRowOf(const ForwardOperands& at, std::size_t n, const UnitParameters& parameters,
                  const Reach& reach, const Places* places) {
  if (places != nullptr) {
    ForwardAtPlaces<f, g, gated>(at, n, parameters, *places);
    return;
  }
  const bool bare = at.bias_a == nullptr && at.residual == nullptr && at.scale == 1.0F;
  if (bare && !reach.far()) {
    ForwardVectors<f, g, gated, true>(at, n, parameters, reach);
  } else {
    ForwardVectors<f, g, gated, false>(at, n, parameters, reach);
  }
}

// All rows of a call; `gated` says whether z has a second half.
inline void ForwardRows(const ForwardCall& call, ForwardRow row, bool gated) {
  const float* const bias = call.bias;
  const std::size_t n = call.n;
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  const bool bare = bias == nullptr && call.residual == nullptr && call.scale == 1.0F;
  const bool at_places = call.stream && bare && ToAlignment(d, call.y) == 0;
  if (at_places && !gated && call.rows == 1 && n >= Places::kCount * kPage) {
    // One long row as rows of a page, and the rest.
    ForwardCall part = call;
    part.rows = n / kPage;
    part.n = part.z_pitch = kPage;
    ForwardRows(part, row, gated);
    const std::size_t done = part.rows * kPage;
    part = call;
    part.y += done;
    part.z += done;
    part.n -= done;
    ForwardRows(part, row, gated);
    return;
  }
  std::size_t first = 0;  // of the rows that remain to be gone over one by one
  if (at_places && n > 0 && n % kLine == 0) {
    const Places places(call.z_pitch, n);
    const std::size_t block = Places::kCount * places.apart;
    for (; first + block <= call.rows; first += block) {
      for (std::size_t r = first; r < first + places.apart; ++r) {
        const float* const a = call.z + r * call.z_pitch;
        row({call.y + r * n, a, gated ? a + n : nullptr}, n, call.parameters, Reach(), &places);
      }
    }
  }
  const float* const bias_b = gated && bias != nullptr ? bias + n : nullptr;
  const Reach reach(call.far, call.stream, call.z_pitch, n);
  for (std::size_t r = first; r < call.rows; ++r) {
    const float* const a = call.z + r * call.z_pitch;
    const float* const b = gated ? a + n : nullptr;
    const float* const added = call.residual != nullptr ? call.residual + r * n : nullptr;
    float* const to = call.y + r * n;
    // Elements from c on, fewer than a vector, go through these.
    const auto part = [&](std::size_t c, std::size_t count) HWY_ATTR {
      constexpr std::size_t kMost = hn::MaxLanes(hn::ScalableTag<float>());
      HWY_ALIGN float parts[6][kMost];
      const First some{count};
      const auto fetch = [&](float* part_of, const float* from) HWY_ATTR {
        if (from == nullptr) return static_cast<const float*>(nullptr);
        hn::Store(some.Load(d, from + c), d, part_of);
        return static_cast<const float*>(part_of);
      };
      row({parts[5], fetch(parts[0], a), fetch(parts[1], b), fetch(parts[2], bias),
           fetch(parts[3], bias_b), fetch(parts[4], added), call.scale},
          lanes, call.parameters, Reach(), nullptr);
      some.Store(hn::Load(d, parts[5]), d, to + c);
    };
    const std::size_t head = call.stream ? std::min(n, ToAlignment(d, to)) : 0;
    const std::size_t whole = (n - head) / lanes * lanes;
    if (head > 0) part(0, head);
    row({to + head, a + head, From(b, head), From(bias, head), From(bias_b, head),
         From(added, head), call.scale},
        whole, call.parameters, reach, nullptr);
    if (head + whole < n) part(head + whole, n - head - whole);
  }
  if (call.stream) hwy::FlushStream();
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
