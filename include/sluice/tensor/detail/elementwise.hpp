#pragma once
// Whole-tensor elementwise work, split over threads.

#include "sluice/base/parallel.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// Smallest number of elements worth a thread of its own.
inline constexpr std::int64_t kElementGrain = 1 << 14;
/// Rows of `columns` elements worth a thread of its own.
inline std::int64_t row_grain(std::int64_t columns) {
  return 1 + kElementGrain / (columns > 0 ? columns : 1);
}

/// y += a · x (same shape and type, else Error naming both).
void add_in_place(const Tensor& y, const Tensor& x, double a = 1.0);
/// a · x.
Tensor scaled(const Tensor& x, double a);
/// y[r] += bias for every row r of y [R, N]; bias [N], or undefined: nothing is added.
void add_bias(const Tensor& y, const Tensor& bias);
/// Its gradient: Σ_r dy[r], [N], in row order on one thread.
Tensor bias_gradient(const Tensor& dy);
/// A tensor of equal elements (float types).
Tensor filled(Shape shape, DType dtype, double value);
/// Whether none of its elements is an infinity or NaN; integers are none.
bool all_finite(const Tensor& x);
/// Each element becomes the nearest number in [-bound, bound]; NaN stays (float types).
void clamp_in_place(const Tensor& x, double bound);
/// A tensor whose element i is f(i), a double, rounded to `dtype`; f is called on all threads
/// (float types).
template <class F>
Tensor generated(Shape shape, DType dtype, const F& f) {
  Tensor x(shape, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const out = x.data<T>();
    parallel_for(x.elements(), 1024, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        out[i] = static_cast<T>(f(static_cast<std::uint64_t>(i)));
      }
    });
  });
  return x;
}
/// Zeroes a tensor on all threads.
void zero_in_place(const Tensor& x);

}  // namespace sluice
