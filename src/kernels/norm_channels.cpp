// Statistics of channels, and normalisation by them, for float; for double in norm_double.cpp.
#include <algorithm>
#include <array>
#include <type_traits>

#include "sluice/kernels/norm.hpp"
#include "strips.hpp"
#include "targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "norm_channels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "moments-inl.hpp"
#include "stream-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sluice::kernels {
namespace HWY_NAMESPACE {

// Channels last: rows are read in order, in strips of kStrip columns, whose sums stay in the
// first-level cache, kTogether rows at a time. Float sums run over kBlock rows at most.
constexpr std::size_t kStrip = 512;
constexpr std::size_t kBlock = 64;
constexpr std::size_t kTogether = 4;

// Rows whose mean is a first guess at the mean of all.
constexpr std::size_t kFirstRows = 32;

// body(row, count constant) for groups of kTogether rows, then single ones.
template <class Body>
HWY_INLINE void ForRows(std::size_t rows, const Body& body) {
  std::size_t r = 0;
  for (; r + kTogether <= rows; r += kTogether) {
    body(r, std::integral_constant<std::size_t, kTogether>{});
  }
  for (; r < rows; ++r) body(r, std::integral_constant<std::size_t, 1>{});
}

// sums[j] = Σ x[r, j].
void StripSums(float* sums, const float* x, std::size_t rows, std::size_t pitch,
               std::size_t columns) {
  const hn::ScalableTag<float> d;
  std::fill_n(sums, columns, 0.0F);
  ForRows(rows, [&](std::size_t r, auto count) HWY_ATTR {
    ForEachVector(d, columns, [&](std::size_t j, auto span) HWY_ATTR {
      auto sum = span.Load(d, sums + j);
      for (std::size_t k = 0; k < count; ++k) {
        sum = hn::Add(sum, span.Load(d, x + (r + k) * pitch + j));
      }
      span.Store(sum, d, sums + j);
    });
  });
}

// sums[j] = Σ (x[r, j] - about[j]), squares[j] of their squares.
void StripSpread(float* sums, float* squares, const float* x, const float* about,
                 const StripRows& strip) {
  const std::size_t rows = strip.rows, pitch = strip.pitch, columns = strip.columns;
  const hn::ScalableTag<float> d;
  std::fill_n(sums, columns, 0.0F);
  std::fill_n(squares, columns, 0.0F);
  ForRows(rows, [&](std::size_t r, auto count) HWY_ATTR {
    ForEachVector(d, columns, [&](std::size_t j, auto span) HWY_ATTR {
      const auto shift = span.Load(d, about + j);
      auto sum = span.Load(d, sums + j);
      auto square = span.Load(d, squares + j);
      for (std::size_t k = 0; k < count; ++k) {
        const auto value = hn::Sub(span.Load(d, x + (r + k) * pitch + j), shift);
        sum = hn::Add(sum, value);
        square = hn::MulAdd(value, value, square);
      }
      span.Store(sum, d, sums + j);
      span.Store(square, d, squares + j);
    });
  });
}

void ColumnMoments(double* mean, double* m2, const float* x, std::size_t rows,
                   std::size_t channels) {
  std::array<float, kStrip> about;
  std::array<float, kStrip> sums;
  std::array<float, kStrip> squares;
  for (std::size_t strip = 0; strip < channels; strip += kStrip) {
    const std::size_t columns = std::min(kStrip, channels - strip);
    std::fill_n(mean + strip, columns, 0.0);
    std::fill_n(m2 + strip, columns, 0.0);
    for (std::size_t r = 0, block = 0; r < rows; r += block) {
      block = std::min(r == 0 ? kFirstRows : kBlock, rows - r);
      const float* const at = x + r * channels + strip;
      const auto size = static_cast<double>(block);
      // Squares are taken about the mean so far, for the first rows about their own. Should later
      // rows lie elsewhere, what cancels is small beside the variance that this makes.
      if (r == 0) {
        StripSums(about.data(), at, block, channels, columns);
        const auto inverse = static_cast<float>(1.0 / size);
        for (std::size_t j = 0; j < columns; ++j) about[j] *= inverse;
      } else {
        for (std::size_t j = 0; j < columns; ++j) about[j] = static_cast<float>(mean[strip + j]);
      }
      StripSpread(sums.data(), squares.data(), at, about.data(), {block, channels, columns});
      // Moments of two parts joined (Chan et al. 1983, eq. 2.1).
      const double share = size / static_cast<double>(r + block);
      const double weight = static_cast<double>(r) * share;
      for (std::size_t j = 0; j < columns; ++j) {
        const double rest = static_cast<double>(sums[j]) / size;
        const double delta = static_cast<double>(about[j]) + rest - mean[strip + j];
        m2[strip + j] +=
            static_cast<double>(squares[j]) - rest * rest * size + delta * delta * weight;
        mean[strip + j] += delta * share;
      }
    }
  }
}

void ColumnAffine(const ChannelAffine<float>& pass, std::size_t rows, std::size_t channels) {
  const hn::ScalableTag<float> d;
  float* const y = pass.y;
  const float* const x = pass.x;
  const bool stream = pass.traffic == Traffic::streamed && CanStream(d, y, x, channels);
  ForRows(rows, [&](std::size_t r, auto count) HWY_ATTR {
    ForEachVector(d, channels, [&](std::size_t j, auto span) HWY_ATTR {
      const auto vshift = span.Load(d, pass.shift + j);
      const auto va = span.Load(d, pass.a + j);
      const auto vb = span.Load(d, pass.b + j);
      // All loads first: a store holds up loads from addresses with the same low 12 bits.
      constexpr std::size_t kRows = decltype(count)::value;
      hn::Vec<decltype(d)> values[kRows];
      for (std::size_t row = 0; row < kRows; ++row) {
        const float* const from = x + (r + row) * channels + j;
        if (stream) hwy::Prefetch(from + kRows * channels);
        values[row] = hn::Sub(span.Load(d, from), vshift);
      }
      for (std::size_t row = 0; row < kRows; ++row) {
        PutAt(d, hn::MulAdd(values[row], va, vb), y + (r + row) * channels + j, span, stream);
      }
    });
  });
  if (stream) hwy::FlushStream();
}

// sums[j] = Σ dy, products[j] = Σ dy (x - shift).
void StripProducts(float* sums, float* products, const ChannelSums<float>& pass,
                   const StripRows& strip) {
  const hn::ScalableTag<float> d;
  const std::size_t rows = strip.rows, pitch = strip.pitch, columns = strip.columns;
  const std::size_t ahead = pass.traffic == Traffic::streamed ? kTogether * pitch : 0;
  std::fill_n(sums, columns, 0.0F);
  std::fill_n(products, columns, 0.0F);
  ForRows(rows, [&](std::size_t r, auto count) HWY_ATTR {
    ForEachVector(d, columns, [&](std::size_t j, auto span) HWY_ATTR {
      const auto about = span.Load(d, pass.shift + j);
      auto sum = span.Load(d, sums + j);
      auto product = span.Load(d, products + j);
      for (std::size_t k = 0; k < count; ++k) {
        const std::size_t i = (r + k) * pitch + j;
        Fetch(pass.dy + i, ahead);
        Fetch(pass.x + i, ahead);
        const auto gradient = span.Load(d, pass.dy + i);
        sum = hn::Add(sum, gradient);
        product = hn::MulAdd(gradient, hn::Sub(span.Load(d, pass.x + i), about), product);
      }
      span.Store(sum, d, sums + j);
      span.Store(product, d, products + j);
    });
  });
}

void ColumnSums(const ChannelSums<float>& pass, std::size_t rows, std::size_t channels) {
  double* const sum = pass.sum;
  double* const product = pass.product;
  std::array<float, kStrip> sums;
  std::array<float, kStrip> products;
  for (std::size_t strip = 0; strip < channels; strip += kStrip) {
    const std::size_t columns = std::min(kStrip, channels - strip);
    std::fill_n(sum + strip, columns, 0.0);
    std::fill_n(product + strip, columns, 0.0);
    for (std::size_t r = 0; r < rows; r += kBlock) {
      ChannelSums<float> block = pass;
      block.dy += r * channels + strip;
      block.x += r * channels + strip;
      block.shift += strip;
      StripProducts(sums.data(), products.data(), block,
                    {std::min(kBlock, rows - r), channels, columns});
      for (std::size_t j = 0; j < columns; ++j) {
        sum[strip + j] += static_cast<double>(sums[j]);
        product[strip + j] += static_cast<double>(products[j]);
      }
    }
  }
}

void ColumnGradient(const ChannelGradient<float>& pass, std::size_t rows, std::size_t channels) {
  const hn::ScalableTag<float> d;
  float* const dx = pass.dx;
  const float* const dy = pass.dy;
  const float* const x = pass.x;
  const std::size_t ahead = pass.traffic == Traffic::streamed ? kTogether * channels : 0;
  ForRows(rows, [&](std::size_t r, auto count) HWY_ATTR {
    ForEachVector(d, channels, [&](std::size_t j, auto span) HWY_ATTR {
      const auto vshift = span.Load(d, pass.shift + j);
      const auto va = span.Load(d, pass.a + j);
      const auto vb = span.Load(d, pass.b + j);
      const auto vk = span.Load(d, pass.k + j);
      constexpr std::size_t kRows = decltype(count)::value;
      hn::Vec<decltype(d)> values[kRows];
      for (std::size_t row = 0; row < kRows; ++row) {
        const std::size_t i = (r + row) * channels + j;
        Fetch(dy + i, ahead);
        Fetch(x + i, ahead);
        const auto rest = hn::MulAdd(hn::Sub(span.Load(d, x + i), vshift), vb, vk);
        values[row] = hn::MulAdd(span.Load(d, dy + i), va, rest);
      }
      for (std::size_t row = 0; row < kRows; ++row) {
        span.Store(values[row], d, dx + (r + row) * channels + j);
      }
    });
  });
}

// Channels first: each channel is one contiguous segment.
void SegmentMoments(double* mean, double* m2, const float* x, std::size_t channels, std::size_t n) {
  const hn::ScalableTag<float> d;
  const auto count = static_cast<double>(n);
  std::size_t c = 0;
  for (; n <= kSumBlock && c + kAbreast <= channels; c += kAbreast, x += kAbreast * n) {
    double totals[2 * kAbreast];
    SumAbreast(totals, n, [&](auto& sums, std::size_t i, std::size_t k, auto span) HWY_ATTR {
      sums[k] = hn::Add(sums[k], span.Load(d, x + k * n + i));
    });
    float about[kAbreast];
    for (std::size_t k = 0; k < kAbreast; ++k) about[k] = static_cast<float>(totals[k] / count);
    SumAbreast(totals, n, [&](auto& sums, std::size_t i, std::size_t k, auto span) HWY_ATTR {
      const auto shift = hn::Set(d, about[k]);
      const auto value = hn::Sub(span.LoadOr(d, x + k * n + i, shift), shift);
      sums[k] = hn::Add(sums[k], value);
      sums[k + kAbreast] = hn::MulAdd(value, value, sums[k + kAbreast]);
    });
    for (std::size_t k = 0; k < kAbreast; ++k) {
      const double rest = totals[k] / count;
      mean[c + k] = static_cast<double>(about[k]) + rest;
      m2[c + k] = totals[k + kAbreast] - rest * totals[k];
    }
  }
  for (; c < channels; ++c, x += n) {
    const auto about = static_cast<float>(Sum(x, n) / count);
    const Spread spread = SpreadAbout(x, about, n);
    const double rest = spread.sum / count;
    mean[c] = static_cast<double>(about) + rest;
    m2[c] = spread.squares - rest * spread.sum;
  }
}

void SegmentAffine(const ChannelAffine<float>& pass, std::size_t channels, std::size_t n) {
  const hn::ScalableTag<float> d;
  float* y = pass.y;
  const float* x = pass.x;
  const bool stream = pass.traffic == Traffic::streamed && CanStream(d, y, x, n);
  // What follows is the next matrix, whose moments are taken next.
  const std::size_t ahead = std::min(channels * n, std::size_t{4096});
  for (std::size_t c = 0; c < channels; ++c, x += n, y += n) {
    const auto vshift = hn::Set(d, pass.shift[c]);
    const auto va = hn::Set(d, pass.a[c]);
    const auto vb = hn::Set(d, pass.b[c]);
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      if (stream) hwy::Prefetch(x + i + ahead);
      PutAt(d, hn::MulAdd(hn::Sub(span.Load(d, x + i), vshift), va, vb), y + i, span, stream);
    });
  }
  if (stream) hwy::FlushStream();
}

