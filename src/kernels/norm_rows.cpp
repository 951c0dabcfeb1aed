// Normalisation of contiguous rows, for float; for double at the end.
#include <algorithm>
#include <cmath>

#include "sluice/kernels/norm.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "norm_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "moments-inl.hpp"
#include "stream-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

void RowsForward(const NormRowsForward<float>& pass, const RowSets& sets) {
  const hn::ScalableTag<float> d;
  const std::size_t n = sets.n;
  float* y = pass.y;
  float* statistics = pass.statistics;
  const float* x = pass.x;
  const bool stream = pass.traffic == Traffic::streamed && CanStream(d, y, x, n);
  const std::size_t ahead = RowsAhead(n, pass.traffic);
  const auto count = static_cast<double>(n);
  for (std::size_t r = 0; r < sets.positions * sets.groups; ++r, x += n, y += n, statistics += 3) {
    const float shift = sets.centred ? static_cast<float>(Sum(x, n) / count) : 0.0F;
    const Spread spread = SpreadAbout(x, shift, n);
    const double rest = sets.centred ? spread.sum / count : 0.0;
    const double variance = spread.squares / count - rest * rest;
    // Rounding may leave a constant row's variance below 0; NaN stays.
    const double scale = 1.0 / std::sqrt((variance < 0.0 ? 0.0 : variance) + pass.eps);
    statistics[0] = shift;
    statistics[1] = static_cast<float>(scale);
    statistics[2] = static_cast<float>(-rest * scale);

    const auto vshift = hn::Set(d, shift);
    const auto vscale = hn::Set(d, statistics[1]);
    const auto voffset = hn::Set(d, statistics[2]);
    const std::size_t channel = r % sets.groups * n;
    const float* const w = From(pass.weight, channel);
    const float* const b = From(pass.bias, channel);
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      auto value = hn::MulAdd(hn::Sub(span.Load(d, x + i), vshift), vscale, voffset);
      if (w != nullptr) value = hn::Mul(value, span.Load(d, w + i));
      if (b != nullptr) value = hn::Add(value, span.Load(d, b + i));
      Fetch(x + i, ahead);
      PutAt(d, value, y + i, span, stream);
    });
  }
  if (stream) hwy::FlushStream();
}

void RowsBackward(const NormRowsBackward<float>& pass, const RowSets& sets) {
  const hn::ScalableTag<float> d;
  const std::size_t n = sets.n;
  float* dx = pass.dx;
  const float* dy = pass.dy;
  const float* x = pass.x;
  const float* statistics = pass.statistics;
  const std::size_t ahead = RowsAhead(n, pass.traffic);
  const auto count = static_cast<double>(n);
  for (std::size_t r = 0; r < sets.positions * sets.groups; ++r, x += n, dy += n, statistics += 3) {
    const auto shift = hn::Set(d, statistics[0]);
    const auto scale = hn::Set(d, statistics[1]);
    const auto offset = hn::Set(d, statistics[2]);
    const std::size_t channel = r % sets.groups * n;
    const float* const w = From(pass.weight, channel);
    float* const dw = From(pass.dweight, channel);
    float* const db = From(pass.dbias, channel);
    double sum = 0.0;
    double product = 0.0;
    for (std::size_t begin = 0; begin < n; begin += kSumBlock) {
      auto g_sum = hn::Zero(d);
      auto gx_sum = hn::Zero(d);
      ForEachVector(d, std::min(kSumBlock, n - begin), [&](std::size_t at, auto span) HWY_ATTR {
        const std::size_t i = begin + at;
        Fetch(x + i, ahead);
        const auto normal = hn::MulAdd(hn::Sub(span.Load(d, x + i), shift), scale, offset);
        const auto gradient = span.Load(d, dy + i);
        if (dw != nullptr) {
          span.Store(hn::MulAdd(gradient, normal, span.Load(d, dw + i)), d, dw + i);
        }
        if (db != nullptr) span.Store(hn::Add(gradient, span.Load(d, db + i)), d, db + i);
        const auto g = w != nullptr ? hn::Mul(gradient, span.Load(d, w + i)) : gradient;
        g_sum = hn::Add(g_sum, g);
        // Lanes beyond the end have gradient 0, and their x̂ is finite unless the row is NaN.
        gx_sum = hn::MulAdd(g, normal, gx_sum);
      });
      sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, g_sum)));
      product += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, gx_sum)));
    }
    if (dx == nullptr) continue;
    const auto exact_scale = static_cast<double>(statistics[1]);
    const auto mean =
        hn::Set(d, sets.centred ? static_cast<float>(exact_scale * sum / count) : 0.0F);
    const auto along = hn::Set(d, static_cast<float>(exact_scale * product / count));
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      Fetch(dy + i, ahead);
      const auto normal = hn::MulAdd(hn::Sub(span.Load(d, x + i), shift), scale, offset);
      auto g = span.Load(d, dy + i);
      if (w != nullptr) g = hn::Mul(g, span.Load(d, w + i));
      span.Store(hn::NegMulAdd(normal, along, hn::MulSub(g, scale, mean)), d, dx + i);
    });
    dx += n;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(RowsForward);
