#include "sluice/tensor/detail/elementwise.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"

namespace sluice {

void add_in_place(const Tensor& y, const Tensor& x, double a) {
  if (!(y.shape() == x.shape()) || y.dtype() != x.dtype()) {
    throw Error(fmt::format("cannot add a {} tensor of shape {} to a {} tensor of shape {}",
                            dtype_name(x.dtype()), x.shape().str(), dtype_name(y.dtype()),
                            y.shape().str()));
  }
  const ProfileScope profile("add", 0, 3 * static_cast<double>(x.bytes()));
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* out = y.data<T>();
    const T* in = x.data<T>();
    parallel_for(y.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::add_scaled(out + begin, in + begin, static_cast<T>(a),
                          static_cast<std::size_t>(end - begin));
    });
  });
}

Tensor scaled(const Tensor& x, double a) {
  const ProfileScope profile("scale", 0, 2 * static_cast<double>(x.bytes()));
  Tensor y(x.shape(), x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* out = y.data<T>();
    const T* in = x.data<T>();
    parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::scale_into(out + begin, in + begin, static_cast<T>(a),
                          static_cast<std::size_t>(end - begin));
    });
  });
  return y;
}

void add_bias(const Tensor& y, const Tensor& bias) {
  if (!bias.defined()) return;
  const std::int64_t n = y.dim(1);
  const ProfileScope profile("bias", 0, 2 * static_cast<double>(y.bytes()));
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(y.dim(0), row_grain(n), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        kernels::add_scaled(y.data<T>() + r * n, bias.data<T>(), T{1}, static_cast<std::size_t>(n));
      }
    });
  });
}

Tensor bias_gradient(const Tensor& dy) {
  const ProfileScope profile("bias", 0, static_cast<double>(dy.bytes()));
  Tensor sums = Tensor::zeros(Shape{dy.dim(1)}, dy.dtype());
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    kernels::column_sums(sums.data<T>(), dy.data<T>(), static_cast<std::size_t>(dy.dim(0)),
                         static_cast<std::size_t>(dy.dim(1)));
  });
  return sums;
}

Tensor filled(Shape shape, DType dtype, double value) {
  Tensor y(shape, dtype);
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    std::ranges::fill(y.span<T>(), static_cast<T>(value));
  });
  return y;
}

bool all_finite(const Tensor& x) {
  const auto elements = static_cast<std::size_t>(x.elements());
  switch (x.dtype()) {
    case DType::f32:
      return kernels::all_finite(x.data<float>(), elements);
    case DType::f64:
      return kernels::all_finite(x.data<double>(), elements);
    case DType::bf16: {
      constexpr std::uint16_t exponent = 0x7f80;
      const auto* const bits = static_cast<const std::uint16_t*>(x.raw());
      return std::all_of(bits, bits + elements,
                         [](std::uint16_t each) { return (each & exponent) != exponent; });
    }
    default:
      return true;
  }
}

void clamp_in_place(const Tensor& x, double bound) {
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::clamp(x.data<T>() + begin, static_cast<T>(bound),
                     static_cast<std::size_t>(end - begin));
    });
  });
}

void zero_in_place(const Tensor& x) {
  const ProfileScope profile("zero", 0, static_cast<double>(x.bytes()));
  auto* out = static_cast<std::byte*>(x.raw());
  parallel_for(static_cast<std::int64_t>(x.bytes()), kElementGrain * 4,
               [&](std::int64_t begin, std::int64_t end) {
                 std::memset(out + begin, 0, static_cast<std::size_t>(end - begin));
               });
}

}  // namespace sluice
