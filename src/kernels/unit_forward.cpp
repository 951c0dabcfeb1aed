// unit_forward and activation_forward for float.
#include <array>
#include <cstddef>
#include <utility>

#include "sluice/kernels/elementwise.hpp"
#include "targets.hpp"
#include "unit_list.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unit_forward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activations-inl.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// One row of n elements, n a multiple of the vector's lanes. b is null unless the unit is gated.
using ForwardRow = void (*)(float* y, const float* a, const float* b, const float* bias_a,
                            const float* bias_b, const float* residual, float scale, std::size_t n);

template <Activation f, Activation g, bool gated>
void ForwardRowOf(float* y, const float* a, const float* b, const float* bias_a,
                  const float* bias_b, const float* residual, float scale, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto scales = hn::Set(d, scale);
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    auto value_a = hn::LoadU(d, a + i);
    if (bias_a != nullptr) value_a = hn::Add(value_a, hn::LoadU(d, bias_a + i));
    auto value = Act<f>::Value(d, value_a);
    if constexpr (gated) {
      auto value_b = hn::LoadU(d, b + i);
      if (bias_b != nullptr) value_b = hn::Add(value_b, hn::LoadU(d, bias_b + i));
      value = hn::Mul(value, Act<g>::Value(d, value_b));
    }
    if (residual != nullptr) value = hn::Add(value, hn::LoadU(d, residual + i));
    hn::StoreU(hn::Mul(value, scales), d, y + i);
  }
}

template <std::size_t index>
constexpr ForwardRow ForwardRowAt() {
  constexpr Unit unit = unit_at(index);
  if constexpr (!unit.gated || gate_has_kernel(unit.f, unit.g)) {
    return &ForwardRowOf<unit.f, unit.g, unit.gated>;
  } else {
    return nullptr;
  }
}
template <std::size_t... index>
constexpr std::array<ForwardRow, kUnitTableSize> ForwardRows(std::index_sequence<index...>) {
  return {ForwardRowAt<index>()...};
}

void UnitForward(float* y, const float* z, std::size_t z_pitch, const float* bias,
                 const float* residual, float scale, std::size_t rows, std::size_t n,
                 std::size_t unit, bool gated) {
  static constexpr auto kRows = ForwardRows(std::make_index_sequence<kUnitTableSize>());
  const ForwardRow row = kRows[unit];
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
    row(y + r * n, a, b, bias, bias_b, added, scale, whole);
    if (tail > 0) {
      row(y_rest, fetch(a_rest, a), fetch(b_rest, b), bias_a_end, bias_b_end, fetch(y_rest, added),
          scale, hn::Lanes(d));
      rest.Store(hn::Load(d, y_rest), d, y + r * n + whole);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(UnitForward);
}  // namespace

void unit_forward(float* y, const float* z, std::size_t z_pitch, const float* bias,
                  const float* residual, float scale, std::size_t rows, std::size_t n,
                  const Unit& unit) {
  require_kernel(unit);
  HWY_DYNAMIC_DISPATCH(UnitForward)
  (y, z, z_pitch, bias, residual, scale, rows, n, unit_index(unit), unit.gated);
}

void activation_forward(float* y, const float* x, std::size_t n, Activation f) {
  unit_forward(y, x, n, nullptr, nullptr, 1.0F, 1, n, Unit{f, Activation::identity, false});
}

}  // namespace sluice::kernels
#endif