// Of two matrices read twice, one's successor is fetched by the first reading, the other's by the
// second.
void SegmentSums(const ChannelSums<float>& pass, std::size_t channels, std::size_t n) {
  const hn::ScalableTag<float> d;
  double* const sum = pass.sum;
  double* const product = pass.product;
  const float* dy = pass.dy;
  const float* x = pass.x;
  const float* const shift = pass.shift;
  const std::size_t ahead = RowsAhead(channels * n, pass.traffic);
  std::size_t c = 0;
  for (; n <= kSumBlock && c + kAbreast <= channels; c += kAbreast) {
    double totals[2 * kAbreast];
    SumAbreast(totals, n, [&](auto& sums, std::size_t i, std::size_t k, auto span) HWY_ATTR {
      Fetch(x + k * n + i, ahead);
      const auto gradient = span.Load(d, dy + k * n + i);
      sums[k] = hn::Add(sums[k], gradient);
      const auto centred = hn::Sub(span.Load(d, x + k * n + i), hn::Set(d, shift[c + k]));
      sums[k + kAbreast] = hn::MulAdd(gradient, centred, sums[k + kAbreast]);
    });
    std::copy_n(totals, kAbreast, sum + c);
    std::copy_n(totals + kAbreast, kAbreast, product + c);
    x += kAbreast * n;
    dy += kAbreast * n;
  }
  for (; c < channels; ++c, x += n, dy += n) {
    const auto about = hn::Set(d, shift[c]);
    sum[c] = product[c] = 0.0;
    for (std::size_t begin = 0; begin < n; begin += kSumBlock) {
      auto sums = hn::Zero(d);
      auto products = hn::Zero(d);
      ForEachVector(d, std::min(kSumBlock, n - begin), [&](std::size_t at, auto span) HWY_ATTR {
        const auto gradient = span.Load(d, dy + begin + at);
        sums = hn::Add(sums, gradient);
        const auto centred = hn::Sub(span.Load(d, x + begin + at), about);
        products = hn::MulAdd(gradient, centred, products);
      });
      sum[c] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sums)));
      product[c] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, products)));
    }
  }
}

