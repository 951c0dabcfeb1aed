#include "sluice/autograd/feed_forward.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "drop.hpp"
#include "op_support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/tensor/detail/elementwise.hpp"
#include "sluice/tensor/detail/operand.hpp"
#include "sluice/tensor/gemm.hpp"
#include "sluice/tensor/prepared_feed_forward.hpp"
#include "unit_rows.hpp"

namespace sluice {
namespace {

void check_shapes(const Variable& x, const Variable& w_in, const Variable& b_in,
                  const Variable& w_out, const Variable& b_out, const Unit& unit) {
  if (x.shape().rank() != 2 || w_in.shape().rank() != 2 || x.shape()[1] != w_in.shape()[1]) {
    throw Error(fmt::format(
        "gated_feed_forward: input {} does not fit first weight {}, expected [R, C] and [M, C]",
        x.shape().str(), w_in.shape().str()));
  }
  if (w_out.shape().rank() != 2 || w_in.shape()[0] != unit.inputs(w_out.shape()[1])) {
    throw Error(fmt::format(
        "gated_feed_forward: first weight {} and second weight {} do not fit unit {}, expected "
        "[{}, C] and [N, F]",
        w_in.shape().str(), w_out.shape().str(), unit_name(unit), unit.gated ? "2F" : "F"));
  }
  if (b_in.defined() && !(b_in.shape() == Shape{w_in.shape()[0]})) {
    throw Error(fmt::format("gated_feed_forward: first bias {} does not fit first weight {}",
                            b_in.shape().str(), w_in.shape().str()));
  }
  if (b_out.defined() && !(b_out.shape() == Shape{w_out.shape()[0]})) {
    throw Error(fmt::format("gated_feed_forward: second bias {} does not fit second weight {}",
                            b_out.shape().str(), w_out.shape().str()));
  }
}

// Rows of h in flight: enough that adding a block's gradient to the whole weights' stays a small
// part of the work, few enough that memory stays bounded.
std::int64_t block_rows(std::int64_t width) {
  constexpr std::int64_t kElements = std::int64_t{1} << 22;
  return std::max<std::int64_t>(kElements / std::max<std::int64_t>(width, 1), 4 * kRowBlock);
}

// Rows of `x`, the first `columns` of each.
MatrixView view(const Tensor& x, std::int64_t first, std::int64_t rows, std::int64_t columns) {
  return matrix(x).row_range(first, rows).column_range(0, columns);
}

template <class T>
const T* bias_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

// What forward and backward share. z and h are row blocks, their row `first` being row 0 of them.
template <class T>
struct Layer {
  Tensor x, w_in, w_out;  // operands of the products
  Tensor b_in, b_out;     // or undefined
  FeedForward options;
  DType operand = DType::f32;

  std::int64_t rows() const { return x.dim(0); }
  std::int64_t width() const { return w_out.dim(1); }    // F
  std::int64_t inputs() const { return w_in.dim(0); }    // unit.inputs(F)
  std::int64_t outputs() const { return w_out.dim(0); }  // N
  std::int64_t step() const {
    return std::min(block_rows(width()), std::max<std::int64_t>(rows(), 1));
  }
  Tensor new_z(std::int64_t count) const {
    return Tensor(Shape{count, feed_forward_pitch(inputs())}, dtype_of<T>);
  }
  Tensor new_h(std::int64_t count, DType dtype) const {
    return Tensor(Shape{count, feed_forward_pitch(width())}, dtype);
  }

  /// z = x·W_inᵀ of rows [first, first + count), without the bias.
  void project(const Tensor& z, std::int64_t z_first, std::int64_t first,
               std::int64_t count) const {
    gemm(z.data<T>() + z_first * z.dim(1), z.dim(1), view(x, first, count, x.dim(1)),
         transpose(matrix(w_in)));
  }

  /// to = dropout(unit(z + b_in)) of `count` rows, the first being row `row` of the whole.
  void activate(T* to, std::int64_t to_pitch, const T* z, std::int64_t z_pitch, std::int64_t row,
                std::int64_t count) const {
    const std::int64_t n = width();
    for (std::int64_t r = 0; r < count; ++r) {
      T* const out = to + r * to_pitch;
      kernels::unit_forward(
          kernels::UnitForward<T>{out, z + r * z_pitch, static_cast<std::size_t>(z_pitch),
                                  bias_or_null<T>(b_in)},
          1, static_cast<std::size_t>(n), options.unit);
      drop(out, out, n, options.dropout, (row + r) * n);
    }
  }

