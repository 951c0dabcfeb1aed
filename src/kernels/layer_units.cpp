// The kernels of layer_units.hpp for float.
#include "sluice/kernels/layer_units.hpp"

#include <algorithm>
#include <cstddef>

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layer_units.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activations-inl.hpp"
#include "philox-inl.hpp"
#include "span-inl.hpp"
#include "stream-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// A unit of x with one learned parameter: y, or its derivatives with respect to both.
struct Prelu {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, V alpha) {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(x, alpha));
  }
  // value: dy/dalpha; slope: dy/dx.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, V alpha) {
    const V slope = hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0F), alpha);
    return {AtMost(d, x, 0.0F), UnlessNaN(d, x, slope)};
  }
};

struct Swish {
  // Below this, σ(t) is 0, and an infinite x must not meet that 0.
  static constexpr float kLeast = -88.0F;

  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Value(D d, V x, V beta) {
    const V t = hn::Mul(x, beta);
    const V one = hn::Set(d, 1.0F);
    const V e = ExpNonPositive(d, hn::Neg(hn::Abs(t)));
    const V y = hn::Div(hn::Mul(x, SelectNegative(d, t, e, one)), hn::Add(one, e));
    return hn::IfThenZeroElse(hn::Lt(t, hn::Set(d, kLeast)), y);
  }
  // value: dy/dbeta; slope: dy/dx.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Dual<V> Derive(D d, V x, V beta) {
    const V t = AtMost(d, AtLeast(d, hn::Mul(x, beta), kLeast), -kLeast);
    const auto s = BothLogistic(d, t);
    const V bend = hn::Mul(hn::Mul(x, s.of_x), hn::Mul(x, s.of_minus_x));
    const auto far = hn::Ge(hn::Abs(t), hn::Set(d, -kLeast));
    return {hn::IfThenZeroElse(far, bend),
            hn::Mul(s.of_x, hn::MulAdd(t, s.of_minus_x, hn::Set(d, 1.0F)))};
  }
};

// What is fetched ahead of rows that are gone over once, in floats; 0: nothing.
HWY_INLINE std::size_t Ahead(Traffic traffic) { return traffic == Traffic::cached ? 0 : kPage; }

// Whether rows of n floats at `to`, made from those at `from`, are written past the caches.
HWY_INLINE bool Streams(Traffic traffic, const float* to, const float* from, std::size_t n) {
  return traffic == Traffic::streamed && CanStream(hn::ScalableTag<float>(), to, from, n);
}

template <class F>
HWY_INLINE void Forward(const LearnedForward<float>& pass, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  float* y = pass.y;
  const float* x = pass.x;
  const float* const parameter = pass.parameter;
  const std::size_t ahead = Ahead(pass.traffic);
  const bool stream = Streams(pass.traffic, y, x, n);
  for (std::size_t r = 0; r < rows; ++r, y += n, x += n) {
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      Fetch(x + i, ahead);
      const auto value = F::Value(d, span.Load(d, x + i), span.Load(d, parameter + i));
      PutAt(d, value, y + i, span, stream);
    });
  }
  if (stream) hwy::FlushStream();
}

template <class F>
HWY_INLINE void Backward(const LearnedBackward<float>& pass, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  float* dx = pass.dx;
  float* const dparameter = pass.dparameter;
  const float* dy = pass.dy;
  const float* x = pass.x;
  const float* const parameter = pass.parameter;
  const std::size_t ahead = Ahead(pass.traffic);
  for (std::size_t r = 0; r < rows; ++r, dx += n, dy += n, x += n) {
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      Fetch(dy + i, ahead);
      Fetch(x + i, ahead);
      const auto gradient = span.Load(d, dy + i);
      const auto f = F::Derive(d, span.Load(d, x + i), span.Load(d, parameter + i));
      span.Store(hn::Mul(gradient, f.slope), d, dx + i);
      if (dparameter != nullptr) {
        // Not fused, so that the sums are the same on every target.
        const auto share = hn::Mul(gradient, f.value);
        span.Store(hn::Add(span.Load(d, dparameter + i), share), d, dparameter + i);
      }
    });
  }
}

void PreluForward(const LearnedForward<float>& pass, std::size_t rows, std::size_t n) {
  Forward<Prelu>(pass, rows, n);
}
void PreluBackward(const LearnedBackward<float>& pass, std::size_t rows, std::size_t n) {
  Backward<Prelu>(pass, rows, n);
}
void SwishForward(const LearnedForward<float>& pass, std::size_t rows, std::size_t n) {
  Forward<Swish>(pass, rows, n);
}
void SwishBackward(const LearnedBackward<float>& pass, std::size_t rows, std::size_t n) {
  Backward<Swish>(pass, rows, n);
}

