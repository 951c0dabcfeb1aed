// Writing past the caches. Included once per SIMD target.
#if defined(SLUICE_KERNELS_STREAM_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_KERNELS_STREAM_INL_HPP
#undef SLUICE_KERNELS_STREAM_INL_HPP
#else
#define SLUICE_KERNELS_STREAM_INL_HPP
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Floats that a kernel computes into a buffer of its own before they are written past the caches:
/// few enough that reading, computing and writing overlap, enough that the calls do not show.
inline constexpr std::size_t kStreamBlock = 256;

/// p + i, or null where there is nothing.
inline const float* From(const float* p, std::size_t i) { return p != nullptr ? p + i : nullptr; }

/// to[0, n) = from[0, n), past the caches except for the lines at either end that others share,
/// while ahead[0, n) of each further argument is fetched: inputs that come next. What is written is
/// not visible to other threads before hwy::FlushStream().
template <class... Ahead>
HWY_INLINE void StreamOut(float* to, const float* from, std::size_t n, const Ahead*... ahead) {
  const hn::ScalableTag<float> d;
  constexpr std::size_t kLine = 64 / sizeof(float);
  const std::size_t into_line = reinterpret_cast<std::uintptr_t>(to) / sizeof(float) % kLine;
  const std::size_t head = std::min(n, (kLine - into_line) % kLine);
  std::copy_n(from, head, to);
  std::size_t i = head;
  for (; i + kLine <= n; i += kLine) {
    (hwy::Prefetch(ahead + i), ...);
    for (std::size_t j = 0; j < kLine; j += hn::Lanes(d)) {
      hn::Stream(hn::LoadU(d, from + i + j), d, to + i + j);
    }
  }
  std::copy_n(from + i, n - i, to + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