  /// Puts `count` rows of float h where the products take them from.
  void store(const Tensor& h, std::int64_t h_first, const T* from, std::int64_t pitch,
             std::int64_t count) const {
    for (std::int64_t r = 0; r < count; ++r) {
      const std::int64_t at = (h_first + r) * h.dim(1);
      if (h.dtype() == dtype_of<T>) {
        std::memcpy(h.data<T>() + at, from + r * pitch,
                    static_cast<std::size_t>(width()) * sizeof(T));
      } else if constexpr (std::is_same_v<T, float>) {
        kernels::to_bfloat16(h.data<std::uint16_t>() + at, from + r * pitch,
                             static_cast<std::size_t>(width()));
      }
    }
  }

  Tensor forward(const Tensor& kept_z) const {
    Tensor y(Shape{rows(), outputs()}, dtype_of<T>);
    const Tensor block_z = kept_z.defined() ? Tensor() : new_z(step());
    const Tensor h = new_h(step(), operand);
    for (std::int64_t first = 0; first < rows(); first += step()) {
      const std::int64_t count = std::min(step(), rows() - first);
      const Tensor& z = kept_z.defined() ? kept_z : block_z;
      const std::int64_t z_first = kept_z.defined() ? first : 0;
      project(z, z_first, first, count);
      activate_block(h, {z, z_first, first, count});
      gemm(y.data<T>() + first * outputs(), outputs(), view(h, 0, count, width()),
           transpose(matrix(w_out)));
    }
    add_bias(y, b_out);
    return y;
  }

  /// `count` rows of x from `first` on; their projections are rows of z from `z_first` on.
  struct Block {
    const Tensor& z;
    std::int64_t z_first, first, count;

    T* row(std::int64_t r) const { return z.data<T>() + (z_first + r) * z.dim(1); }
  };

  void activate_block(const Tensor& h, const Block& block) const {
    const ProfileScope profile("unit", 0, unit_bytes(block.count, inputs(), width(), dtype_of<T>));
    const std::int64_t pitch = block.z.dim(1);
    for_row_blocks(1, block.count, inputs(),
                   [&](std::int64_t, std::int64_t, std::int64_t begin, std::int64_t n) {
                     const T* const from = block.row(begin);
                     const std::int64_t row = block.first + begin;
                     if (h.dtype() == dtype_of<T>) {
                       activate(h.data<T>() + begin * h.dim(1), h.dim(1), from, pitch, row, n);
                       return;
                     }
                     const Tensor part(Shape{n, width()}, dtype_of<T>);
                     activate(part.data<T>(), width(), from, pitch, row, n);
                     store(h, begin, part.data<T>(), width(), n);
                   });
  }

  /// Of a block of rows: z becomes its gradient, dh the unit's output; both also where the products
  /// take them from, when that is elsewhere. `sums` [parts, inputs()] or undefined receives the
  /// share of b_in's gradient of each part of the block.
  void differentiate(const Block& block, const Tensor& dh, const Tensor& h_operand,
                     const Tensor& dz_operand, const Tensor& sums) const {
    const ProfileScope profile("unit", 0,
                               unit_bytes(block.count, 2 * inputs(), 2 * width(), dtype_of<T>));
    const std::int64_t m = inputs(), n = width();
    const Tensor& z = block.z;
    for_row_blocks(
        1, block.count, m,
        [&](std::int64_t part, std::int64_t, std::int64_t begin, std::int64_t rows_here) {
          T* const dbias = sums.defined() ? sums.data<T>() + part * m : nullptr;
          if (dbias != nullptr) std::fill_n(dbias, m, T{0});
          T* const z_rows = block.row(begin);
          T* const dh_rows = dh.data<T>() + begin * dh.dim(1);
          const Tensor h(Shape{1, n}, dtype_of<T>);
          for (std::int64_t r = 0; r < rows_here; ++r) {
            T* const z_row = z_rows + r * z.dim(1);
            T* const dh_row = dh_rows + r * dh.dim(1);
            activate(h.data<T>(), n, z_row, z.dim(1), block.first + begin + r, 1);
            drop(dh_row, dh_row, n, options.dropout, (block.first + begin + r) * n);
            const auto pitch = static_cast<std::size_t>(z.dim(1));
            kernels::unit_backward(kernels::UnitBackward<T>{z_row, pitch, dbias, dh_row, z_row,
                                                            pitch, bias_or_null<T>(b_in)},
                                   1, static_cast<std::size_t>(n), options.unit);
            store(h_operand, begin + r, h.data<T>(), n, 1);
            if constexpr (std::is_same_v<T, float>) {
              if (dz_operand.dtype() == DType::bf16) {
                kernels::to_bfloat16(
                    dz_operand.data<std::uint16_t>() + (begin + r) * dz_operand.dim(1), z_row,
                    static_cast<std::size_t>(m));
              }
            }
          }
        });
  }

