// unit_forward and activation_forward for float.
#include <array>
#include <cstddef>
#include <utility>

#include "sluice/kernels/elementwise.hpp"
#include "sluice/kernels/streaming.hpp"
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

void unit_forward(float* y, const float* z, std::size_t z_pitch, const float* bias,
                  const float* residual, float scale, std::size_t rows, std::size_t n,
                  const Unit& unit) {
  require_kernel(unit);
  if (!unit.gated && bias == nullptr && z_pitch == n) {  // one long row
    n *= rows;
    z_pitch = n;
    rows = 1;
  }
  const auto read = static_cast<std::size_t>(unit.inputs(1)) + (residual != nullptr ? 1 : 0);
  const std::size_t bytes = (read + 1) * rows * n * sizeof(float);
  const bool stream = y != z && y != residual && bytes >= streaming_threshold();
  const bool far = bytes >= fetching_threshold();
  const ForwardCall call{y,   z,     z_pitch, bias, residual, scale, rows, n, UnitParameters(unit),
                         far, stream};
  if (unit.gated) {
    gate_forward(call, gate_index(unit.f, unit.g));
  } else {
    HWY_DYNAMIC_DISPATCH(ActivationForward)(call, static_cast<std::size_t>(unit.f));
  }
}

void activation_forward(float* y, const float* x, std::size_t n, Activation f,
                        const ActivationParameters& parameters) {
  unit_forward(y, x, n, nullptr, nullptr, 1.0F, 1, n, Unit{.f = f, .f_parameters = parameters});
}

}  // namespace sluice::kernels
#endif
