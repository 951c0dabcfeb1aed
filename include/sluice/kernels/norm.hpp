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
//
// `past_caches`: inputs and results do not stay in the caches; they are fetched ahead, and written
// past them where that can be (streaming.hpp).

#include <cstddef>

namespace sluice::kernels {

/// Sets that are contiguous rows: x, y [positions, groups, n], each row a set; weight, bias
/// [groups, n] or null; statistics [positions, groups, 3] (shift, scale, offset) is written. Layer
/// norm (Ba et al. 2016), RMS norm and group norm over the channels of one position.
void norm_rows_forward(float* y, float* statistics, const float* x, const float* weight,
                       const float* bias, double eps, bool centred, std::size_t positions,
                       std::size_t groups, std::size_t n, bool past_caches = false);
void norm_rows_forward(double* y, double* statistics, const double* x, const double* weight,
                       const double* bias, double eps, bool centred, std::size_t positions,
                       std::size_t groups, std::size_t n, bool past_caches = false);

/// Gradients of norm_rows_forward. dweight and dbias [groups, n] are added to; either may be null,
/// and dx may be dy or null.
void norm_rows_backward(float* dx, float* dweight, float* dbias, const float* dy, const float* x,
                        const float* statistics, const float* weight, bool centred,
                        std::size_t positions, std::size_t groups, std::size_t n,
                        bool past_caches = false);
void norm_rows_backward(double* dx, double* dweight, double* dbias, const double* dy,
                        const double* x, const double* statistics, const double* weight,
                        bool centred, std::size_t positions, std::size_t groups, std::size_t n,
                        bool past_caches = false);

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
void channel_affine(float* y, const float* x, const float* shift, const float* a, const float* b,
                    ChannelLayout layout, bool past_caches = false);
void channel_affine(double* y, const double* x, const double* shift, const double* a,
                    const double* b, ChannelLayout layout, bool past_caches = false);

/// sum[c] = Σ dy, product[c] = Σ dy x̂ with x̂ = (x - shift[c]) · scale[c] + offset[c].
void channel_sums(double* sum, double* product, const float* dy, const float* x, const float* shift,
                  const float* scale, const float* offset, ChannelLayout layout,
                  bool past_caches = false);
void channel_sums(double* sum, double* product, const double* dy, const double* x,
                  const double* shift, const double* scale, const double* offset,
                  ChannelLayout layout, bool past_caches = false);

/// dx = a[c] · dy + b[c] · (x - shift[c]) + k[c]; dx may be dy.
void channel_gradient(float* dx, const float* dy, const float* x, const float* shift,
                      const float* a, const float* b, const float* k, ChannelLayout layout,
                      bool past_caches = false);
void channel_gradient(double* dx, const double* dy, const double* x, const double* shift,
                      const double* a, const double* b, const double* k, ChannelLayout layout,
                      bool past_caches = false);

}  // namespace sluice::kernels