  struct Gradients {
    Gradient x, w_in, b_in, w_out, b_out;
  };

  /// `kept_z` is written over.
  void backward(const Tensor& dy, const Tensor& kept_z, const Gradients& to) const {
    const std::int64_t c = x.dim(1), m = inputs(), n = width();
    const Tensor dyo = as_operand(dy, operand);
    const auto wanted = [](const Gradient& slot, Shape shape) {
      return slot ? Tensor(shape, dtype_of<T>) : Tensor();
    };
    const Tensor dx = wanted(to.x, x.shape()), dw_in = wanted(to.w_in, w_in.shape());
    const Tensor dw_out = wanted(to.w_out, w_out.shape()), db_in = wanted(to.b_in, Shape{m});
    for (const Tensor& sum : {dw_in, dw_out, db_in}) {
      if (sum.defined() && (rows() == 0 || sum.shape().rank() == 1)) sum.fill_zero();
    }
    const bool rounded = operand != dtype_of<T>;
    const Tensor block_z = kept_z.defined() ? Tensor() : new_z(step());
    const Tensor dh = new_h(step(), dtype_of<T>);
    const Tensor h_operand = rounded ? new_h(step(), operand) : dh;
    const Tensor dz_rounded =
        rounded ? Tensor(Shape{step(), feed_forward_pitch(m)}, operand) : Tensor();
    const Tensor sums =
        to.b_in ? Tensor(Shape{(step() + kRowBlock - 1) / kRowBlock, m}, dtype_of<T>) : Tensor();
    for (std::int64_t first = 0; first < rows(); first += step()) {
      const std::int64_t count = std::min(step(), rows() - first);
      const Tensor& z = kept_z.defined() ? kept_z : block_z;
      const std::int64_t z_first = kept_z.defined() ? first : 0;
      if (!kept_z.defined()) project(z, 0, first, count);
      const MatrixView dy_rows = view(dyo, first, count, outputs());
      gemm(dh.data<T>(), dh.dim(1), dy_rows, matrix(w_out));
      differentiate({z, z_first, first, count}, dh, h_operand, rounded ? dz_rounded : z, sums);
      const MatrixView dz = rounded ? view(dz_rounded, 0, count, m) : view(z, z_first, count, m);
      if (dw_out.defined()) {
        gemm(dw_out.data<T>(), n, transpose(dy_rows), view(h_operand, 0, count, n), first > 0);
      }
      if (db_in.defined()) {
        kernels::column_sums(db_in.data<T>(), sums.data<T>(),
                             static_cast<std::size_t>((count + kRowBlock - 1) / kRowBlock),
                             static_cast<std::size_t>(m));
      }
      if (dx.defined()) gemm(dx.data<T>() + first * c, c, dz, matrix(w_in));
      if (dw_in.defined()) {
        gemm(dw_in.data<T>(), c, transpose(dz), view(x, first, count, c), first > 0);
      }
    }
    if (to.x) to.x->accumulate(dx);
    if (to.w_in) to.w_in->accumulate(dw_in);
    if (to.w_out) to.w_out->accumulate(dw_out);
    if (to.b_in) to.b_in->accumulate(db_in);
    if (to.b_out) to.b_out->accumulate(bias_gradient(dy));
  }
};

}  // namespace

Variable gated_feed_forward(const Variable& x, const Variable& w_in, const Variable& b_in,
                            const Variable& w_out, const Variable& b_out,
                            const FeedForward& options) {
  check_shapes(x, w_in, b_in, w_out, b_out, options.unit);
  const DType operand = operand_type(x.dtype(), options.precision);
  return dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Layer<T> layer{as_operand(x.value(), operand),
                         as_operand(w_in.value(), operand),
                         as_operand(w_out.value(), operand),
                         b_in.value(),
                         b_out.value(),
                         options,
                         operand};
    const bool recording = Tape::current() != nullptr;
    const Tensor z = recording && !options.recompute ? layer.new_z(layer.rows()) : Tensor();
    const Tensor y = layer.forward(z);
    return record(y, {x, w_in, b_in, w_out, b_out},
                  [layer, z,
                   to = typename Layer<T>::Gradients{x.gradient(), w_in.gradient(), b_in.gradient(),
                                                     w_out.gradient(), b_out.gradient()}](
                      const Tensor& dy) { layer.backward(dy, z, to); });
  });
}

}  // namespace sluice
