// Gates for unit_forward, in float.
#include <array>
#include <cstddef>
#include <utility>

#include "targets.hpp"
#include "unit_calls.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gate_forward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "unit_forward-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

template <std::size_t index>
constexpr ForwardRow RowAt() {
  if constexpr (gate_is_found_at(index)) {
    return &ForwardRowOf<gate_at(index).f, gate_at(index).g, true>;
  } else {
    return nullptr;
  }
}
template <std::size_t... index>
constexpr std::array<ForwardRow, kGateTableSize> Rows(std::index_sequence<index...>) {
  return {RowAt<index>()...};
}

void GateForward(const ForwardCall& call, std::size_t gate) {
  static constexpr auto kRows = Rows(std::make_index_sequence<kGateTableSize>());
  ForwardRows(call, kRows[gate], true);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(GateForward);
}  // namespace

void gate_forward(const ForwardCall& call, std::size_t gate) {
  HWY_DYNAMIC_DISPATCH(GateForward)(call, gate);
}

}  // namespace sluice::kernels
#endif