void Rrelu(float* y, const float* v, const float* x, std::size_t n, const RandomSlopes& slopes,
           Traffic traffic) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto least = hn::Set(d, slopes.lower);
  // A uniform number is the upper 24 bits of a word, times 2^-24.
  const auto spread = hn::Set(d, (slopes.upper - slopes.lower) * 0x1p-24F);
  const KeySchedule schedule(slopes.key.seed);
  const std::size_t ahead = Ahead(traffic);
  const bool stream = Streams(traffic, y, v, 4 * kBlocks) && slopes.offset % 4 == 0;
  HWY_ALIGN std::uint32_t words[4 * kBlocks];
  std::uint64_t block = slopes.offset / 4;
  // The first word wanted need not be the first of its block; later blocks are used whole.
  std::size_t skip = slopes.offset % 4;
  for (std::size_t i = 0; i < n;) {
    FillWords(words, slopes.key, schedule, block);
    const std::size_t count = std::min(n - i, 4 * kBlocks - skip);
    ForEachVector(d, count, [&](std::size_t j, auto span) HWY_ATTR {
      const auto bits = hn::BitCast(di, hn::ShiftRight<8>(span.Load(du, words + skip + j)));
      const auto slope = hn::MulAdd(hn::ConvertTo(d, bits), spread, least);
      Fetch(x + i + j, ahead);
      const auto at = span.Load(d, x + i + j);
      const auto positive = hn::Gt(at, hn::Zero(d));
      const auto factor = hn::IfThenElse(positive, hn::Set(d, 1.0F), UnlessNaN(d, at, slope));
      PutAt(d, hn::Mul(span.Load(d, v + i + j), factor), y + i + j, span, stream);
    });
    i += count;
    block += kBlocks;
    skip = 0;
  }
  if (stream) hwy::FlushStream();
}

// The greatest of the blocks and which it is: the first if several are, or the first that is NaN.
template <class D, class Span>
HWY_INLINE Dual<hn::Vec<D>> Greatest(D d, Span span, const float* z, std::size_t n, std::size_t k) {
  auto best = span.Load(d, z);
  auto which = hn::Zero(d);
  for (std::size_t i = 1; i < k; ++i) {
    const auto next = span.Load(d, z + i * n);
    const auto first_nan = hn::AndNot(hn::IsNaN(best), hn::IsNaN(next));
    const auto better = hn::Or(hn::Gt(next, best), first_nan);
    best = hn::IfThenElse(better, next, best);
    which = hn::IfThenElse(better, hn::Set(d, static_cast<float>(i)), which);
  }
  return {best, which};
}

void MaxoutForward(float* y, const float* z, const MaxoutShape& shape, Traffic traffic) {
  const hn::ScalableTag<float> d;
  const std::size_t rows = shape.rows, n = shape.n, k = shape.k;
  const std::size_t ahead = Ahead(traffic);
  const bool stream = Streams(traffic, y, z, n);
  for (std::size_t r = 0; r < rows; ++r, y += n, z += k * n) {
    ForEachVector(d, n, [&](std::size_t j, auto span) HWY_ATTR {
      for (std::size_t i = 0; i < k; ++i) Fetch(z + i * n + j, ahead);
      PutAt(d, Greatest(d, span, z + j, n, k).value, y + j, span, stream);
    });
  }
  if (stream) hwy::FlushStream();
}

void MaxoutBackward(float* dz, const float* dy, const float* z, const MaxoutShape& shape,
                    Traffic traffic) {
  const hn::ScalableTag<float> d;
  const std::size_t rows = shape.rows, n = shape.n, k = shape.k;
  const std::size_t ahead = Ahead(traffic);
  const bool stream = Streams(traffic, dz, z, n);
  for (std::size_t r = 0; r < rows; ++r, dy += n, dz += k * n, z += k * n) {
    ForEachVector(d, n, [&](std::size_t j, auto span) HWY_ATTR {
      Fetch(dy + j, ahead);
      for (std::size_t i = 0; i < k; ++i) Fetch(z + i * n + j, ahead);
      const auto winner = Greatest(d, span, z + j, n, k).slope;
      const auto gradient = span.Load(d, dy + j);
      for (std::size_t i = 0; i < k; ++i) {
        const auto wins = hn::Eq(winner, hn::Set(d, static_cast<float>(i)));
        PutAt(d, hn::IfThenElseZero(wins, gradient), dz + i * n + j, span, stream);
      }
    });
  }
  if (stream) hwy::FlushStream();
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(PreluForward);
HWY_EXPORT(PreluBackward);
HWY_EXPORT(SwishForward);
HWY_EXPORT(SwishBackward);
HWY_EXPORT(Rrelu);
HWY_EXPORT(MaxoutForward);
HWY_EXPORT(MaxoutBackward);
}  // namespace

void prelu_forward(const LearnedForward<float>& pass, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(PreluForward)(pass, rows, n);
}
void prelu_backward(const LearnedBackward<float>& pass, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(PreluBackward)(pass, rows, n);
}
void swish_forward(const LearnedForward<float>& pass, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(SwishForward)(pass, rows, n);
}
void swish_backward(const LearnedBackward<float>& pass, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(SwishBackward)(pass, rows, n);
}
void rrelu(float* y, const float* v, const float* x, std::size_t n, const RandomSlopes& slopes,
           Traffic traffic) {
  HWY_DYNAMIC_DISPATCH(Rrelu)(y, v, x, n, slopes, traffic);
}
void maxout_forward(float* y, const float* z, const MaxoutShape& shape, Traffic traffic) {
  HWY_DYNAMIC_DISPATCH(MaxoutForward)(y, z, shape, traffic);
}
void maxout_backward(float* dz, const float* dy, const float* z, const MaxoutShape& shape,
                     Traffic traffic) {
  HWY_DYNAMIC_DISPATCH(MaxoutBackward)(dz, dy, z, shape, traffic);
}

}  // namespace sluice::kernels
#endif