HWY_EXPORT(RowsBackward);
}  // namespace

void norm_rows_forward(const NormRowsForward<float>& pass, const RowSets& sets) {
  HWY_DYNAMIC_DISPATCH(RowsForward)(pass, sets);
}

void norm_rows_forward(const NormRowsForward<double>& pass, const RowSets& sets) {
  auto [y, statistics, x, weight, bias, eps, traffic] = pass;
  const auto [positions, groups, n, centred] = sets;
  const auto count = static_cast<double>(n);
  for (std::size_t r = 0; r < positions * groups; ++r, x += n, y += n, statistics += 3) {
    double mean = 0.0;
    for (std::size_t i = 0; centred && i < n; ++i) mean += x[i] / count;
    double variance = 0.0;
    for (std::size_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean) / count;
    const double scale = 1.0 / std::sqrt(variance + eps);
    statistics[0] = mean;
    statistics[1] = scale;
    statistics[2] = 0.0;
    const std::size_t channel = r % groups * n;
    for (std::size_t i = 0; i < n; ++i) {
      const double w = weight != nullptr ? weight[channel + i] : 1.0;
      y[i] = (x[i] - mean) * scale * w + (bias != nullptr ? bias[channel + i] : 0.0);
    }
  }
}

void norm_rows_backward(const NormRowsBackward<float>& pass, const RowSets& sets) {
  HWY_DYNAMIC_DISPATCH(RowsBackward)(pass, sets);
}

void norm_rows_backward(const NormRowsBackward<double>& pass, const RowSets& sets) {
  const std::size_t n = sets.n;
  double* dx = pass.dx;
  const double* dy = pass.dy;
  const double* x = pass.x;
  const double* statistics = pass.statistics;
  const auto count = static_cast<double>(n);
  for (std::size_t r = 0; r < sets.positions * sets.groups; ++r, x += n, dy += n, statistics += 3) {
    const std::size_t channel = r % sets.groups * n;
    const auto normal = [&](std::size_t i) {
      return (x[i] - statistics[0]) * statistics[1] + statistics[2];
    };
    const auto scaled = [&](std::size_t i) {
      return pass.weight != nullptr ? dy[i] * pass.weight[channel + i] : dy[i];
    };
    double mean = 0.0;
    double along = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      if (pass.dweight != nullptr) pass.dweight[channel + i] += dy[i] * normal(i);
      if (pass.dbias != nullptr) pass.dbias[channel + i] += dy[i];
      if (sets.centred) mean += scaled(i) / count;
      along += scaled(i) * normal(i) / count;
    }
    if (dx == nullptr) continue;
    for (std::size_t i = 0; i < n; ++i) {
      dx[i] = statistics[1] * (scaled(i) - mean - normal(i) * along);
    }
    dx += n;
  }
}

}  // namespace sluice::kernels
#endif
