#include "recurrent_support.hpp"

#include <cstring>

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/bfloat16.hpp"
#include "sluice/tensor/elementwise.hpp"

namespace sluice::recurrent {
namespace {

// Steps from which laying a matrix out in panels pays, and rows up to which panels beat a general
// product.
constexpr std::int64_t kLeastSteps = 4, kMostRows = 128;

// Multiply-adds worth a thread of their own.
constexpr std::int64_t kProductGrain = std::int64_t{1} << 17;

void require(bool holds, const char* op, const char* what, const Shape& expected,
             const Shape& got) {
  if (holds) return;
  throw Error(fmt::format("{}: {} must be {}, got {}", op, what, expected.str(), got.str()));
}

template <class T>
Tensor summed(const Tensor& a, const Tensor& b) {
  Tensor sum = a.clone();
  kernels::add_scaled(sum.data<T>(), b.data<T>(), T{1}, static_cast<std::size_t>(sum.elements()));
  return sum;
}

}  // namespace

Call check_call(const char* op, const Variable& x, const RecurrentWeights& weights,
                std::int64_t ih_blocks, std::int64_t hh_blocks, std::int64_t bias_blocks,
                Precision precision) {
  const Shape in = x.shape();
  if (in.rank() != 3 || in.elements() == 0) {
    throw Error(
        fmt::format("{}: x must be [B, T, C] with at least one element, got {}", op, in.str()));
  }
  const Shape ih = weights.weight_ih.shape(), hh = weights.weight_hh.shape();
  const std::int64_t hidden = hh.rank() == 2 ? hh[1] : hh.rank() == 1 ? hh[0] : 0;
  if (hidden == 0) {
    throw Error(fmt::format("{}: weight_hh must be [{}H, H], got {}", op, hh_blocks, hh.str()));
  }
  require(ih == Shape{ih_blocks * hidden, in[2]}, op, "weight_ih", Shape{ih_blocks * hidden, in[2]},
          ih);
  const Shape square = hh_blocks == 0 ? Shape{hidden} : Shape{hh_blocks * hidden, hidden};
  require(hh == square, op, "weight_hh", square, hh);
  for (const Variable& bias : {weights.bias_ih, weights.bias_hh}) {
    if (!bias.defined()) continue;
    require(bias.shape() == Shape{bias_blocks * hidden}, op, "a bias", Shape{bias_blocks * hidden},
            bias.shape());
  }
  for (const Variable& v :
       {weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh}) {
    if (v.defined() && v.dtype() != x.dtype()) {
      throw Error(fmt::format("{}: x is {} but a parameter is {}", op, dtype_name(x.dtype()),
                              dtype_name(v.dtype())));
    }
  }
  return {in[0], in[1], in[2], hidden, x.dtype(), operand_type(x.dtype(), precision)};
}

void check_state(const char* op, const char* name, const Tensor& state, const Call& call) {
  if (!state.defined()) return;
  require(state.shape() == Shape{call.batch, call.hidden}, op, name, Shape{call.batch, call.hidden},
          state.shape());
  if (state.dtype() != call.dtype) {
    throw Error(fmt::format("{}: x is {} but {} is {}", op, dtype_name(call.dtype), name,
                            dtype_name(state.dtype())));
  }
}

Tensor to_time_major(const Tensor& x, const Call& call) {
  const std::int64_t columns = x.dim(2), pitch = call.pitch(columns);
  Tensor y(Shape{call.rows(), pitch}, call.operand);
  const ProfileScope profile("time-major", 0, static_cast<double>(x.bytes() + y.bytes()));
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(call.rows(), row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const T* from = x.data<T>() + (r % call.batch * call.time + r / call.batch) * columns;
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
                       std::int64_t columns, const Call& call) {
  Tensor y(Shape{call.batch, call.time, columns}, call.dtype);
  const ProfileScope profile("time-major", 0, 2 * static_cast<double>(y.bytes()));
  const std::int64_t pitch = rows.dim(1);
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = rows.data<T>() + first_row * pitch + first_column;
    parallel_for(call.rows(), row_grain(columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        std::copy_n(from + (r % call.time * call.batch + r / call.time) * pitch, columns,
                    y.data<T>() + r * columns);
      }
    });
  });
  return y;
}

Tensor make_states(const Tensor& first, const Call& call) {
  Tensor states(Shape{(call.time + 1) * call.batch, call.pitch(call.hidden)}, call.dtype);
  states.rows(0, call.batch).fill_zero();
  if (!first.defined()) return states;
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t b = 0; b < call.batch; ++b) {
      std::copy_n(first.data<T>() + b * call.hidden, call.hidden,
                  states.data<T>() + b * states.dim(1));
    }
  });
  return states;
}

Tensor last_state(const Tensor& states, const Call& call) {
  Tensor last(Shape{call.batch, call.hidden}, call.dtype);
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t b = 0; b < call.batch; ++b) {
      std::copy_n(states.data<T>() + (call.rows() + b) * states.dim(1), call.hidden,
                  last.data<T>() + b * call.hidden);
    }
  });
  return last;
}

Tensor sum_of_biases(const RecurrentWeights& weights) {
  const Tensor &a = weights.bias_ih.value(), &b = weights.bias_hh.value();
  if (!a.defined() || !b.defined()) return a.defined() ? a : b;
  return dispatch_float(a.dtype(), [&](auto zero) { return summed<decltype(zero)>(a, b); });
}

