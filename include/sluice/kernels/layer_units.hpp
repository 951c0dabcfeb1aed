#pragma once
// Units that are more than a function of one number: with learned parameters, random slopes, or a
// choice among several inputs. Conventions as in fused_units.hpp: one thread, outputs first,
// gradients of inputs written (=), those of parameters accumulated (+=) row after row, NaN in gives
// NaN out at that place only.

#include <cstddef>
#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/base/random.hpp"
#include "sluice/kernels/traffic.hpp"

SLUICE_API_BEGIN
namespace sluice::kernels {

/// y[r, j] = x[r, j] if x[r, j] > 0, else α[j] x[r, j]; all [rows, n], α [n]. At most 1 ULP from
/// exact. y may be x. (He et al. 2015, "Delving Deep into Rectifiers", eq. 1.)
template <class T>
struct LearnedForward {
  T* y;
  const T* x;
  const T* parameter;
  Traffic traffic = Traffic::cached;
};
void prelu_forward(const LearnedForward<float>& pass, std::size_t rows, std::size_t n);
void prelu_forward(const LearnedForward<double>& pass, std::size_t rows, std::size_t n);

/// dx = dy (x > 0 ? 1 : α); dα[j] += Σ_r dy min(x, 0), unless dparameter is null. dx may be dy or
/// x.
template <class T>
struct LearnedBackward {
  T* dx;
  T* dparameter;
  const T* dy;
  const T* x;
  const T* parameter;
  Traffic traffic = Traffic::cached;
};
void prelu_backward(const LearnedBackward<float>& pass, std::size_t rows, std::size_t n);
void prelu_backward(const LearnedBackward<double>& pass, std::size_t rows, std::size_t n);

/// y = x σ(βx), β [n] of any sign and finite; at most 4 ULP from exact, and relative |βx| 2^-24 for
/// the rounding of βx; results below 2^-118 may be 0. y may be x. (Ramachandran et al. 2017,
/// eq. 1.)
void swish_forward(const LearnedForward<float>& pass, std::size_t rows, std::size_t n);
void swish_forward(const LearnedForward<double>& pass, std::size_t rows, std::size_t n);

/// dx = dy σ(t) (1 + t σ(-t)), t = βx; dβ[j] += Σ_r dy x² σ(t) σ(-t), unless dparameter is null. dx
/// may be dy or x.
void swish_backward(const LearnedBackward<float>& pass, std::size_t rows, std::size_t n);
void swish_backward(const LearnedBackward<double>& pass, std::size_t rows, std::size_t n);

/// y[i] = v[i] · (x[i] > 0 ? 1 : s), s = lower + (upper - lower) u and u = key.uniform(offset + i):
/// RReLU with v = x, its gradient with v = dy. y may be v or x. (Xu, Wang, Chen & Li 2015,
/// "Empirical Evaluation of Rectified Activations in Convolution Network", eq. 4.)
struct RandomSlopes {
  float lower, upper;
  RandomKey key;
  std::uint64_t offset = 0;
};
void rrelu(float* y, const float* v, const float* x, std::size_t n, const RandomSlopes& slopes,
           Traffic traffic = Traffic::cached);
void rrelu(double* y, const double* v, const double* x, std::size_t n, const RandomSlopes& slopes,
           Traffic traffic = Traffic::cached);

/// y[r, j] = max_i z[r, i n + j], i < k: z [rows, k n], y [rows, n]. (Goodfellow et al. 2013, eq.
/// of section 2.)
struct MaxoutShape {
  std::size_t rows, n, k;
};
void maxout_forward(float* y, const float* z, const MaxoutShape& shape,
                    Traffic traffic = Traffic::cached);
void maxout_forward(double* y, const double* z, const MaxoutShape& shape,
                    Traffic traffic = Traffic::cached);

/// dz[r, i n + j] = dy[r, j] where i is the first that is greatest (or NaN), else 0. dz is not z.
void maxout_backward(float* dz, const float* dy, const float* z, const MaxoutShape& shape,
                     Traffic traffic = Traffic::cached);
void maxout_backward(double* dz, const double* dy, const double* z, const MaxoutShape& shape,
                     Traffic traffic = Traffic::cached);

}  // namespace sluice::kernels
SLUICE_API_END
