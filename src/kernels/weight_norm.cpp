// Weight normalisation of columns, for float and double. Rows are read in strips of up to kStrip
// columns, in order: long enough for the memory to stream, short enough for the strip's sums and
// factors to stay on the stack and in the first-level cache.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "sluice/kernels/weight_norm.hpp"
#include "strips.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weight_norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// sums[j] += Σ_r x[r, j] y[r, j] for a strip of `columns` columns, four rows at a time.
void StripProducts(float* sums, const float* x, const float* y, std::size_t rows, std::size_t n,
                   std::size_t columns) {
  const hn::ScalableTag<float> d;
  std::size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const std::size_t at = r * n;
    ForEachVector(d, columns, [&](std::size_t j, auto span) HWY_ATTR {
      const auto product = [&](std::size_t k) HWY_ATTR {
        const std::size_t i = at + k * n + j;
        return hn::Mul(span.Load(d, x + i), span.Load(d, y + i));
      };
      const auto sum = hn::Add(hn::Add(product(0), product(1)), hn::Add(product(2), product(3)));
      span.Store(hn::Add(span.Load(d, sums + j), sum), d, sums + j);
    });
  }
  for (; r < rows; ++r) {
    ForEachVector(d, columns, [&](std::size_t j, auto span) HWY_ATTR {
      const std::size_t i = r * n + j;
      const auto product = hn::Mul(span.Load(d, x + i), span.Load(d, y + i));
      span.Store(hn::Add(span.Load(d, sums + j), product), d, sums + j);
    });
  }
}

// w[r, j] = factor[j] · v[r, j].
void StripScale(float* w, const float* v, const float* factor, std::size_t rows, std::size_t n,
                std::size_t columns) {
  const hn::ScalableTag<float> d;
  for (std::size_t r = 0; r < rows; ++r) {
    ForEachVector(d, columns, [&](std::size_t j, auto span) HWY_ATTR {
      const std::size_t i = r * n + j;
      span.Store(hn::Mul(span.Load(d, factor + j), span.Load(d, v + i)), d, w + i);
    });
  }
}

// dv[r, j] = along[j] · dw[r, j] - radial[j] · v[r, j]; squares[j] += Σ_r dv[r, j]². dv may be dw.
// Squares are exact in double, and each column's are added in order of rows: no SIMD target and no
// split into strips changes them.
void StripGradient(const StripGradients<float>& s, std::size_t rows, std::size_t n,
                   std::size_t columns) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  constexpr std::size_t kRows = 4;
  for (std::size_t r = 0; r < rows; r += kRows) {
    const std::size_t end = std::min(rows, r + kRows);
    ForEachVector(df, columns, [&](std::size_t j, auto span) HWY_ATTR {
      const auto a = span.Load(df, s.along + j);
      const auto b = span.Load(df, s.radial + j);
      auto sum = span.Load(d, s.squares + j);
      for (std::size_t i = r * n + j; i < end * n; i += n) {
        const auto value =
            hn::NegMulAdd(b, span.Load(df, s.v + i), hn::Mul(a, span.Load(df, s.dw + i)));
        span.Store(value, df, s.dv + i);
        const auto wide = hn::PromoteTo(d, value);
        sum = hn::MulAdd(wide, wide, sum);
      }
      span.Store(sum, d, s.squares + j);
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(StripProducts);
HWY_EXPORT(StripScale);
HWY_EXPORT(StripGradient);

constexpr std::size_t kStrip = 1024;

// The steps of a strip by scalar type, so that the algorithm below stands once.
void strip_products(float* sums, const float* x, const float* y, std::size_t rows, std::size_t n,
                    std::size_t columns) {
  HWY_DYNAMIC_DISPATCH(StripProducts)(sums, x, y, rows, n, columns);
}
void strip_products(double* sums, const double* x, const double* y, std::size_t rows, std::size_t n,
                    std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < columns; ++j) sums[j] += x[r * n + j] * y[r * n + j];
  }
}

void strip_scale(float* w, const float* v, const float* factor, std::size_t rows, std::size_t n,
                 std::size_t columns) {
  HWY_DYNAMIC_DISPATCH(StripScale)(w, v, factor, rows, n, columns);
}
void strip_scale(double* w, const double* v, const double* factor, std::size_t rows, std::size_t n,
                 std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < columns; ++j) w[r * n + j] = factor[j] * v[r * n + j];
  }
}

