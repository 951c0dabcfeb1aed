// Norms whose sets are contiguous rows: layer, RMS, and groups of one position.
#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "norm_support.hpp"
#include "op_support.hpp"
#include "sluice/autograd/norm.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/norm.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice {

void check_norm_parameter(const char* op, const char* name, const Variable& parameter,
                          const Shape& shape, const Variable& x) {
  if (!parameter.defined()) return;
  if (!(parameter.shape() == shape) || parameter.dtype() != x.dtype()) {
    throw Error(fmt::format("{}: expected {} {} of {} for x {}, got {} of {}", op, name,
                            shape.str(), dtype_name(x.dtype()), x.shape().str(),
                            parameter.shape().str(), dtype_name(parameter.dtype())));
  }
}

void check_norm_input(const char* op, const Variable& x, int least, int most) {
  const int rank = x.shape().rank();
  if (rank < least || rank > most) {
    throw Error(fmt::format("{}: expected x of {} to {} dimensions, got shape {}", op, least, most,
                            x.shape().str()));
  }
  if (x.value().elements() == 0) {
    throw Error(fmt::format("{}: there is nothing to normalise in x {}", op, x.shape().str()));
  }
}

void check_norm_groups(const char* op, std::int64_t groups, std::int64_t channels) {
  if (groups < 1 || channels % groups != 0) {
    throw UsageError(fmt::format("{}: the number of groups must divide the {} channels, got {}", op,
                                 channels, groups));
  }
}

namespace {

struct Rows {
  bool centred = true;
  double eps = 0;
  std::int64_t positions = 0, groups = 1, n = 0;

  std::int64_t width() const { return groups * n; }
  // Of `count` positions.
  kernels::RowSets sets(std::int64_t count) const {
    return {static_cast<std::size_t>(count), static_cast<std::size_t>(groups),
            static_cast<std::size_t>(n), centred};
  }
};

// Positions whose dγ and dβ are summed in float; these sums are then added up in double, in order:
// the result does not depend on the number of threads.
constexpr std::int64_t kPartRows = 64;

// to[c] = Σ parts[p, which, c], parts [P, 2, width].
template <class T>
Tensor total(const Tensor& parts, std::int64_t which, const Shape& shape) {
  Tensor sums(shape, parts.dtype());
  const std::int64_t width = parts.dim(2), count = parts.dim(0);
  const Tensor totals = Tensor::zeros(Shape{width}, DType::f64);
  parallel_for(width, row_grain(count), [&](std::int64_t begin, std::int64_t end) {
    double* const wide = totals.data<double>();
    for (std::int64_t p = 0; p < count; ++p) {
      const T* const part = parts.data<T>() + (2 * p + which) * width;
      for (std::int64_t c = begin; c < end; ++c) wide[c] += static_cast<double>(part[c]);
    }
    for (std::int64_t c = begin; c < end; ++c) sums.data<T>()[c] = static_cast<T>(wide[c]);
  });
  return sums;
}

// What the gradient of a row norm needs.
struct SavedRows {
  Rows rows;
  Tensor x, statistics, weight;
  Shape affine;
  Gradient dx, dweight, dbias;
};

template <class T>
void rows_backward(const SavedRows& saved, const Tensor& dy) {
  const Rows& rows = saved.rows;
  const std::int64_t width = rows.width();
  const std::int64_t count = (rows.positions + kPartRows - 1) / kPartRows;
  const bool affine = saved.dweight || saved.dbias;
  const ProfileScope profile("norm", 0, 3.0 * static_cast<double>(dy.bytes()));
  const Tensor parts = affine ? Tensor(Shape{count, 2, width}, dy.dtype()) : Tensor();
  const kernels::Traffic traffic = kernels::traffic_of(3.0 * static_cast<double>(dy.bytes()));
  // dy is this op's alone: dx goes where it was.
  T* const dx = saved.dx ? dy.data<T>() : nullptr;
  const std::int64_t grain = std::max<std::int64_t>(1, row_grain(width) / kPartRows);
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      const std::int64_t first = part * kPartRows;
      const std::int64_t many = std::min(kPartRows, rows.positions - first);
      T* const sums = affine ? parts.data<T>() + 2 * part * width : nullptr;
      if (affine) std::fill_n(sums, 2 * width, T(0));
      kernels::norm_rows_backward(
          kernels::NormRowsBackward<T>{
              dx != nullptr ? dx + first * width : nullptr, saved.dweight ? sums : nullptr,
              saved.dbias ? sums + width : nullptr, dy.data<T>() + first * width,
              saved.x.data<T>() + first * width,
              saved.statistics.data<T>() + first * rows.groups * 3, data_or_null<T>(saved.weight),
              traffic},
          rows.sets(many));
    }
  });
  if (saved.dweight) saved.dweight->accumulate(total<T>(parts, 0, saved.affine));
  if (saved.dbias) saved.dbias->accumulate(total<T>(parts, 1, saved.affine));
  if (saved.dx) saved.dx->accumulate(dy);
}

