// combine_rows: small matrices times rows.
#include <array>
#include <cstddef>
#include <utility>

#include "sluice/kernels/detail/toom_cook.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "combine_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bfloat16-inl.hpp"
#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// Where a row's vectors go: written, scaled, added to; as floats or rounded to bfloat16.
struct ToFloat {
  using Out = float;
  template <class D, class Span>
  HWY_INLINE void Store(D d, hn::Vec<D> value, float* out, const Span& span) const {
    span.Store(value, d, out);
  }
};
struct ToBfloat16 {
  using Out = std::uint16_t;
  template <class D, class Span>
  HWY_INLINE void Store(D d, hn::Vec<D> value, std::uint16_t* out, const Span& span) const {
    const hn::Rebind<std::uint16_t, D> d16;
    span.Store(RoundToBfloat16(d, value), d16, out);
  }
};
template <class To>
struct Write : To {
  template <class D, class Span>
  HWY_INLINE void operator()(D d, hn::Vec<D> sum, typename To::Out* out, std::size_t at,
                             const Span& span) const {
    this->Store(d, sum, out + at, span);
  }
};
template <class To>
struct Scaled : To {
  const float* scale;
  explicit Scaled(const float* by) : scale(by) {}
  template <class D, class Span>
  HWY_INLINE void operator()(D d, hn::Vec<D> sum, typename To::Out* out, std::size_t at,
                             const Span& span) const {
    this->Store(d, hn::Mul(sum, span.Load(d, scale + at)), out + at, span);
  }
};
struct Onto : ToFloat {
  template <class D, class Span>
  HWY_INLINE void operator()(D d, hn::Vec<D> sum, float* out, std::size_t at,
                             const Span& span) const {
    Store(d, hn::Add(span.Load(d, out + at), sum), out + at, span);
  }
};

// The input's vectors of one column stay in registers while every output is formed from them.
template <std::size_t columns, class Put>
void CombineColumns(const Put& put, typename Put::Out* const* out, const float* const* in,
                    const float* matrix, std::size_t rows, std::size_t n) {
  const hn::ScalableTag<float> d;
  ForEachVector(d, n, [&](std::size_t at, auto span) HWY_ATTR {
    hn::Vec<decltype(d)> values[columns];
    for (std::size_t j = 0; j < columns; ++j) values[j] = span.Load(d, in[j] + at);
    const float* factors = matrix;
    for (std::size_t i = 0; i < rows; ++i, factors += columns) {
      if (out[i] == nullptr) continue;
      auto sum = hn::Mul(hn::Set(d, factors[0]), values[0]);
      for (std::size_t j = 1; j < columns; ++j) {
        sum = hn::MulAdd(hn::Set(d, factors[j]), values[j], sum);
      }
      put(d, sum, out[i], at, span);
    }
  });
}

template <class Put>
using Combine = void (*)(const Put&, typename Put::Out* const*, const float* const*, const float*,
                         std::size_t, std::size_t);

template <class Put, std::size_t... index>
constexpr std::array<Combine<Put>, sizeof...(index)> Combines(std::index_sequence<index...>) {
  return {&CombineColumns<index + 1, Put>...};
}

template <class Put>
HWY_INLINE void Dispatch(const Put& put, typename Put::Out* const* out, const float* const* in,
                         const SmallMatrix<float>& matrix, std::size_t n) {
  static constexpr auto kByColumns = Combines<Put>(std::make_index_sequence<kMostPoints>());
  kByColumns[matrix.columns - 1](put, out, in, matrix.elements, matrix.rows, n);
}

template <class To>
HWY_INLINE void DispatchScale(typename To::Out* const* out, const float* const* in,
                              const SmallMatrix<float>& matrix, std::size_t n, const float* scale) {
  if (scale != nullptr) {
    Dispatch(Scaled<To>(scale), out, in, matrix, n);
  } else {
    Dispatch(Write<To>(), out, in, matrix, n);
  }
}

void CombineFloat(float* const* out, const float* const* in, const SmallMatrix<float>& matrix,
                  std::size_t n, const float* scale) {
  DispatchScale<ToFloat>(out, in, matrix, n, scale);
}

void CombineBfloat16(std::uint16_t* const* out, const float* const* in,
                     const SmallMatrix<float>& matrix, std::size_t n, const float* scale) {
  DispatchScale<ToBfloat16>(out, in, matrix, n, scale);
}

void CombineOnto(float* const* out, const float* const* in, const SmallMatrix<float>& matrix,
                 std::size_t n) {
  Dispatch(Onto(), out, in, matrix, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(CombineFloat);
HWY_EXPORT(CombineBfloat16);
HWY_EXPORT(CombineOnto);

// Σ_j matrix[i, j] · in[j][at].
double combined(const double* const* in, const SmallMatrix<double>& matrix, std::size_t i,
                std::size_t at) {
  double sum = 0;
  for (std::size_t j = 0; j < matrix.columns; ++j) {
    sum += matrix.elements[i * matrix.columns + j] * in[j][at];
  }
  return sum;
}
}  // namespace

void combine_rows(float* const* out, const float* const* in, const SmallMatrix<float>& matrix,
                  std::size_t n, const float* scale) {
  HWY_DYNAMIC_DISPATCH(CombineFloat)(out, in, matrix, n, scale);
}

void combine_rows(std::uint16_t* const* out, const float* const* in,
                  const SmallMatrix<float>& matrix, std::size_t n, const float* scale) {
  HWY_DYNAMIC_DISPATCH(CombineBfloat16)(out, in, matrix, n, scale);
}

void combine_rows(double* const* out, const double* const* in, const SmallMatrix<double>& matrix,
                  std::size_t n, const double* scale) {
  for (std::size_t i = 0; i < matrix.rows; ++i) {
    for (std::size_t at = 0; out[i] != nullptr && at < n; ++at) {
      const double sum = combined(in, matrix, i, at);
      out[i][at] = scale != nullptr ? sum * scale[at] : sum;
    }
  }
}

void combine_rows_onto(float* const* out, const float* const* in, const SmallMatrix<float>& matrix,
                       std::size_t n) {
  HWY_DYNAMIC_DISPATCH(CombineOnto)(out, in, matrix, n);
}

void combine_rows_onto(double* const* out, const double* const* in,
                       const SmallMatrix<double>& matrix, std::size_t n) {
  for (std::size_t i = 0; i < matrix.rows; ++i) {
    for (std::size_t at = 0; out[i] != nullptr && at < n; ++at) {
      out[i][at] += combined(in, matrix, i, at);
    }
  }
}

}  // namespace sluice::kernels
#endif
