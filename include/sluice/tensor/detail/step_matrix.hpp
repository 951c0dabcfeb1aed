#pragma once
// The product that a recurrent layer takes at each step.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/detail/panels.hpp"
#include "sluice/tensor/freeze.hpp"
#include "sluice/tensor/gemm.hpp"
#include "sluice/tensor/int8_matrix.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice::recurrent {

/// What a step of time multiplies: `rows` rows of a, a_pitch apart, into those of c.
template <class T>
struct StepRows {
  T* c;
  std::int64_t c_pitch;
  /// The first `fresh` blocks of c are given their product, to the others it is added.
  std::int64_t fresh;
  const T* a;
  std::int64_t a_pitch;
  std::int64_t rows;
};

/// A constant matrix W by which the rows of each of many steps are multiplied: blocks of H columns
/// (gates). Either as it comes, for general products, or in panels of columns
/// (kernels/detail/panels.hpp), which are laid out once and read in order by every step: each sum
/// is taken in order, so that a row's result depends on no other row; or int8 in panels of its own.
/// Immutable: any number of threads may use one at once.
class StepMatrix {
 public:
  StepMatrix() = default;
  /// W = weightᵀ (weight [blocks·H, K]) where `transposed`, or W = weight ([K, H]). float32 or
  /// float64; operands of products are rounded to `operand`. Only float32 can be `packed` in
  /// panels.
  StepMatrix(const Tensor& weight, bool transposed, std::int64_t hidden, DType operand,
             bool packed);
  /// Of something frozen: W = weightᵀ in panels, weight [blocks·H, K] float32.
  StepMatrix(const Tensor& weight, std::int64_t hidden, const FreezeOptions& options);

  /// Of `rows` rows, c = a · W in its first `fresh` blocks, c += a · W in the others; after that,
  /// for all hidden units in some split over threads, pointwise(first, count) for the units [first,
  /// first + count): c's columns of these units are complete then, and those of other units need
  /// not be.
  template <class T, class Pointwise>
  void step(const StepRows<T>& at, const Pointwise& pointwise) const {
    const std::int64_t rows = at.rows;
    const ProfileScope profile("recurrent step", packed_ ? flops(rows) : 0,
                               packed_ ? traffic(rows) : 0);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (packed_) {
        parallel_for(panels(), grain(rows), [&](std::int64_t begin, std::int64_t end) {
          const Rows operand = rounded(at.a, at.a_pitch, rows);
          const bool one = rows == 1 && int8_.empty();
          const std::int64_t whole = one ? std::min(end, hidden_ / kWidth) : begin;
          for (std::int64_t panel = begin; panel < whole; panel += together()) {
            const std::int64_t panels = std::min(together(), whole - panel);
            multiply_row(at.c, at.fresh, operand, panel, panels);
            pointwise(panel * kWidth, panels * kWidth);
          }
          for (std::int64_t panel = std::max(begin, whole); panel < end; ++panel) {
            multiply(at.c, at.c_pitch, at.fresh, operand, panel);
            pointwise(panel * kWidth, width(panel));
          }
        });
        return;
      }
    }
    multiply_whole(at.c, at.c_pitch, at.fresh, at.a, at.a_pitch, rows);
    pointwise_only(rows, pointwise);
  }

  template <class Pointwise>
  void pointwise_only(std::int64_t rows, const Pointwise& pointwise) const {
    const std::int64_t least = std::max<std::int64_t>(1, 1024 / rows);
    parallel_for(panels(), least, [&](std::int64_t begin, std::int64_t end) {
      pointwise(begin * kWidth, std::min(hidden_, end * kWidth) - begin * kWidth);
    });
  }

  /// Memory of its elements.
  std::size_t bytes() const;

 private:
  static constexpr auto kWidth = static_cast<std::int64_t>(kernels::kPanelColumns);

  // Rows of an operand, rounded where the product wants it.
  struct Rows {
    Tensor kept;
    const float* data;
    std::int64_t pitch;
    std::int64_t count;
    Int8Matrix::Rows int8;  // in place of the others
  };

  void pack(const Tensor& weight);

  std::int64_t panels() const { return (hidden_ + kWidth - 1) / kWidth; }
  std::int64_t width(std::int64_t panel) const {
    return std::min(kWidth, hidden_ - panel * kWidth);
  }
  // Panels of hidden units that one row is multiplied by at once.
  std::int64_t together() const { return blocks_ == 1 ? 4 : 1; }
  std::int64_t grain(std::int64_t rows) const;
  double flops(std::int64_t rows) const;
  double traffic(std::int64_t rows) const;
  Rows rounded(const float* a, std::int64_t a_pitch, std::int64_t rows) const;
  void multiply(float* c, std::int64_t c_pitch, std::int64_t fresh, const Rows& a,
                std::int64_t panel) const;
  void multiply_row(float* c, std::int64_t fresh, const Rows& a, std::int64_t panel,
                    std::int64_t panels) const;
  void multiply_whole(float* c, std::int64_t c_pitch, std::int64_t fresh, const float* a,
                      std::int64_t a_pitch, std::int64_t rows) const;
  void multiply_whole(double* c, std::int64_t c_pitch, std::int64_t fresh, const double* a,
                      std::int64_t a_pitch, std::int64_t rows) const;
  MatrixView blocks(std::int64_t first, std::int64_t end) const;

  std::int64_t hidden_ = 0, inner_ = 0, blocks_ = 0;
  DType operand_ = DType::f32;
  bool transposed_ = false, packed_ = false;
  Tensor weight_;                 // panels if packed, else the operand
  std::vector<Int8Matrix> int8_;  // the blocks, in place of weight_
};

}  // namespace sluice::recurrent
