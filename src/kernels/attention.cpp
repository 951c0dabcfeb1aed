// Attention's kernels for float; for double at the end.
#include "sluice/kernels/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "math-inl.hpp"
#include "span-inl.hpp"

#ifndef SLUICE_KERNELS_ATTENTION_BAND
#define SLUICE_KERNELS_ATTENTION_BAND
namespace sluice::kernels {
namespace {

// Row r's part of a band within n columns.
struct Span {
  std::size_t begin, end;
};
inline Span span_of(const Band& band, std::size_t r, std::size_t n) {
  const auto row = static_cast<std::ptrdiff_t>(r), columns = static_cast<std::ptrdiff_t>(n);
  const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(band.first + row, 0, columns);
  const std::ptrdiff_t end = std::clamp<std::ptrdiff_t>(band.last + row, begin, columns);
  return {static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
}

template <class T>
void clear_outside(T* row, std::size_t n, const Span& span) {
  std::fill(row, row + span.begin, T{0});
  std::fill(row + span.end, row + n, T{0});
}

}  // namespace
}  // namespace sluice::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// Probabilities below e^kLeast of the largest count as 0, as in softmax.cpp.
constexpr float kLeast = -69.0F;

// Float sums run over this many elements at most, totals in double.
constexpr std::size_t kBlock = 1024;

void RotatePairs(float* y, const float* x, const Rotation<float>& rotation, std::size_t pairs) {
  const hn::ScalableTag<float> d;
  const float* const cosine = rotation.cosine;
  const float* const sine = rotation.sine;
  const auto scales = hn::Set(d, rotation.scale);
  const auto turn = hn::Set(d, rotation.back ? -rotation.scale : rotation.scale);
  ForEachVector(d, pairs, [&](std::size_t i, auto span) HWY_ATTR {
    const auto c = hn::Mul(span.Load(d, cosine + i), scales);
    const auto s = hn::Mul(span.Load(d, sine + i), turn);
    const auto a = span.Load(d, x + i);
    const auto b = span.Load(d, x + pairs + i);
    span.Store(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, y + i);
    span.Store(hn::MulAdd(a, s, hn::Mul(b, c)), d, y + pairs + i);
  });
}

// x becomes e^(x - largest) · factor; the sum before the factor.
double Exponentials(float* x, float largest, float factor, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto shift = hn::Set(d, largest);
  const auto factors = hn::Set(d, factor);
  const auto least = hn::Set(d, -std::numeric_limits<float>::infinity());
  double total = 0.0;
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    auto sum = hn::Zero(d);
    float* const at = x + begin;
    ForEachVector(d, std::min(kBlock, n - begin), [&](std::size_t i, auto span) HWY_ATTR {
      const auto e = ExpNonPositive(d, hn::Sub(span.LoadOr(d, at + i, least), shift), kLeast);
      span.Store(hn::Mul(e, factors), d, at + i);
      sum = hn::Add(sum, e);
    });
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  return total;
}

float Dot(const float* x, const float* v, std::size_t n) {
  const hn::ScalableTag<float> d;
  auto sum = hn::Zero(d);
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    sum = hn::MulAdd(span.Load(d, x + i), span.Load(d, v + i), sum);
  });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

void BandSoftmax(float* x, float* stats, const BandedRows& shape) {
  const auto [rows, n, pitch, band] = shape;
  const hn::ScalableTag<float> d;
  const auto least = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (std::size_t r = 0; r < rows; ++r) {
    float* const row = x + r * pitch;
    const Span span = span_of(band, r, n);
    float* const from = row + span.begin;
    const std::size_t count = span.end - span.begin;
    auto largest = least;
    ForEachVector(d, count, [&](std::size_t i, auto access) HWY_ATTR {
      largest = hn::Max(access.LoadOr(d, from + i, least), largest);
    });
    stats[2 * r] = hn::GetLane(hn::MaxOfLanes(d, largest));
    const double sum = Exponentials(from, stats[2 * r], 1.0F, count);
    stats[2 * r + 1] = static_cast<float>(1.0 / sum);
    const auto factor = hn::Set(d, stats[2 * r + 1]);
    ForEachVector(d, count, [&](std::size_t i, auto access) HWY_ATTR {
      access.Store(hn::Mul(access.Load(d, from + i), factor), d, from + i);
    });
    clear_outside(row, n, span);
  }
}

void BandSoftmaxBackward(float* x, float* dp, const float* stats, const BandedRows& shape) {
  const auto [rows, n, pitch, band] = shape;
  const hn::ScalableTag<float> d;
  for (std::size_t r = 0; r < rows; ++r) {
    const Span span = span_of(band, r, n);
    float* const p = x + r * pitch + span.begin;
    float* const g = dp + r * pitch + span.begin;
    const std::size_t count = span.end - span.begin;
    Exponentials(p, stats[2 * r], stats[2 * r + 1], count);
    const auto mean = hn::Set(d, Dot(p, g, count));
    ForEachVector(d, count, [&](std::size_t i, auto access) HWY_ATTR {
      const auto centred = hn::Sub(access.Load(d, g + i), mean);
      access.Store(hn::Mul(access.Load(d, p + i), centred), d, g + i);
    });
    clear_outside(x + r * pitch, n, span);
    clear_outside(dp + r * pitch, n, span);
  }
}

