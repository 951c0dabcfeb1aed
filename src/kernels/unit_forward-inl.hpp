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

// One row of n elements, n a multiple of the vector's lanes. b is null unless the unit is gated.
using ForwardRow = void (*)(float* y, const float* a, const float* b, const float* bias_a,
                            const float* bias_b, const float* residual, float scale, std::size_t n,
                            const UnitParameters& parameters);

template <Activation f, Activation g, bool gated>
void ForwardRowOf(float* y, const float* a, const float* b, const float* bias_a,
                  const float* bias_b, const float* residual, float scale, std::size_t n,
                  const UnitParameters& parameters) {
  const hn::ScalableTag<float> d;
  const auto of_f = Broadcast(d, parameters.f, parameters.f_inverse);
  const auto of_g = Broadcast(d, parameters.g, parameters.g_inverse);
  const auto scales = hn::Set(d, scale);
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    auto value_a = hn::LoadU(d, a + i);
    if (bias_a != nullptr) value_a = hn::Add(value_a, hn::LoadU(d, bias_a + i));
    auto value = ValueOf<f>(d, value_a, of_f);
    if constexpr (gated) {
      auto value_b = hn::LoadU(d, b + i);
      if (bias_b != nullptr) value_b = hn::Add(value_b, hn::LoadU(d, bias_b + i));
      value = hn::Mul(value, ValueOf<g>(d, value_b, of_g));
    }
    if (residual != nullptr) value = hn::Add(value, hn::LoadU(d, residual + i));
    hn::StoreU(hn::Mul(value, scales), d, y + i);
  }
}

// All rows of a call; `gated` says whether z has a second half.
inline void ForwardRows(const ForwardCall& call, ForwardRow row, bool gated) {
  const auto [y, z, z_pitch, bias, residual, scale, rows, n, parameters, stream] = call;
  const hn::ScalableTag<float> d;
  const std::size_t tail = n % hn::Lanes(d);
  const std::size_t whole = n - tail;
  const First rest{tail};
  // The last few elements of each row go through these, one vector long.
  constexpr std::size_t kMost = hn::MaxLanes(hn::ScalableTag<float>());
  HWY_ALIGN float a_rest[kMost];
  HWY_ALIGN float b_rest[kMost];
  HWY_ALIGN float bias_a_rest[kMost];
  HWY_ALIGN float bias_b_rest[kMost];
  HWY_ALIGN float y_rest[kMost];
  HWY_ALIGN float block[kStreamBlock];
  const auto fetch = [&](float* to, const float* from) HWY_ATTR {
    if (from == nullptr) return static_cast<const float*>(nullptr);
    hn::Store(rest.Load(d, from + whole), d, to);
    return static_cast<const float*>(to);
  };
  const float* const bias_b = gated && bias != nullptr ? bias + n : nullptr;
  const float* const bias_a_end = tail > 0 ? fetch(bias_a_rest, bias) : nullptr;
  const float* const bias_b_end = tail > 0 ? fetch(bias_b_rest, bias_b) : nullptr;
  for (std::size_t r = 0; r < rows; ++r) {
    const float* const a = z + r * z_pitch;
    const float* const b = gated ? a + n : nullptr;
    const float* const added = residual != nullptr ? residual + r * n : nullptr;
    if (stream) {
      for (std::size_t c = 0; c < whole; c += kStreamBlock) {
        const std::size_t count = std::min(kStreamBlock, whole - c);
        row(block, a + c, From(b, c), From(bias, c), From(bias_b, c), From(added, c), scale, count,
            parameters);
        const std::size_t next = c + count < whole ? c + count : z_pitch;
        StreamOut(y + r * n + c, block, count, a + next, (gated ? b : a) + next);
      }
    } else {
      row(y + r * n, a, b, bias, bias_b, added, scale, whole, parameters);
    }
    if (tail > 0) {
      row(y_rest, fetch(a_rest, a), fetch(b_rest, b), bias_a_end, bias_b_end, fetch(y_rest, added),
          scale, hn::Lanes(d), parameters);
      rest.Store(hn::Load(d, y_rest), d, y + r * n + whole);
    }
  }
  if (stream) hwy::FlushStream();
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
