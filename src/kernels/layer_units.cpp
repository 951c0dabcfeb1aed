// The kernels of layer_units.hpp for float.
#include "sluice/kernels/layer_units.hpp"

#include <algorithm>
#include <cstddef>

#include "sluice/kernels/streaming.hpp"
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

// How rows of n floats, each gone over once, are read and written by a call of so many bytes.
struct Passage {
  explicit Passage(std::size_t bytes)
      : ahead(bytes >= fetching_threshold() ? kPage : 0),
        past_caches(bytes >= streaming_threshold()) {}

  bool Stream(const float* to, const float* from, std::size_t n) const {
    return past_caches && CanStream(hn::ScalableTag<float>(), to, from, n);
  }

  std::size_t ahead;  // what is fetched ahead, in floats; 0: nothing
  bool past_caches;
};

template <class F>
HWY_INLINE void Forward(float* y, const float* x, const float* parameter, std::size_t rows,
                        std::size_t n) {
  const hn::ScalableTag<float> d;
  const Passage passage(2 * rows * n * sizeof(float));
  const bool stream = passage.Stream(y, x, n);
  for (std::size_t r = 0; r < rows; ++r, y += n, x += n) {
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      Fetch(x + i, passage.ahead);
      const auto value = F::Value(d, span.Load(d, x + i), span.Load(d, parameter + i));
      PutAt(d, value, y + i, span, stream);
    });
  }
  if (stream) hwy::FlushStream();
}

template <class F>
HWY_INLINE void Backward(float* dx, float* dparameter, const float* dy, const float* x,
                         const float* parameter, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  const Passage passage(3 * rows * n * sizeof(float));
  for (std::size_t r = 0; r < rows; ++r, dx += n, dy += n, x += n) {
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      Fetch(dy + i, passage.ahead);
      Fetch(x + i, passage.ahead);
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

void PreluForward(float* y, const float* x, const float* alpha, std::size_t rows, std::size_t n) {
  Forward<Prelu>(y, x, alpha, rows, n);
}
void PreluBackward(float* dx, float* dalpha, const float* dy, const float* x, const float* alpha,
                   std::size_t rows, std::size_t n) {
  Backward<Prelu>(dx, dalpha, dy, x, alpha, rows, n);
}
void SwishForward(float* y, const float* x, const float* beta, std::size_t rows, std::size_t n) {
  Forward<Swish>(y, x, beta, rows, n);
}
void SwishBackward(float* dx, float* dbeta, const float* dy, const float* x, const float* beta,
                   std::size_t rows, std::size_t n) {
  Backward<Swish>(dx, dbeta, dy, x, beta, rows, n);
}

void Rrelu(float* y, const float* v, const float* x, std::size_t n, float lower, float upper,
           const RandomKey& key, std::uint64_t offset) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto least = hn::Set(d, lower);
  // A uniform number is the upper 24 bits of a word, times 2^-24.
  const auto spread = hn::Set(d, (upper - lower) * 0x1p-24F);
  const KeySchedule schedule(key.seed);
  const Passage passage(3 * n * sizeof(float));
  const bool stream = passage.Stream(y, v, 4 * kBlocks) && offset % 4 == 0;
  HWY_ALIGN std::uint32_t words[4 * kBlocks];
  std::uint64_t block = offset / 4;
  // The first word wanted need not be the first of its block; later blocks are used whole.
  std::size_t skip = offset % 4;
  for (std::size_t i = 0; i < n;) {
    FillWords(words, key, schedule, block);
    const std::size_t count = std::min(n - i, 4 * kBlocks - skip);
    ForEachVector(d, count, [&](std::size_t j, auto span) HWY_ATTR {
      const auto bits = hn::BitCast(di, hn::ShiftRight<8>(span.Load(du, words + skip + j)));
      const auto slope = hn::MulAdd(hn::ConvertTo(d, bits), spread, least);
      Fetch(x + i + j, passage.ahead);
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

void MaxoutForward(float* y, const float* z, std::size_t rows, std::size_t n, std::size_t k) {
  const hn::ScalableTag<float> d;
  const Passage passage((k + 1) * rows * n * sizeof(float));
  const bool stream = passage.Stream(y, z, n);
  for (std::size_t r = 0; r < rows; ++r, y += n, z += k * n) {
    ForEachVector(d, n, [&](std::size_t j, auto span) HWY_ATTR {
      for (std::size_t i = 0; i < k; ++i) Fetch(z + i * n + j, passage.ahead);
      PutAt(d, Greatest(d, span, z + j, n, k).value, y + j, span, stream);
    });
  }
  if (stream) hwy::FlushStream();
}

void MaxoutBackward(float* dz, const float* dy, const float* z, std::size_t rows, std::size_t n,
                    std::size_t k) {
  const hn::ScalableTag<float> d;
  const Passage passage((2 * k + 1) * rows * n * sizeof(float));
  const bool stream = passage.Stream(dz, z, n);
  for (std::size_t r = 0; r < rows; ++r, dy += n, dz += k * n, z += k * n) {
    ForEachVector(d, n, [&](std::size_t j, auto span) HWY_ATTR {
      Fetch(dy + j, passage.ahead);
      for (std::size_t i = 0; i < k; ++i) Fetch(z + i * n + j, passage.ahead);
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

void prelu_forward(float* y, const float* x, const float* alpha, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(PreluForward)(y, x, alpha, rows, n);
}
void prelu_backward(float* dx, float* dalpha, const float* dy, const float* x, const float* alpha,
                    std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(PreluBackward)(dx, dalpha, dy, x, alpha, rows, n);
}
void swish_forward(float* y, const float* x, const float* beta, std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(SwishForward)(y, x, beta, rows, n);
}
void swish_backward(float* dx, float* dbeta, const float* dy, const float* x, const float* beta,
                    std::size_t rows, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(SwishBackward)(dx, dbeta, dy, x, beta, rows, n);
}
void rrelu(float* y, const float* v, const float* x, std::size_t n, float lower, float upper,
           const RandomKey& key, std::uint64_t offset) {
  HWY_DYNAMIC_DISPATCH(Rrelu)(y, v, x, n, lower, upper, key, offset);
}
void maxout_forward(float* y, const float* z, std::size_t rows, std::size_t n, std::size_t k) {
  HWY_DYNAMIC_DISPATCH(MaxoutForward)(y, z, rows, n, k);
}
void maxout_backward(float* dz, const float* dy, const float* z, std::size_t rows, std::size_t n,
                     std::size_t k) {
  HWY_DYNAMIC_DISPATCH(MaxoutBackward)(dz, dy, z, rows, n, k);
}

}  // namespace sluice::kernels
#endif