void input_product(const Tensor& gates, std::int64_t first_column, const Tensor& x,
                   const Tensor& weight, const Call& call) {
  const Tensor w = as_operand(weight, call.operand);
  dispatch_float(call.dtype, [&](auto zero) {
    using T = decltype(zero);
    gemm(gates.data<T>() + first_column, gates.dim(1),
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
  return from_time_major(dx, 0, 0, call.inputs, call);
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

StepMatrix::StepMatrix(const Tensor& weight, bool transposed, const Call& call)
    : call_(call),
      transposed_(transposed),
      inner_(weight.dim(transposed ? 1 : 0)),
      blocks_(weight.dim(transposed ? 0 : 1) / call.hidden),
      packed_(call.dtype == DType::f32 && call.time >= kLeastSteps && call.batch <= kMostRows) {
  if (!packed_) {
    weight_ = as_operand(weight, call.operand);
    return;
  }
  const std::int64_t work = call.batch * inner_ * blocks_ * kWidth;
  grain_ = std::max<std::int64_t>(1, kProductGrain / std::max<std::int64_t>(work, 1));
  const ProfileScope profile("pack weights", 0, 2 * static_cast<double>(weight.bytes()));
  weight_ = Tensor(Shape{panels() * blocks_, inner_ * kWidth}, call.operand);
  const std::int64_t ld = weight.dim(1);
  parallel_for(panels() * blocks_, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t panel = i / blocks_;
      const std::int64_t column = i % blocks_ * call.hidden + panel * kWidth;
      const float* from = weight.data<float>() + column * (transposed ? ld : 1);
      const auto pack = [&](auto* to) {
        kernels::pack_panel(to, from, static_cast<std::size_t>(ld), transposed,
                            static_cast<std::size_t>(inner_),
                            static_cast<std::size_t>(width(panel)));
      };
      const std::int64_t at = i * inner_ * kWidth;
      if (call.operand == DType::bf16) {
        pack(weight_.data<std::uint16_t>() + at);
      } else {
        pack(weight_.data<float>() + at);
      }
    }
  });
}

double StepMatrix::flops() const {
  return 2.0 * static_cast<double>(call_.batch * inner_) *
         static_cast<double>(blocks_ * call_.hidden);
}

double StepMatrix::bytes() const {
  const double weights = static_cast<double>(weight_.bytes());
  return weights + 4.0 * static_cast<double>(call_.batch * (inner_ + 2 * blocks_ * call_.hidden));
}

StepMatrix::Operand StepMatrix::rounded(const float* a, std::int64_t a_pitch) const {
  if (call_.operand != DType::bf16) return {{}, a, a_pitch};
  const Tensor kept(Shape{call_.batch, inner_}, DType::f32);
  const Tensor narrow(Shape{inner_}, DType::bf16);
  const auto n = static_cast<std::size_t>(inner_);
  for (std::int64_t r = 0; r < call_.batch; ++r) {
    kernels::to_bfloat16(narrow.data<std::uint16_t>(), a + r * a_pitch, n);
    kernels::from_bfloat16(kept.data<float>() + r * inner_, narrow.data<std::uint16_t>(), n);
  }
  return {kept, kept.data<float>(), inner_};
}

void StepMatrix::multiply(float* c, std::int64_t c_pitch, std::int64_t fresh, const Operand& a,
                          std::int64_t panel) const {
  for (std::int64_t block = 0; block < blocks_; ++block) {
    float* to = c + block * call_.hidden + panel * kWidth;
    const std::int64_t at = (panel * blocks_ + block) * inner_ * kWidth;
    const auto product = [&]<class W>(const W* weights) {
      kernels::multiply_panel(
          kernels::PanelProduct<W>{to, static_cast<std::size_t>(c_pitch), a.data,
                                   static_cast<std::size_t>(a.pitch), weights + at,
                                   static_cast<std::size_t>(inner_), block >= fresh},
          static_cast<std::size_t>(call_.batch), static_cast<std::size_t>(width(panel)));
    };
    if (call_.operand == DType::bf16) {
      product(weight_.data<std::uint16_t>());
    } else {
      product(weight_.data<float>());
    }
  }
}

MatrixView StepMatrix::blocks(std::int64_t first, std::int64_t end) const {
  const std::int64_t at = first * call_.hidden, count = (end - first) * call_.hidden;
  return (transposed_ ? transpose(matrix(weight_)) : matrix(weight_)).column_range(at, count);
}

void StepMatrix::multiply_whole(float* c, std::int64_t c_pitch, std::int64_t fresh, const float* a,
                                std::int64_t a_pitch) const {
  const bool narrow = call_.operand == DType::bf16;
  const Tensor kept = narrow ? Tensor(Shape{call_.batch, inner_}, DType::bf16) : Tensor();
  MatrixView rows = matrix(a, call_.batch, inner_, a_pitch);
  if (narrow) {
    for (std::int64_t r = 0; r < call_.batch; ++r) {
      kernels::to_bfloat16(kept.data<std::uint16_t>() + r * inner_, a + r * a_pitch,
                           static_cast<std::size_t>(inner_));
    }
    rows = matrix(kept);
  }
  if (fresh > 0) gemm(c, c_pitch, rows, blocks(0, fresh));
  if (fresh < blocks_) {
    gemm(c + fresh * call_.hidden, c_pitch, rows, blocks(fresh, blocks_), true);
  }
}

void StepMatrix::multiply_whole(double* c, std::int64_t c_pitch, std::int64_t fresh,
                                const double* a, std::int64_t a_pitch) const {
  const MatrixView rows = matrix(a, call_.batch, inner_, a_pitch);
  if (fresh > 0) gemm(c, c_pitch, rows, blocks(0, fresh));
  if (fresh < blocks_) {
    gemm(c + fresh * call_.hidden, c_pitch, rows, blocks(fresh, blocks_), true);
  }
}

}  // namespace sluice::recurrent
