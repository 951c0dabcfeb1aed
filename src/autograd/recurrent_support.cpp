#include "recurrent_support.hpp"

#include <cstring>

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/tensor/detail/elementwise.hpp"

namespace sluice::recurrent {
namespace {

// Steps from which laying a matrix out in panels pays, and rows up to which panels beat a general
// product.
constexpr std::int64_t kLeastSteps = 4, kMostRows = 128;

void require(bool holds, const char* op, const char* what, const Shape& expected,
             const Shape& got) {
  if (holds) return;
  throw Error(fmt::format("{}: {} must be {}, got {}", op, what, expected.str(), got.str()));
}

}  // namespace

Call check_call(const char* op, const Variable& x, const RecurrentWeights& weights,
                const WeightBlocks& blocks, Precision precision) {
  const Shape in = x.shape();
  if (in.rank() != 3 || in.elements() == 0) {
    throw Error(
        fmt::format("{}: x must be [B, T, C] with at least one element, got {}", op, in.str()));
  }
  const Shape ih = weights.weight_ih.shape(), hh = weights.weight_hh.shape();
  const std::int64_t hidden = hh.rank() == 2 ? hh[1] : hh.rank() == 1 ? hh[0] : 0;
  if (hidden == 0) {
    throw Error(fmt::format("{}: weight_hh must be [{}H, H], got {}", op, blocks.hh, hh.str()));
  }
  require(ih == Shape{blocks.ih * hidden, in[2]}, op, "weight_ih", Shape{blocks.ih * hidden, in[2]},
          ih);
  const Shape square = blocks.hh == 0 ? Shape{hidden} : Shape{blocks.hh * hidden, hidden};
  require(hh == square, op, "weight_hh", square, hh);
  for (const Variable& bias : {weights.bias_ih, weights.bias_hh}) {
    if (!bias.defined()) continue;
    require(bias.shape() == Shape{blocks.bias * hidden}, op, "a bias", Shape{blocks.bias * hidden},
            bias.shape());
  }
  for (const Variable& v :
       {weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh}) {
    if (v.defined() && v.dtype() != x.dtype()) {
      throw Error(fmt::format("{}: x is {} but a parameter is {}", op, dtype_name(x.dtype()),
                              dtype_name(v.dtype())));
    }
  }
  return {Steps(in[0], in[1]), in[2], hidden, x.dtype(), operand_type(x.dtype(), precision)};
}

void check_state(const char* op, const char* name, const Tensor& state, const Call& call) {
  if (!state.defined()) return;
  require(state.shape() == Shape{call.batch(), call.hidden}, op, name,
          Shape{call.batch(), call.hidden}, state.shape());
  if (state.dtype() != call.dtype) {
    throw Error(fmt::format("{}: x is {} but {} is {}", op, dtype_name(call.dtype), name,
                            dtype_name(state.dtype())));
  }
}

StepMatrix step_matrix(const Tensor& weight, bool transposed, const Call& call) {
  const bool packed =
      call.dtype == DType::f32 && call.time() >= kLeastSteps && call.batch() <= kMostRows;
  return {weight, transposed, call.hidden, call.operand, packed};
}

void input_product(const InputPart& to, const Tensor& x, const Tensor& weight, const Call& call) {
  const Tensor w = as_operand(weight, call.operand);
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    gemm(row_at<T>(to.rows, to.row, to.column), to.rows.dim(1),
         matrix(x).row_range(0, call.rows()).column_range(0, call.inputs), transpose(matrix(w)));
  });
}

Tensor input_gradient(const Tensor& dgates, std::int64_t first_column, const Tensor& weight,
                      const Call& call) {
  const Tensor w = as_operand(weight, call.operand);
  const Tensor dx(Shape{call.rows(), call.inputs}, call.dtype);
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    gemm(dx.data<T>(), call.inputs,
         matrix(dgates).row_range(0, call.rows()).column_range(first_column, w.dim(0)), matrix(w));
  });
  return from_time_major(dx, 0, 0, Shape{call.batch(), call.time(), call.inputs}, call);
}

Tensor weight_gradient(const Tensor& dgates, std::int64_t first_column, std::int64_t columns,
                       const Tensor& inputs, std::int64_t input_columns, const Call& call) {
  Tensor dw(Shape{columns, input_columns}, call.dtype);
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    gemm(dw.data<T>(), input_columns,
         transpose(matrix(dgates).row_range(0, call.rows()).column_range(first_column, columns)),
         matrix(inputs).row_range(0, call.rows()).column_range(0, input_columns));
  });
  return dw;
}

Tensor bias_gradient(const Tensor& dgates, std::int64_t first_column, std::int64_t columns,
                     const Call& call) {
  const ProfileScope profile(
      "bias", 0,
      static_cast<double>(call.rows() * columns) * static_cast<double>(dtype_size(call.dtype)));
  Tensor sums(Shape{columns}, call.dtype);
  sums.fill_zero();
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* rows = dgates.data<T>() + first_column;
    parallel_for(columns, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = 0; r < call.rows(); ++r) {
        kernels::add_scaled(sums.data<T>() + begin, rows + r * dgates.dim(1) + begin, T{1},
                            static_cast<std::size_t>(end - begin));
      }
    });
  });
  return sums;
}

}  // namespace sluice::recurrent
