// Rounding to bfloat16. Included once per SIMD target.
#if defined(SLUICE_KERNELS_BFLOAT16_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_BFLOAT16_INL_HPP
#undef SLUICE_KERNELS_BFLOAT16_INL_HPP
#else
#define SLUICE_KERNELS_BFLOAT16_INL_HPP
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The nearest bfloat16, ties to even, NaN staying NaN.
template <class D>
HWY_INLINE hn::Vec<hn::Rebind<std::uint16_t, D>> RoundToBfloat16(D d, hn::Vec<D> value) {
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<std::uint16_t, D> d16;
  const auto bits = hn::BitCast(du, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1U));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFFU)));
  // Rounding could carry a NaN's payload away: keep it NaN by its quiet bit.
  const auto nan = hn::Or(bits, hn::Set(du, 0x400000U));
  const auto chosen = hn::BitCast(
      du, hn::IfThenElse(hn::IsNaN(value), hn::BitCast(d, nan), hn::BitCast(d, rounded)));
  return hn::TruncateTo(d16, hn::ShiftRight<16>(chosen));
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
