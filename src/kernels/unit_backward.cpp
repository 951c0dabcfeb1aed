// unit_backward and activation_backward for float.
#include <array>
#include <cstddef>
#include <utility>

#include "sluice/kernels/elementwise.hpp"
#include "targets.hpp"
#include "unit_list.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unit_backward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activations-inl.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// One half's share of a row: its gradient, its bias's gradient or null, its input, its bias or
// null.
struct Half {
  float* dz;
  float* dbias;
  const float* z;
  const float* bias;
};

// One row of n elements, n a multiple of the vector's lanes. b is unused unless the unit is gated.
using BackwardRow = void (*)(const Half& a, const Half& b, const float* dy, float scale,
                             std::size_t n);

template <class D>
HWY_INLINE hn::Vec<D> Biased(D d, const float* z, const float* bias, std::size_t i) {
  const auto value = hn::LoadU(d, z + i);
  return bias != nullptr ? hn::Add(value, hn::LoadU(d, bias + i)) : value;
}

// dbias is summed row after row, in the first-level cache: the sums do not depend on the SIMD
// width, and z and dy are read once, in order.
template <class D>
HWY_INLINE void Put(D d, hn::Vec<D> gradient, float* dz, float* dbias, std::size_t i) {
  hn::StoreU(gradient, d, dz + i);
  if (dbias != nullptr) {
    hn::StoreU(hn::Add(hn::LoadU(d, dbias + i), gradient), d, dbias + i);
  }
}

template <Activation f, Activation g, bool gated>
void BackwardRowOf(const Half& a, const Half& b, const float* dy, float scale, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto scales = hn::Set(d, scale);
  // Copies, which the stores below cannot change in the compiler's eyes.
  const Half at_a = a;
  const Half at_b = b;
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto gradient = hn::Mul(hn::LoadU(d, dy + i), scales);
    const auto first = Act<f>::Derive(d, Biased(d, at_a.z, at_a.bias, i));
    if constexpr (gated) {
      const auto second = Act<g>::Derive(d, Biased(d, at_b.z, at_b.bias, i));
      Put(d, hn::Mul(gradient, hn::Mul(first.slope, second.value)), at_a.dz, at_a.dbias, i);
      Put(d, hn::Mul(gradient, hn::Mul(first.value, second.slope)), at_b.dz, at_b.dbias, i);
    } else {
      Put(d, hn::Mul(gradient, first.slope), at_a.dz, at_a.dbias, i);
    }
  }
}

template <std::size_t index>
constexpr BackwardRow BackwardRowAt() {
  constexpr Unit unit = unit_at(index);
  if constexpr (!unit.gated || gate_has_kernel(unit.f, unit.g)) {
    return &BackwardRowOf<unit.f, unit.g, unit.gated>;
  } else {
    return nullptr;
  }
}
template <std::size_t... index>
constexpr std::array<BackwardRow, kUnitTableSize> BackwardRows(std::index_sequence<index...>) {
  return {BackwardRowAt<index>()...};
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

void UnitBackward(float* dz, std::size_t dz_pitch, float* dbias, const float* dy, const float* z,
                  std::size_t z_pitch, const float* bias, float scale, std::size_t rows,
                  std::size_t n, std::size_t unit, bool gated) {
  static constexpr auto kRows = BackwardRows(std::make_index_sequence<kUnitTableSize>());
  const BackwardRow row = kRows[unit];
  const hn::ScalableTag<float> d;
  const std::size_t tail = n % hn::Lanes(d);
  const std::size_t whole = n - tail;
  const First rest{tail};
  const Half none{nullptr, nullptr, nullptr, nullptr};
  const Half a{dz, dbias, z, bias};
  const Half b = gated ? Half{dz + n, dbias != nullptr ? dbias + n : nullptr, z + n,
                              bias != nullptr ? bias + n : nullptr}
                       : none;
  for (std::size_t r = 0; r < rows && whole > 0; ++r) {
    const Half row_a{a.dz + r * dz_pitch, a.dbias, a.z + r * z_pitch, a.bias};
    const Half row_b = gated ? Half{b.dz + r * dz_pitch, b.dbias, b.z + r * z_pitch, b.bias} : none;
    row(row_a, row_b, dy + r * n, scale, whole);
  }
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
    row(rest_a, rest_b, dy_rest, scale, hn::Lanes(d));
    rest.Store(hn::Load(d, memory_a.dz), d, a.dz + to);
    if (gated) rest.Store(hn::Load(d, memory_b.dz), d, b.dz + to);
  }
  if (dbias == nullptr) return;
  rest.Store(hn::Load(d, memory_a.dbias), d, a.dbias + whole);
  if (gated) rest.Store(hn::Load(d, memory_b.dbias), d, b.dbias + whole);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(UnitBackward);
}  // namespace

void unit_backward(float* dz, std::size_t dz_pitch, float* dbias, const float* dy, const float* z,
                   std::size_t z_pitch, const float* bias, float scale, std::size_t rows,
                   std::size_t n, const Unit& unit) {
  require_kernel(unit);
  HWY_DYNAMIC_DISPATCH(UnitBackward)
  (dz, dz_pitch, dbias, dy, z, z_pitch, bias, scale, rows, n, unit_index(unit), unit.gated);
}

void activation_backward(float* dx, const float* dy, const float* x, std::size_t n, Activation f) {
  unit_backward(dx, n, nullptr, dy, x, n, nullptr, 1.0F, 1, n,
                Unit{f, Activation::identity, false});
}

}  // namespace sluice::kernels
#endif
