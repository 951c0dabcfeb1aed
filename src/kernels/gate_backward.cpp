// Gates for unit_backward, in float.
#include <array>
#include <cstddef>
#include <utility>

#include "targets.hpp"
#include "unit_calls.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gate_backward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "unit_backward-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

template <std::size_t index>
constexpr BackwardRow RowAt() {
  if constexpr (gate_is_found_at(index)) {
    return &BackwardRowOf<gate_at(index).f, gate_at(index).g, true>;
  } else {
    return nullptr;
  }
}
template <std::size_t... index>
constexpr std::array<BackwardRow, kGateTableSize> Rows(std::index_sequence<index...>) {
  return {RowAt<index>()...};
}

void GateBackward(const BackwardCall& call, std::size_t gate) {
  static constexpr auto kRows = Rows(std::make_index_sequence<kGateTableSize>());
  BackwardRows(call, kRows[gate], true);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(GateBackward);
}  // namespace

void gate_backward(const BackwardCall& call, std::size_t gate) {
  HWY_DYNAMIC_DISPATCH(GateBackward)(call, gate);
}

}  // namespace sluice::kernels
#endif
