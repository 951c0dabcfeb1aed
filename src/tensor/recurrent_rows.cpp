#include "sluice/tensor/detail/recurrent_rows.hpp"

#include <algorithm>
#include <numeric>

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice::recurrent {

Steps::Steps(const PackedRows& rows)
    : texts_(static_cast<std::int64_t>(rows.texts())), count_(rows.longest()) {
  if (rows.uniform()) return;
  Order order{rows, {}, {}, {}, {}};
  order.texts.resize(rows.texts());
  std::iota(order.texts.begin(), order.texts.end(), std::int64_t{0});
  std::stable_sort(order.texts.begin(), order.texts.end(), [&](std::int64_t a, std::int64_t b) {
    return rows.length(at(a)) > rows.length(at(b));
  });
  order.first.reserve(at(count_ + 1));
  order.packed_of.reserve(at(rows.rows()));
  order.row_of.resize(at(rows.rows()));
  std::int64_t active = texts_;
  for (std::int64_t t = 0; t < count_; ++t) {
    order.first.push_back(static_cast<std::int64_t>(order.packed_of.size()));
    while (rows.length(at(order.texts[at(active - 1)])) <= t) --active;
    for (std::int64_t place = 0; place < active; ++place) {
      const std::int64_t packed = rows.first(at(order.texts[at(place)])) + t;
      order.row_of[at(packed)] = static_cast<std::int64_t>(order.packed_of.size());
      order.packed_of.push_back(packed);
    }
  }
  order.first.push_back(rows.rows());
  order_ = std::make_shared<const Order>(std::move(order));
}

Tensor to_time_major(const Tensor& x, const Call& call) {
  const std::int64_t columns = x.dim(-1), pitch = call.pitch(columns);
  Tensor y(Shape{call.rows(), pitch}, call.operand);
  const ProfileScope profile("time-major", 0, static_cast<double>(x.bytes() + y.bytes()));
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(call.rows(), row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const T* from = x.data<T>() + call.steps.packed_of(r) * columns;
        if constexpr (sizeof(T) == sizeof(float)) {
          if (call.operand == DType::bf16) {
            kernels::to_bfloat16(y.data<std::uint16_t>() + r * pitch, from,
                                 static_cast<std::size_t>(columns));
            continue;
          }
        }
        std::copy_n(from, columns, y.data<T>() + r * pitch);
      }
    });
  });
  return y;
}

Tensor from_time_major(const Tensor& rows, std::int64_t first_row, std::int64_t first_column,
                       Shape shape, const Call& call) {
  Tensor y(shape, call.dtype);
  const ProfileScope profile("time-major", 0, 2 * static_cast<double>(y.bytes()));
  const std::int64_t pitch = rows.dim(1), columns = shape[-1];
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = rows.data<T>() + first_row * pitch + first_column;
    parallel_for(call.rows(), row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        std::copy_n(from + call.steps.row_of(r) * pitch, columns, y.data<T>() + r * columns);
      }
    });
  });
  return y;
}

Tensor make_states(const Tensor& first, const Call& call) {
  Tensor states(Shape{call.batch() + call.rows(), call.pitch(call.hidden)}, call.dtype);
  states.rows(0, call.batch()).fill_zero();
  if (!first.defined()) return states;
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t b = 0; b < call.batch(); ++b) {
      std::copy_n(first.data<T>() + call.steps.text(b) * call.hidden, call.hidden,
                  states.data<T>() + b * states.dim(1));
    }
  });
  return states;
}

Tensor last_state(const Tensor& states, const Call& call) {
  Tensor last(Shape{call.batch(), call.hidden}, call.dtype);
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t b = 0; b < call.batch(); ++b) {
      std::copy_n(states.data<T>() + call.steps.last_state_row(b) * states.dim(1), call.hidden,
                  last.data<T>() + call.steps.text(b) * call.hidden);
    }
  });
  return last;
}

}  // namespace sluice::recurrent
