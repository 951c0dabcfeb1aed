// unit_backward and activation_backward for float.
#include <array>
#include <cstddef>
#include <utility>

#include "sluice/kernels/elementwise.hpp"
#include "sluice/kernels/streaming.hpp"
#include "targets.hpp"
#include "unit_calls.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unit_backward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "unit_backward-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

template <std::size_t... index>
constexpr std::array<BackwardRow, kActivations.size()> Rows(std::index_sequence<index...>) {
  return {&BackwardRowOf<static_cast<Activation>(index), Activation::identity, false>...};
}

void ActivationBackward(const BackwardCall& call, std::size_t activation) {
  static constexpr auto kRows = Rows(std::make_index_sequence<kActivations.size()>());
  BackwardRows(call, kRows[activation], false);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(ActivationBackward);
}  // namespace

void unit_backward(float* dz, std::size_t dz_pitch, float* dbias, const float* dy, const float* z,
                   std::size_t z_pitch, const float* bias, float scale, std::size_t rows,
                   std::size_t n, const Unit& unit) {
  require_kernel(unit);
  if (!unit.gated && bias == nullptr && dbias == nullptr && z_pitch == n && dz_pitch == n) {
    n *= rows;  // one long row
    z_pitch = n;
    dz_pitch = n;
    rows = 1;
  }
  const auto inputs = static_cast<std::size_t>(unit.inputs(1));
  const std::size_t bytes = (2 * inputs + 1) * rows * n * sizeof(float);
  const bool stream = dz != z && dz != dy && bytes >= streaming_threshold();
  // Five streams at once: from the caches they come faster unasked.
  const bool far = bytes >= (unit.gated ? streaming_threshold() : fetching_threshold());
  const BackwardCall call{
      dz, dz_pitch, dbias, dy, z, z_pitch, bias, scale, rows, n, UnitParameters(unit), far, stream};
  if (unit.gated) {
    gate_backward(call, gate_index(unit.f, unit.g));
  } else {
    HWY_DYNAMIC_DISPATCH(ActivationBackward)(call, static_cast<std::size_t>(unit.f));
  }
}

void activation_backward(float* dx, const float* dy, const float* x, std::size_t n, Activation f,
                         const ActivationParameters& parameters) {
  unit_backward(dx, n, nullptr, dy, x, n, nullptr, 1.0F, 1, n,
                Unit{.f = f, .f_parameters = parameters});
}

}  // namespace sluice::kernels
#endif