Variable normalise(const Variable& x, const Variable& weight, const Variable& bias,
                   const Rows& rows) {
  const std::int64_t width = rows.width();
  const ProfileScope profile("norm", 0, 2.0 * static_cast<double>(x.value().bytes()));
  const Tensor y(x.shape(), x.dtype());
  const kernels::Traffic traffic = kernels::traffic_of(2.0 * static_cast<double>(y.bytes()));
  const Tensor statistics(Shape{rows.positions * rows.groups, 3}, x.dtype());
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_for(rows.positions, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
      kernels::norm_rows_forward(
          kernels::NormRowsForward<T>{
              y.data<T>() + begin * width, statistics.data<T>() + begin * rows.groups * 3,
              x.value().data<T>() + begin * width, data_or_null<T>(weight.value()),
              data_or_null<T>(bias.value()), rows.eps, traffic},
          rows.sets(end - begin));
    });
  });
  return record(y, {x, weight, bias},
                [saved = SavedRows{rows, x.value(), statistics, weight.value(),
                                   weight.defined() ? weight.shape() : bias.shape(), x.gradient(),
                                   weight.gradient(), bias.gradient()}](const Tensor& dy) {
                  dispatch_float(dy.dtype(),
                                 [&](auto zero) { rows_backward<decltype(zero)>(saved, dy); });
                });
}

}  // namespace

Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps,
                    int dims) {
  const int rank = x.shape().rank();
  if (dims < 1 || dims > rank) {
    throw Error(fmt::format("layer_norm: cannot normalise the last {} dimensions of x {}", dims,
                            x.shape().str()));
  }
  check_norm_input("layer_norm", x, 1, 4);
  const auto last = [&](int i) { return x.shape()[rank - dims + i]; };
  const Shape shape = dims == 1   ? Shape{last(0)}
                      : dims == 2 ? Shape{last(0), last(1)}
                      : dims == 3 ? Shape{last(0), last(1), last(2)}
                                  : x.shape();
  check_norm_parameter("layer_norm", "weight", weight, shape, x);
  check_norm_parameter("layer_norm", "bias", bias, shape, x);
  const std::int64_t n = shape.elements();
  return normalise(x, weight, bias, {true, eps, x.value().elements() / n, 1, n});
}

Variable rms_norm(const Variable& x, const Variable& weight, double eps) {
  check_norm_input("rms_norm", x, 1, 4);
  const std::int64_t n = x.shape()[-1];
  check_norm_parameter("rms_norm", "weight", weight, Shape{n}, x);
  return normalise(x, weight, {}, {false, eps, x.value().elements() / n, 1, n});
}

Variable position_norm(const Variable& x, std::int64_t groups, const Variable& weight,
                       const Variable& bias, double eps) {
  check_norm_input("position_norm", x, 1, 4);
  const std::int64_t channels = x.shape()[-1];
  check_norm_groups("position_norm", groups, channels);
  check_norm_parameter("position_norm", "weight", weight, Shape{channels}, x);
  check_norm_parameter("position_norm", "bias", bias, Shape{channels}, x);
  return normalise(x, weight, bias,
                   {true, eps, x.value().elements() / channels, groups, channels / groups});
}

}  // namespace sluice
