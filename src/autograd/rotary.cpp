#include <fmt/format.h>

#include "op_support.hpp"
#include "sluice/autograd/attention.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/attention.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/rotary_table.hpp"

namespace sluice {

void check_heads(const char* what, std::int64_t dim, std::int64_t heads, bool rotary) {
  if (heads < 1 || dim % heads != 0) {
    throw UsageError(
        fmt::format("{}: {} heads do not divide a width of {}; use a number of heads that does",
                    what, heads, dim));
  }
  if (rotary && dim / heads % 2 != 0) {
    throw UsageError(fmt::format(
        "{}: rotary positions turn pairs, but {} heads of a width of {} have {} elements each, an "
        "odd number; use another number of heads or learned positions",
        what, heads, dim, dim / heads));
  }
}

namespace {

template <class T>
Tensor rotated(const Tensor& x, const RotaryTable<T>& table, std::int64_t heads, bool back) {
  const ProfileScope profile("rotary", 0, 2 * static_cast<double>(x.bytes()));
  const std::int64_t time = x.dim(1), width = x.dim(2), head = width / heads;
  Tensor y(x.shape(), x.dtype());
  parallel_for(x.dim(0) * time, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      for (std::int64_t at = r * width; at < (r + 1) * width; at += head) {
        kernels::rotate_pairs(y.data<T>() + at, x.data<T>() + at,
                              table.rotation(r % time, T{1}, back),
                              static_cast<std::size_t>(table.pairs));
      }
    }
  });
  return y;
}

}  // namespace

Variable rotary(const Variable& x, std::int64_t heads, std::int64_t first_position) {
  if (x.shape().rank() != 3) {
    throw Error(fmt::format("rotary: expected [B, T, D], got shape {}", x.shape().str()));
  }
  check_heads("rotary", x.shape()[2], heads, true);
  return dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto table = std::make_shared<const RotaryTable<T>>(
        make_rotary_table<T>(x.shape()[2] / heads / 2, first_position, x.shape()[1]));
    return record(rotated(x.value(), *table, heads, false), {x},
                  [table, heads, x = x.gradient()](const Tensor& dy) {
                    x->accumulate(rotated(dy, *table, heads, true));
                  });
  });
}

}  // namespace sluice