void MatrixTimesVector(float* y, const float* x, const float* v, std::size_t rows, std::size_t n,
                       std::size_t pitch) {
  for (std::size_t r = 0; r < rows; ++r) y[r] = Dot(x + r * pitch, v, n);
}

void VectorTimesMatrix(float* y, const float* w, const float* x, std::size_t rows, std::size_t n,
                       std::size_t pitch) {
  const hn::ScalableTag<float> d;
  ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (std::size_t r = 0; r < rows; ++r) {
      sum = hn::MulAdd(hn::Set(d, w[r]), span.Load(d, x + r * pitch + i), sum);
    }
    span.Store(sum, d, y + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(RotatePairs);
HWY_EXPORT(BandSoftmax);
HWY_EXPORT(BandSoftmaxBackward);
HWY_EXPORT(MatrixTimesVector);
HWY_EXPORT(VectorTimesMatrix);
}  // namespace

void rotate_pairs(float* y, const float* x, const Rotation<float>& rotation, std::size_t pairs) {
  HWY_DYNAMIC_DISPATCH(RotatePairs)(y, x, rotation, pairs);
}

void rotate_pairs(double* y, const double* x, const Rotation<double>& rotation, std::size_t pairs) {
  const auto [cosine, sine, scale, back] = rotation;
  for (std::size_t i = 0; i < pairs; ++i) {
    const double c = scale * cosine[i], s = (back ? -scale : scale) * sine[i];
    const double a = x[i], b = x[i + pairs];
    y[i] = a * c - b * s;
    y[i + pairs] = b * c + a * s;
  }
}

void band_softmax(float* x, float* stats, const BandedRows& shape) {
  HWY_DYNAMIC_DISPATCH(BandSoftmax)(x, stats, shape);
}

void band_softmax(double* x, double* stats, const BandedRows& shape) {
  const auto [rows, n, pitch, band] = shape;
  for (std::size_t r = 0; r < rows; ++r) {
    double* const row = x + r * pitch;
    const Span span = span_of(band, r, n);
    double largest = -std::numeric_limits<double>::infinity(), sum = 0.0;
    for (std::size_t i = span.begin; i < span.end; ++i) largest = std::max(largest, row[i]);
    for (std::size_t i = span.begin; i < span.end; ++i) sum += std::exp(row[i] - largest);
    stats[2 * r] = largest;
    stats[2 * r + 1] = 1.0 / sum;
    for (std::size_t i = span.begin; i < span.end; ++i) {
      row[i] = std::exp(row[i] - largest) * stats[2 * r + 1];
    }
    clear_outside(row, n, span);
  }
}

void band_softmax_backward(float* x, float* dp, const float* stats, const BandedRows& shape) {
  HWY_DYNAMIC_DISPATCH(BandSoftmaxBackward)(x, dp, stats, shape);
}

void band_softmax_backward(double* x, double* dp, const double* stats, const BandedRows& shape) {
  const auto [rows, n, pitch, band] = shape;
  for (std::size_t r = 0; r < rows; ++r) {
    double* const p = x + r * pitch;
    double* const g = dp + r * pitch;
    const Span span = span_of(band, r, n);
    double mean = 0.0;
    for (std::size_t i = span.begin; i < span.end; ++i) {
      p[i] = std::exp(p[i] - stats[2 * r]) * stats[2 * r + 1];
      mean += p[i] * g[i];
    }
    for (std::size_t i = span.begin; i < span.end; ++i) g[i] = p[i] * (g[i] - mean);
    clear_outside(p, n, span);
    clear_outside(g, n, span);
  }
}

void matrix_times_vector(float* y, const float* x, const float* v, std::size_t rows, std::size_t n,
                         std::size_t pitch) {
  HWY_DYNAMIC_DISPATCH(MatrixTimesVector)(y, x, v, rows, n, pitch);
}

void matrix_times_vector(double* y, const double* x, const double* v, std::size_t rows,
                         std::size_t n, std::size_t pitch) {
  for (std::size_t r = 0; r < rows; ++r) {
    y[r] = 0.0;
    for (std::size_t i = 0; i < n; ++i) y[r] += x[r * pitch + i] * v[i];
  }
}

void vector_times_matrix(float* y, const float* w, const float* x, std::size_t rows, std::size_t n,
                         std::size_t pitch) {
  HWY_DYNAMIC_DISPATCH(VectorTimesMatrix)(y, w, x, rows, n, pitch);
}

void vector_times_matrix(double* y, const double* w, const double* x, std::size_t rows,
                         std::size_t n, std::size_t pitch) {
  std::fill(y, y + n, 0.0);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < n; ++i) y[i] += w[r] * x[r * pitch + i];
  }
}

}  // namespace sluice::kernels
#endif
