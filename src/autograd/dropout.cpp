#include "sluice/autograd/dropout.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "drop.hpp"
#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/kernels/dropout.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {
namespace {

template <class T>
void drop_elements(T* to, const T* x, std::int64_t n, const Dropout& d, std::int64_t offset) {
  const auto count = static_cast<std::size_t>(n);
  if (d.probability > 0) {
    kernels::dropout(to, x, count, d.probability, d.key(), static_cast<std::uint64_t>(offset));
  } else if (to != x) {
    std::memcpy(to, x, count * sizeof(T));
  }
}

// x [B, T, C] with the mask of a stream's first row for all of its rows.
Tensor dropped_over_time(const Tensor& x, const Dropout& d) {
  const ProfileScope profile("dropout", 0, 2 * static_cast<double>(x.bytes()));
  const std::int64_t time = x.dim(1), n = x.dim(2);
  Tensor y(x.shape(), x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(x.dim(0) * time, row_grain(n), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        drop(y.data<T>() + r * n, x.data<T>() + r * n, n, d, r / time * n);
      }
    });
  });
  return y;
}

}  // namespace

void drop(float* to, const float* x, std::int64_t n, const Dropout& dropout, std::int64_t offset) {
  drop_elements(to, x, n, dropout, offset);
}

void drop(double* to, const double* x, std::int64_t n, const Dropout& dropout,
          std::int64_t offset) {
  drop_elements(to, x, n, dropout, offset);
}

void drop(std::uint16_t* to, const float* x, std::int64_t n, const Dropout& dropout,
          std::int64_t offset) {
  if (dropout.probability == 0) {
    kernels::to_bfloat16(to, x, static_cast<std::size_t>(n));
    return;
  }
  constexpr std::int64_t kPart = 2048;
  float part[kPart];
  for (std::int64_t i = 0; i < n; i += kPart) {
    const std::int64_t m = std::min(kPart, n - i);
    drop(part, x + i, m, dropout, offset + i);
    kernels::to_bfloat16(to + i, part, static_cast<std::size_t>(m));
  }
}

Tensor dropped(const Tensor& x, const Dropout& dropout, const char* scope) {
  if (dropout.probability == 0) return x;
  const ProfileScope profile(scope, 0, 2 * static_cast<double>(x.bytes()));
  Tensor y(x.shape(), x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      drop(y.data<T>() + begin, x.data<T>() + begin, end - begin, dropout, begin);
    });
  });
  return y;
}

Variable dropout(const Variable& x, const Dropout& dropout) {
  if (dropout.probability == 0) return x;
  return record(dropped(x.value(), dropout), {x}, [x = x.gradient(), dropout](const Tensor& dy) {
    x->accumulate(dropped(dy, dropout));
  });
}

Variable dropout_over_time(const Variable& x, const Dropout& dropout) {
  if (x.shape().rank() != 3) {
    throw Error(fmt::format("dropout_over_time: x must be [B, T, C], got {}", x.shape().str()));
  }
  if (dropout.probability == 0) return x;
  return record(dropped_over_time(x.value(), dropout), {x},
                [x = x.gradient(), dropout](const Tensor& dy) {
                  x->accumulate(dropped_over_time(dy, dropout));
                });
}

}  // namespace sluice