void SegmentGradient(const ChannelGradient<float>& pass, std::size_t channels, std::size_t n) {
  const hn::ScalableTag<float> d;
  float* dx = pass.dx;
  const float* dy = pass.dy;
  const float* x = pass.x;
  const std::size_t ahead = RowsAhead(channels * n, pass.traffic);
  for (std::size_t c = 0; c < channels; ++c, x += n, dy += n, dx += n) {
    const auto vshift = hn::Set(d, pass.shift[c]);
    const auto va = hn::Set(d, pass.a[c]);
    const auto vb = hn::Set(d, pass.b[c]);
    const auto vk = hn::Set(d, pass.k[c]);
    ForEachVector(d, n, [&](std::size_t i, auto span) HWY_ATTR {
      Fetch(dy + i, ahead);
      const auto centred = hn::Sub(span.Load(d, x + i), vshift);
      span.Store(hn::MulAdd(span.Load(d, dy + i), va, hn::MulAdd(centred, vb, vk)), d, dx + i);
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice::kernels {
namespace {
HWY_EXPORT(ColumnMoments);
HWY_EXPORT(ColumnAffine);
HWY_EXPORT(ColumnSums);
HWY_EXPORT(ColumnGradient);
HWY_EXPORT(SegmentMoments);
HWY_EXPORT(SegmentAffine);
HWY_EXPORT(SegmentSums);
HWY_EXPORT(SegmentGradient);
}  // namespace

void channel_moments(double* mean, double* m2, const float* x, ChannelLayout layout) {
  if (layout.last) {
    HWY_DYNAMIC_DISPATCH(ColumnMoments)(mean, m2, x, layout.length, layout.channels);
  } else {
    HWY_DYNAMIC_DISPATCH(SegmentMoments)(mean, m2, x, layout.channels, layout.length);
  }
}

void channel_affine(const ChannelAffine<float>& pass, ChannelLayout layout) {
  if (layout.last) {
    HWY_DYNAMIC_DISPATCH(ColumnAffine)(pass, layout.length, layout.channels);
  } else {
    HWY_DYNAMIC_DISPATCH(SegmentAffine)(pass, layout.channels, layout.length);
  }
}

void channel_sums(const ChannelSums<float>& pass, ChannelLayout layout) {
  if (layout.last) {
    HWY_DYNAMIC_DISPATCH(ColumnSums)(pass, layout.length, layout.channels);
  } else {
    HWY_DYNAMIC_DISPATCH(SegmentSums)(pass, layout.channels, layout.length);
  }
  for (std::size_t c = 0; c < layout.channels; ++c) {
    pass.product[c] = pass.product[c] * static_cast<double>(pass.scale[c]) +
                      pass.sum[c] * static_cast<double>(pass.offset[c]);
  }
}

void channel_gradient(const ChannelGradient<float>& pass, ChannelLayout layout) {
  if (layout.last) {
    HWY_DYNAMIC_DISPATCH(ColumnGradient)(pass, layout.length, layout.channels);
  } else {
    HWY_DYNAMIC_DISPATCH(SegmentGradient)(pass, layout.channels, layout.length);
  }
}

}  // namespace sluice::kernels
#endif