void strip_gradient(const StripGradients<float>& strip, std::size_t rows, std::size_t n,
                    std::size_t columns) {
  HWY_DYNAMIC_DISPATCH(StripGradient)(strip, rows, n, columns);
}
void strip_gradient(const StripGradients<double>& strip, std::size_t rows, std::size_t n,
                    std::size_t columns) {
  const auto [dv, squares, dw, v, along, radial] = strip;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < columns; ++j) {
      const std::size_t i = r * n + j;
      dv[i] = along[j] * dw[i] - radial[j] * v[i];
      squares[j] += dv[i] * dv[i];
    }
  }
}

template <class T>
void norms(T* norm, const T* v, const ColumnRange& range) {
  std::array<double, kStrip> sums;
  for (std::size_t strip = range.begin; strip < range.end; strip += kStrip) {
    const std::size_t columns = std::min(kStrip, range.end - strip);
    std::fill_n(sums.begin(), columns, 0.0);
    for (std::size_t r = 0; r < range.rows; ++r) {
      const T* const row = v + r * range.n + strip;
      for (std::size_t j = 0; j < columns; ++j) {
        sums[j] += static_cast<double>(row[j]) * static_cast<double>(row[j]);
      }
    }
    for (std::size_t j = 0; j < columns; ++j) norm[strip + j] = static_cast<T>(std::sqrt(sums[j]));
  }
}

template <class T>
void forward(T* w, T* norm, const T* v, const T* g, const ColumnRange& range) {
  const auto [rows, n, begin, end] = range;
  std::array<T, kStrip> factor;
  for (std::size_t strip = begin; strip < end; strip += kStrip) {
    const std::size_t columns = std::min(kStrip, end - strip);
    std::fill_n(norm + strip, columns, T(0));
    strip_products(norm + strip, v + strip, v + strip, rows, n, columns);
    for (std::size_t j = 0; j < columns; ++j) {
      norm[strip + j] = std::sqrt(norm[strip + j]);
      factor[j] = g[strip + j] / norm[strip + j];
    }
    if (w != nullptr) strip_scale(w + strip, v + strip, factor.data(), rows, n, columns);
  }
}

template <class T>
void backward(const WeightNormGradient<T>& gradient, const ColumnRange& range) {
  const auto [dv, dg, squares, dw, v, g, norm] = gradient;
  const auto [rows, n, begin, end] = range;
  std::array<T, kStrip> along;
  std::array<T, kStrip> radial;
  for (std::size_t strip = begin; strip < end; strip += kStrip) {
    const std::size_t columns = std::min(kStrip, end - strip);
    std::fill_n(radial.begin(), columns, T(0));
    strip_products(radial.data(), dw + strip, v + strip, rows, n, columns);
    for (std::size_t j = 0; j < columns; ++j) {
      const T length = norm[strip + j];
      const T component = radial[j] / length;
      dg[strip + j] = component;
      along[j] = g[strip + j] / length;
      radial[j] = along[j] * component / length;
    }
    std::fill_n(squares + strip, columns, 0.0);
    strip_gradient(StripGradients<T>{dv + strip, squares + strip, dw + strip, v + strip,
                                     along.data(), radial.data()},
                   rows, n, columns);
  }
}

}  // namespace

void column_norms(float* norm, const float* v, const ColumnRange& columns) {
  norms(norm, v, columns);
}
void column_norms(double* norm, const double* v, const ColumnRange& columns) {
  norms(norm, v, columns);
}

void weight_norm_forward(float* w, float* norm, const float* v, const float* g,
                         const ColumnRange& columns) {
  forward(w, norm, v, g, columns);
}
void weight_norm_forward(double* w, double* norm, const double* v, const double* g,
                         const ColumnRange& columns) {
  forward(w, norm, v, g, columns);
}

void weight_norm_backward(const WeightNormGradient<float>& gradient, const ColumnRange& columns) {
  backward(gradient, columns);
}
void weight_norm_backward(const WeightNormGradient<double>& gradient, const ColumnRange& columns) {
  backward(gradient, columns);
}

}  // namespace sluice::kernels
#endif
