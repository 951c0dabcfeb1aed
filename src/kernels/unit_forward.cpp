// unit_forward and activation_forward for float.
#include <array>
#include <cstddef>
#include <utility>

#include "sluice/kernels/fused_units.hpp"
#include "targets.hpp"
#include "unit_calls.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unit_forward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "unit_forward-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

template <std::size_t... index>
constexpr std::array<ForwardRow, kActivations.size()> Rows(std::index_sequence<index...>) {
  return {&ForwardRowOf<static_cast<Activation>(index), Activation::identity, false>...};
}

void ActivationForward(const ForwardCall& call, std::size_t activation) {
  static constexpr auto kRows = Rows(std::make_index_sequence<kActivations.size()>());
  ForwardRows(call, kRows[activation], false);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(ActivationForward);
}  // namespace

void unit_forward(const UnitForward<float>& pass, std::size_t rows, std::size_t n,
                  const Unit& unit) {
  require_kernel(unit);
  const bool one_row = !unit.gated && pass.bias == nullptr && pass.z_pitch == n;
  const bool in_place = pass.y == pass.z || pass.y == pass.residual;
  ForwardCall call{pass.y,
                   pass.z,
                   pass.z_pitch,
                   pass.bias,
                   pass.residual,
                   pass.scale,
                   rows,
                   n,
                   UnitParameters(unit),
                   pass.traffic != Traffic::cached,
                   pass.traffic == Traffic::streamed && !in_place};
  if (one_row) {
    call.rows = 1;
    call.n = call.z_pitch = rows * n;
  }
  if (unit.gated) {
    gate_forward(call, gate_index(unit.f, unit.g));
  } else {
    HWY_DYNAMIC_DISPATCH(ActivationForward)(call, static_cast<std::size_t>(unit.f));
  }
}

void activation_forward(float* y, const float* x, std::size_t n, Activation f,
                        const ActivationParameters& parameters) {
  unit_forward({y, x, n}, 1, n, Unit{.f = f, .f_parameters = parameters});
}

}  // namespace sluice::kernels
#endif
