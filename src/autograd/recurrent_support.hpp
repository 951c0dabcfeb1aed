#pragma once
// What recurrent layers share: time-major copies, products over all steps, and steps.
//
// Inside a layer rows are time-major: row t·B + b is step t of stream b, so that a step's rows are
// next to each other. Rows of gates and states are a little longer than they hold where powers of
// two would share cache sets (spaced_columns).

#include <algorithm>

#include "op_support.hpp"
#include "sluice/autograd/recurrent.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/panels.hpp"
#include "sluice/tensor/gemm.hpp"
#include "sluice/tensor/operand.hpp"

namespace sluice::recurrent {

/// Sizes and types of one call.
struct Call {
  std::int64_t batch = 0, time = 0, inputs = 0, hidden = 0;
  DType dtype = DType::f32;
  /// Type of the operands of matrix products.
  DType operand = DType::f32;

  std::int64_t rows() const { return time * batch; }
  /// Row pitch of an array of `columns`.
  std::int64_t pitch(std::int64_t columns) const {
    return operand == DType::bf16 ? columns : spaced_columns(columns, dtype);
  }
};

/// Checks x and the weights of a layer: weight_ih [ih_rows, C], weight_hh [hh_rows, H], biases of
/// `biases` elements; hidden is weight_hh's last dimension.
Call check_call(const char* op, const Variable& x, const RecurrentWeights& weights,
                std::int64_t ih_blocks, std::int64_t hh_blocks, std::int64_t bias_blocks,
                Precision precision);
/// Throws Error unless `state` is undefined or [B, H] of the call's type.
void check_state(const char* op, const char* name, const Tensor& state, const Call& call);

/// x [B, T, C] time-major, as an operand: [T·B, pitch].
Tensor to_time_major(const Tensor& x, const Call& call);
/// Columns [first, first + columns) of time-major rows as [B, T, columns].
Tensor from_time_major(const Tensor& rows, std::int64_t first_row, std::int64_t first_column,
                       std::int64_t columns, const Call& call);

/// States of all steps, [(T + 1)·B, pitch(H)], the first B rows set from `first` or zero.
Tensor make_states(const Tensor& first, const Call& call);
/// The states after the last step, [B, H].
Tensor last_state(const Tensor& states, const Call& call);

/// bias_ih + bias_hh, or the one there is; undefined when there is none.
Tensor sum_of_biases(const RecurrentWeights& weights);
/// Elements [at, ..) of a bias; null when there is none or `at` is negative.
template <class T>
const T* bias_at(const Tensor& bias, std::int64_t at) {
  return bias.defined() && at >= 0 ? bias.data<T>() + at : nullptr;
}

/// gates[:, first_column..] = x · weightᵀ for all steps.
void input_product(const Tensor& gates, std::int64_t first_column, const Tensor& x,
                   const Tensor& weight, const Call& call);
/// Gradients of the input part from dgates' columns [first_column, ..): dx [B, T, C] (undefined if
/// not wanted), and weight_ih's given to it.
Tensor input_gradient(const Tensor& dgates, std::int64_t first_column, const Tensor& weight,
                      const Call& call);
/// dgatesᵀ · inputs over all steps, [columns, C].
Tensor weight_gradient(const Tensor& dgates, std::int64_t first_column, std::int64_t columns,
                       const Tensor& inputs, std::int64_t input_columns, const Call& call);
/// Σ over all steps of columns of dgates.
Tensor bias_gradient(const Tensor& dgates, std::int64_t first_column, std::int64_t columns,
                     const Call& call);

/// A matrix by which each of many steps multiplies B rows: blocks of H columns (gates).
class StepMatrix {
 public:
  /// W = weightᵀ (weight [blocks·H, K]) or W = weight ([K, H]).
  StepMatrix(const Tensor& weight, bool transposed, const Call& call);

  /// c = a · W in its first `fresh` blocks, c += a · W in the others; after that, for all hidden
  /// units in some split over threads, pointwise(first, count) for the units [first, first +
  /// count): c's columns of these units are complete then, and those of other units need not be.
  template <class T, class Pointwise>
  void step(T* c, std::int64_t c_pitch, std::int64_t fresh, const T* a, std::int64_t a_pitch,
            const Pointwise& pointwise) const {
    const ProfileScope profile("recurrent step", packed_ ? flops() : 0, packed_ ? bytes() : 0);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (packed_) {
        parallel_for(panels(), grain_, [&](std::int64_t begin, std::int64_t end) {
          const Operand operand = rounded(a, a_pitch);
          for (std::int64_t panel = begin; panel < end; ++panel) {
            multiply(c, c_pitch, fresh, operand, panel);
            pointwise(panel * kWidth, width(panel));
          }
        });
        return;
      }
    }
    multiply_whole(c, c_pitch, fresh, a, a_pitch);
    pointwise_only(pointwise);
  }

  template <class Pointwise>
  void pointwise_only(const Pointwise& pointwise) const {
    const std::int64_t grain = std::max<std::int64_t>(1, 1024 / call_.batch);
    parallel_for(panels(), grain, [&](std::int64_t begin, std::int64_t end) {
      pointwise(begin * kWidth, std::min(call_.hidden, end * kWidth) - begin * kWidth);
    });
  }

 private:
  static constexpr auto kWidth = static_cast<std::int64_t>(kernels::kPanelColumns);

  struct Operand {
    Tensor kept;
    const float* data;
    std::int64_t pitch;
  };

  std::int64_t panels() const { return (call_.hidden + kWidth - 1) / kWidth; }
  std::int64_t width(std::int64_t panel) const {
    return std::min(kWidth, call_.hidden - panel * kWidth);
  }
  double flops() const;
  double bytes() const;
  Operand rounded(const float* a, std::int64_t a_pitch) const;
  void multiply(float* c, std::int64_t c_pitch, std::int64_t fresh, const Operand& a,
                std::int64_t panel) const;
  void multiply_whole(float* c, std::int64_t c_pitch, std::int64_t fresh, const float* a,
                      std::int64_t a_pitch) const;
  void multiply_whole(double* c, std::int64_t c_pitch, std::int64_t fresh, const double* a,
                      std::int64_t a_pitch) const;
  MatrixView blocks(std::int64_t first, std::int64_t end) const;

  Call call_;
  bool transposed_;
  std::int64_t inner_, blocks_;
  bool packed_;
  std::int64_t grain_ = 1;
  Tensor weight_;  // panels if packed, else the operand
};

}  // namespace sluice::recurrent
