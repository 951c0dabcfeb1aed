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
#include <type_traits>

#include "sluice/kernels/traffic.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Floats of a page, and of a cache line.
inline constexpr std::size_t kPage = 1024;
inline constexpr std::size_t kLine = 16;

/// p + i, or null where there is nothing.
template <class T>
T* From(T* p, std::size_t i) {
  return p != nullptr ? p + i : nullptr;
}

/// Floats until p is aligned to the vector.
template <class D>
HWY_INLINE std::size_t ToAlignment(D d, const float* p) {
  const std::size_t lanes = hn::Lanes(d);
  return (lanes - reinterpret_cast<std::uintptr_t>(p) / sizeof(float) % lanes) % lanes;
}

/// Whether rows of n elements at `to`, made from those at `from`, can be written past the caches:
/// not in place, and each aligned to the vector.
template <class D>
HWY_INLINE bool CanStream(D d, const float* to, const float* from, std::size_t n) {
  return to != from && ToAlignment(d, to) == 0 && n % hn::Lanes(d) == 0;
}

/// How rows that are not in the caches are gone over. The processor fetches what comes next by
/// itself, but not past the ends of pages and rows: asked for 4 KiB ahead, it arrives in time for
/// kernels to run at the speed of a copy.
struct Reach {
  Reach() = default;
  /// For rows of z with this pitch, rows of y having n elements.
  Reach(bool far, bool past_caches, std::size_t z_pitch, std::size_t n) : stream(past_caches) {
    if (!far || n == 0) return;
    const std::size_t rows_ahead = n > 2 * kPage ? 0 : std::max<std::size_t>(1, kPage / n);
    z = rows_ahead == 0 ? kPage : rows_ahead * z_pitch;
    y = rows_ahead == 0 ? kPage : rows_ahead * n;
  }

  bool far() const { return z != 0 || stream; }

  std::size_t z = 0;    // floats from an element of z to the one to be fetched; 0: none is
  std::size_t y = 0;    // the same for what has rows of n elements
  bool stream = false;  // results are written past the caches
};

/// Rows that are gone over four at once, a cache line of each by turns, at least a page apart, as
/// copies of such sizes are made: one core reads four pages up to 1.4 times as fast as one. What is
/// fetched ahead are the next four.
struct Places {
  static constexpr std::size_t kCount = 4;

  /// For rows of z with this pitch, those of y having n elements, a multiple of kLine.
  Places(std::size_t z_pitch, std::size_t n)
      : apart(std::max<std::size_t>(1, kPage / z_pitch)),
        z_step(apart * z_pitch),
        y_step(apart * n) {
    const bool in_row = kCount * z_step > 8 * kPage;
    ahead = in_row ? kPage : kCount * z_step;
  }

  std::size_t apart;           // rows from one place to the next
  std::size_t z_step, y_step;  // floats, likewise
  std::size_t ahead;           // floats from an element of z to the one to be fetched
};

/// What rows of n floats, gone over several times each, are fetched ahead by: a page or more, so
/// that it is another row. Within rows as long as caches the processor fetches by itself.
inline std::size_t RowsAhead(std::size_t n, Traffic traffic) {
  constexpr std::size_t kLongest = 16 * kPage;
  return traffic != Traffic::streamed || n == 0 || n > kLongest
             ? 0
             : n * std::max<std::size_t>(1, kPage / n);
}
HWY_INLINE void Fetch(const float* p, std::size_t ahead) {
  if (ahead != 0) hwy::Prefetch(p + ahead);
}

/// Writes to p; past the caches if `stream`, with p aligned. What is written so is not visible to
/// other threads before hwy::FlushStream().
template <class D>
HWY_INLINE void Put(D d, hn::Vec<D> v, float* p, bool stream) {
  if (stream) {
    hn::Stream(v, d, p);
  } else {
    hn::StoreU(v, d, p);
  }
}

/// span.Store(v, d, p); past the caches if `stream`, with p aligned.
template <class D, class Span>
HWY_INLINE void PutAt(D d, hn::Vec<D> v, float* p, Span span, bool stream) {
  if constexpr (std::is_same_v<Span, Whole>) {
    Put(d, v, p, stream);
  } else {
    span.Store(v, d, p);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#endif
