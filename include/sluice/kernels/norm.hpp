#pragma once
// Normalisation by statistics of the input. One thread, no allocation.
//
// A set of n elements that share statistics is normalised to
//   x̂ = (x - mean) / √(var + eps), var = Σ (x - mean)² / n   (centred; Ioffe & Szegedy 2015)
//   x̂ = x / √(Σ x² / n + eps)                                (not centred; Zhang & Sennrich 2019)
// and with weight γ and bias β becomes y = γ x̂ + β. Its gradient, with g = γ dy, is
//   dx = (g - mean(g) - x̂ mean(g x̂)) / √(var + eps)     (without mean(g) where not centred)
//   dγ = Σ dy x̂, dβ = Σ dy.
//
// Statistics are kept as three numbers per set, x̂ = (x - shift) · scale + offset: shift is the mean
// rounded to T, which makes x - shift all but exact, and offset what the rounding left. So a mean
// that is large beside the deviation costs nothing: float results are within 4e-6 of float64's,
// relative to 1 + |y|, also for a mean of 10⁴ deviations (tests/kernels/norm_test.cpp).
//
// One NaN or ±Inf makes its whole set NaN (as in PyTorch), and through sums dγ and dβ; no other
// set. RMS norm, which subtracts no mean, makes an infinity NaN and the rest of its row 0.

#include <cstddef>

#include "sluice/base/api.hpp"
#include "sluice/kernels/traffic.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// Sets that are contiguous rows: positions × groups of them, n elements each.
struct RowSets {
  std::size_t positions, groups, n;
  bool centred = true;
};

/// x, y [positions, groups, n]; weight, bias [groups, n] or null; statistics [positions, groups, 3]
/// (shift, scale, offset) is written. Layer norm (Ba et al. 2016), RMS norm and group norm over the
/// channels of one position.
template <class T>
struct NormRowsForward {
  T* y;
  T* statistics;
  const T* x;
  const T* weight;
  const T* bias;
  double eps;
  Traffic traffic = Traffic::cached;
};
void norm_rows_forward(const NormRowsForward<float>& pass, const RowSets& sets);
void norm_rows_forward(const NormRowsForward<double>& pass, const RowSets& sets);

/// Its gradient. dweight and dbias [groups, n] are added to; either may be null, and dx may be dy
/// or null.
template <class T>
struct NormRowsBackward {
  T* dx;
  T* dweight;
  T* dbias;
  const T* dy;
  const T* x;
  const T* statistics;
  const T* weight;
  Traffic traffic = Traffic::cached;
};
void norm_rows_backward(const NormRowsBackward<float>& pass, const RowSets& sets);
void norm_rows_backward(const NormRowsBackward<double>& pass, const RowSets& sets);

/// How the channels of a matrix lie: `last`, x [length, channels], or `first`, x [channels,
/// length].
struct ChannelLayout {
  bool last = true;
  std::size_t channels = 0, length = 0;
};

/// mean[c] and m2[c] = Σ (x - mean[c])² of each channel.
void channel_moments(double* mean, double* m2, const float* x, ChannelLayout layout);
void channel_moments(double* mean, double* m2, const double* x, ChannelLayout layout);

/// y = (x - shift[c]) · a[c] + b[c]; y may be x.
template <class T>
struct ChannelAffine {
  T* y;
  const T* x;
  const T* shift;
  const T* a;
  const T* b;
  Traffic traffic = Traffic::cached;
};
void channel_affine(const ChannelAffine<float>& pass, ChannelLayout layout);
void channel_affine(const ChannelAffine<double>& pass, ChannelLayout layout);

/// sum[c] = Σ dy, product[c] = Σ dy x̂ with x̂ = (x - shift[c]) · scale[c] + offset[c].
template <class T>
struct ChannelSums {
  double* sum;
  double* product;
  const T* dy;
  const T* x;
  const T* shift;
  const T* scale;
  const T* offset;
  Traffic traffic = Traffic::cached;
};
void channel_sums(const ChannelSums<float>& pass, ChannelLayout layout);
void channel_sums(const ChannelSums<double>& pass, ChannelLayout layout);

/// dx = a[c] · dy + b[c] · (x - shift[c]) + k[c]; dx may be dy.
template <class T>
struct ChannelGradient {
  T* dx;
  const T* dy;
  const T* x;
  const T* shift;
  const T* a;
  const T* b;
  const T* k;
  Traffic traffic = Traffic::cached;
};
void channel_gradient(const ChannelGradient<float>& pass, ChannelLayout layout);
void channel_gradient(const ChannelGradient<double>& pass, ChannelLayout layout);

}  // namespace sluice::kernels
SLUICE_API_END
