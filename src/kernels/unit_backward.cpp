// unit_backward and activation_backward for float.
#include <array>
#include <cstddef>
#include <utility>

#include "sluice/kernels/fused_units.hpp"
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

void unit_backward(const UnitBackward<float>& pass, std::size_t rows, std::size_t n,
                   const Unit& unit) {
  require_kernel(unit);
  const bool one_row = !unit.gated && pass.bias == nullptr && pass.dbias == nullptr &&
                       pass.z_pitch == n && pass.dz_pitch == n;
  const bool streamed = pass.traffic == Traffic::streamed;
  BackwardCall call{pass.dz, pass.dz_pitch, pass.dbias, pass.dy, pass.z, pass.z_pitch, pass.bias,
                    pass.scale, rows, n, UnitParameters(unit),
                    // Five streams at once: from the caches they come faster unasked.
                    unit.gated ? streamed : pass.traffic != Traffic::cached,
                    streamed && pass.dz != pass.z && pass.dz != pass.dy};
  if (one_row) {
    call.rows = 1;
    call.n = call.z_pitch = call.dz_pitch = rows * n;
  }
  if (unit.gated) {
    gate_backward(call, gate_index(unit.f, unit.g));
  } else {
    HWY_DYNAMIC_DISPATCH(ActivationBackward)(call, static_cast<std::size_t>(unit.f));
  }
}

void activation_backward(float* dx, const float* dy, const float* x, std::size_t n, Activation f,
                         const ActivationParameters& parameters) {
  unit_backward({dx, n, nullptr, dy, x, n}, 1, n, Unit{.f = f, .f_parameters = parameters});
}

}  // namespace sluice::kernels
#endif
