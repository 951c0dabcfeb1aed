// multiply_by_inputs and multiply_by_outputs.
#include "sluice/kernels/detail/row_product.hpp"

#include <algorithm>

#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "row_product.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "span-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// Inputs whose rows are added up before a sum goes back to y. Each row is a stream of its own.
constexpr std::size_t kTogether = 8;
// Rows of x that are worked on at once, as many as registers hold: of the matrix, what the first of
// them read from memory is in the nearest cache for those behind.
constexpr std::size_t kPair = hn::MaxLanes(hn::ScalableTag<float>()) >= 16 ? 2 : 1;

// Columns for which all inputs are gone through, so that their sums stay in the nearest cache: a
// page of float32 where there are few rows.
std::size_t TileColumns(std::size_t rows) {
  return std::clamp<std::size_t>(4096 / std::max<std::size_t>(rows, 1) / 64 * 64, 128, 1024);
}

using Lanes = hn::ScalableTag<float>;
using Lane = hn::Vec<Lanes>;

template <class Span>
HWY_INLINE Lane Wide(Span span, Lanes d, const float* p) {
  return span.Load(d, p);
}
template <class Span>
HWY_INLINE Lane Wide(Span span, Lanes d, const std::uint16_t* p) {
  const hn::Rebind<std::uint16_t, Lanes> d16;
  const hn::RebindToUnsigned<Lanes> du;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, span.Load(d16, p))));
}

// kRows rows from `row` on; the first rows of all ask for what comes next.
template <std::size_t kRows, std::size_t kInputs, class W>
HWY_INLINE void AddRows(const RowProduct<W>& p, std::size_t row, std::size_t k, bool fresh) {
  const Lanes d;
  const W* inputs[kInputs];
  Lane x[kRows][kInputs];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kInputs; ++i) {
    inputs[i] = p.w + (k + i) * p.ld;
#pragma GCC unroll 2
    for (std::size_t r = 0; r < kRows; ++r) {
      x[r][i] = hn::Set(d, p.x[(row + r) * p.x_pitch + k + i]);
    }
  }
  const std::size_t next = kInputs * p.ld;
  float* const sums = p.y + row * p.y_pitch;
  ForEachVector(d, p.columns, [&](std::size_t j, auto span) HWY_ATTR {
    Lane w[kInputs];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kInputs; ++i) {
      if (row == 0) hwy::Prefetch(inputs[i] + next + j);
      w[i] = Wide(span, d, inputs[i] + j);
    }
#pragma GCC unroll 2
    for (std::size_t r = 0; r < kRows; ++r) {
      float* const y = sums + r * p.y_pitch + j;
      auto even = hn::Zero(d), odd = hn::Zero(d);
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kInputs; ++i) {
        auto& sum = i % 2 == 0 ? even : odd;
        sum = hn::MulAdd(x[r][i], w[i], sum);
      }
      // What was there is added last, so that it is rounded once for all the inputs.
      const auto sum = hn::Add(even, odd);
      span.Store(fresh ? sum : hn::Add(span.Load(d, y), sum), d, y);
    }
  });
}

template <std::size_t kInputs, class W>
HWY_INLINE void AddInputs(const RowProduct<W>& p, std::size_t rows, std::size_t k, bool fresh) {
  std::size_t row = 0;
  for (; row + kPair <= rows; row += kPair) AddRows<kPair, kInputs>(p, row, k, fresh);
  for (; row < rows; ++row) AddRows<1, kInputs>(p, row, k, fresh);
}

template <class W>
void ByInputs(RowProduct<W> p, std::size_t rows) {
  const std::size_t columns = p.columns, tile = TileColumns(rows);
  for (std::size_t j = 0; j < columns; j += tile, p.w += tile, p.y += tile) {
    p.columns = std::min(tile, columns - j);
    bool fresh = !p.accumulate;
    std::size_t k = 0;
    for (; k + kTogether <= p.inner; k += kTogether, fresh = false) {
      AddInputs<kTogether>(p, rows, k, fresh);
    }
    for (; k < p.inner; ++k, fresh = false) AddInputs<1>(p, rows, k, fresh);
    for (std::size_t r = 0; fresh && r < rows; ++r) {
      std::fill_n(p.y + r * p.y_pitch, p.columns, 0.0F);
    }
  }
}

