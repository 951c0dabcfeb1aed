// Rounding to bfloat16 and back.
#include "sluice/kernels/detail/bfloat16.hpp"

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bfloat16.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bfloat16-inl.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

void ToBfloat16(std::uint16_t* y, const float* x, std::size_t n) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<std::uint16_t, decltype(d)> d16;
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    span.Store(RoundToBfloat16(d, span.Load(d, x + i)), d16, y + i);
  });
}

void FromBfloat16(float* y, const std::uint16_t* x, std::size_t n) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Rebind<std::uint16_t, decltype(d)> d16;
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(du, span.Load(d16, x + i)));
    span.Store(hn::BitCast(d, bits), d, y + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(ToBfloat16);
HWY_EXPORT(FromBfloat16);
}  // namespace

void to_bfloat16(std::uint16_t* y, const float* x, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(ToBfloat16)(y, x, n);
}

void from_bfloat16(float* y, const std::uint16_t* x, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(FromBfloat16)(y, x, n);
}

}  // namespace sluice::kernels
#endif
