#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <mutex>

#include <fmt/format.h>

#include "op_support.hpp"
#include "rotary_table.hpp"
#include "sluice/autograd/attention.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/attention.hpp"
#include "sluice/tensor/elementwise.hpp"

namespace sluice {

template <class T>
RotaryTable<T> make_rotary_table(std::int64_t pairs, std::int64_t first, std::int64_t count) {
  RotaryTable<T> table{pairs, count, {}, {}};
  table.cosine.resize(static_cast<std::size_t>(pairs * count));
  table.sine.resize(table.cosine.size());
  for (std::int64_t i = 0; i < pairs; ++i) {
    const double frequency =
        std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs));
    for (std::int64_t p = 0; p < count; ++p) {
      const double angle = static_cast<double>(first + p) * frequency;
      const auto at = static_cast<std::size_t>(p * pairs + i);
      table.cosine[at] = static_cast<T>(std::cos(angle));
      table.sine[at] = static_cast<T>(std::sin(angle));
    }
  }
  return table;
}

template <class T>
std::shared_ptr<const RotaryTable<T>> rotary_table(std::int64_t pairs, std::int64_t count) {
  static std::mutex mutex;
  static std::map<std::int64_t, std::shared_ptr<const RotaryTable<T>>> tables;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const RotaryTable<T>>& table = tables[pairs];
  if (!table || table->positions < count) {
    const auto length =
        std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 64)));
    table = std::make_shared<const RotaryTable<T>>(
        make_rotary_table<T>(pairs, 0, static_cast<std::int64_t>(length)));
  }
  return table;
}

template std::shared_ptr<const RotaryTable<float>> rotary_table(std::int64_t, std::int64_t);
template std::shared_ptr<const RotaryTable<double>> rotary_table(std::int64_t, std::int64_t);

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