// Two sums for each row and output, over every other vector.
template <std::size_t kRows, std::size_t kOutputs, class W>
HWY_INLINE void Dots(const RowProduct<W>& p, std::size_t row, std::size_t j) {
  const Lanes d;
  const float* const x = p.x + row * p.x_pitch;
  const std::size_t lanes = hn::Lanes(d);
  Lane even[kRows][kOutputs];
  Lane odd[kRows][kOutputs];
#pragma GCC unroll 2
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t o = 0; o < kOutputs; ++o) even[r][o] = odd[r][o] = hn::Zero(d);
  }
  const W* const w = p.w + j * p.ld;
  const auto add = [&](auto& sums, std::size_t k, auto span) HWY_ATTR {
#pragma GCC unroll 4
    for (std::size_t o = 0; o < kOutputs; ++o) {
      const W* const at = w + o * p.ld + k;
      if (row == 0) hwy::Prefetch(at + kOutputs * p.ld);
      const auto v = Wide(span, d, at);
#pragma GCC unroll 2
      for (std::size_t r = 0; r < kRows; ++r) {
        sums[r][o] = hn::MulAdd(span.Load(d, x + r * p.x_pitch + k), v, sums[r][o]);
      }
    }
  };
  std::size_t k = 0;
  for (; k + 2 * lanes <= p.inner; k += 2 * lanes) {
    add(even, k, Whole{});
    add(odd, k + lanes, Whole{});
  }
  if (k + lanes <= p.inner) {
    add(even, k, Whole{});
    k += lanes;
  }
  if (k < p.inner) add(odd, k, First{p.inner - k});
#pragma GCC unroll 2
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t o = 0; o < kOutputs; ++o) {
      float& y = p.y[(row + r) * p.y_pitch + j + o];
      const float dot = hn::GetLane(hn::SumOfLanes(d, hn::Add(even[r][o], odd[r][o])));
      y = p.accumulate ? y + dot : dot;
    }
  }
}

template <std::size_t kOutputs, class W>
HWY_INLINE void AddOutputs(const RowProduct<W>& p, std::size_t rows, std::size_t j) {
  std::size_t row = 0;
  for (; row + kPair <= rows; row += kPair) Dots<kPair, kOutputs>(p, row, j);
  for (; row < rows; ++row) Dots<1, kOutputs>(p, row, j);
}

template <class W>
void ByOutputs(const RowProduct<W>& p, std::size_t rows) {
  std::size_t j = 0;
  for (; j + 4 <= p.columns; j += 4) AddOutputs<4>(p, rows, j);
  for (; j < p.columns; ++j) AddOutputs<1>(p, rows, j);
}

void InputsFloat(const RowProduct<float>& p, std::size_t rows) { ByInputs(p, rows); }
void InputsBfloat16(const RowProduct<std::uint16_t>& p, std::size_t rows) { ByInputs(p, rows); }
void OutputsFloat(const RowProduct<float>& p, std::size_t rows) { ByOutputs(p, rows); }
void OutputsBfloat16(const RowProduct<std::uint16_t>& p, std::size_t rows) { ByOutputs(p, rows); }

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(InputsFloat);
HWY_EXPORT(InputsBfloat16);
HWY_EXPORT(OutputsFloat);
HWY_EXPORT(OutputsBfloat16);
}  // namespace

void multiply_by_inputs(const RowProduct<float>& product, std::size_t rows) {
  HWY_DYNAMIC_DISPATCH(InputsFloat)(product, rows);
}
void multiply_by_inputs(const RowProduct<std::uint16_t>& product, std::size_t rows) {
  HWY_DYNAMIC_DISPATCH(InputsBfloat16)(product, rows);
}
void multiply_by_outputs(const RowProduct<float>& product, std::size_t rows) {
  HWY_DYNAMIC_DISPATCH(OutputsFloat)(product, rows);
}
void multiply_by_outputs(const RowProduct<std::uint16_t>& product, std::size_t rows) {
  HWY_DYNAMIC_DISPATCH(OutputsBfloat16)(product, rows);
}

}  // namespace sluice::kernels
#endif
