#include "sluice/tensor/detail/step_matrix.hpp"

#include "sluice/kernels/detail/bfloat16.hpp"
#include "sluice/tensor/detail/operand.hpp"

namespace sluice::recurrent {
namespace {

// Multiply-adds worth a thread of their own.
constexpr std::int64_t kProductGrain = std::int64_t{1} << 17;

}  // namespace

StepMatrix::StepMatrix(const Tensor& weight, bool transposed, std::int64_t hidden, DType operand,
                       bool packed)
    : hidden_(hidden),
      inner_(weight.dim(transposed ? 1 : 0)),
      blocks_(weight.dim(transposed ? 0 : 1) / hidden),
      operand_(operand),
      transposed_(transposed),
      packed_(packed) {
  if (!packed_) {
    weight_ = as_operand(weight, operand);
    return;
  }
  weight_ = Tensor(Shape{panels() * blocks_, inner_ * kWidth}, operand);
  pack(weight);
}

StepMatrix::StepMatrix(const Tensor& weight, std::int64_t hidden, const FreezeOptions& options)
    : hidden_(hidden),
      inner_(weight.dim(1)),
      blocks_(weight.dim(0) / hidden),
      operand_(options.precision == WeightPrecision::bf16 ? DType::bf16 : DType::f32),
      transposed_(true),
      packed_(true) {
  if (options.precision == WeightPrecision::int8) {
    const MatrixView all = transpose(matrix(weight));
    for (std::int64_t block = 0; block < blocks_; ++block) {
      int8_.emplace_back(all.column_range(block * hidden, hidden), options);
    }
    return;
  }
  const Shape shape{panels() * blocks_, inner_ * kWidth};
  weight_ = frozen_part(options, shape, operand_, [&] {
    weight_ = Tensor(shape, operand_);
    pack(weight);
    return weight_;
  });
}

std::size_t StepMatrix::bytes() const {
  std::size_t sum = weight_.defined() ? weight_.bytes() : 0;
  for (const Int8Matrix& block : int8_) sum += block.bytes();
  return sum;
}

void StepMatrix::pack(const Tensor& weight) {
  const ProfileScope profile("pack weights", 0, 2 * static_cast<double>(weight.bytes()));
  const std::int64_t ld = weight.dim(1);
  parallel_for(panels() * blocks_, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t panel = i / blocks_;
      const std::int64_t column = i % blocks_ * hidden_ + panel * kWidth;
      const float* from = weight.data<float>() + column * (transposed_ ? ld : 1);
      const auto pack = [&](auto* to) {
        kernels::pack_panel(to, from, static_cast<std::size_t>(ld), transposed_,
                            static_cast<std::size_t>(inner_),
                            static_cast<std::size_t>(width(panel)));
      };
      const std::int64_t at = i * inner_ * kWidth;
      if (operand_ == DType::bf16) {
        pack(weight_.data<std::uint16_t>() + at);
      } else {
        pack(weight_.data<float>() + at);
      }
    }
  });
}

std::int64_t StepMatrix::grain(std::int64_t rows) const {
  const std::int64_t work = rows * inner_ * blocks_ * kWidth;
  return std::max<std::int64_t>(1, kProductGrain / std::max<std::int64_t>(work, 1));
}

double StepMatrix::flops(std::int64_t rows) const {
  return 2.0 * static_cast<double>(rows * inner_) * static_cast<double>(blocks_ * hidden_);
}

double StepMatrix::traffic(std::int64_t rows) const {
  return static_cast<double>(bytes()) +
         4.0 * static_cast<double>(rows * (inner_ + 2 * blocks_ * hidden_));
}

StepMatrix::Rows StepMatrix::rounded(const float* a, std::int64_t a_pitch,
                                     std::int64_t rows) const {
  if (!int8_.empty()) {
    return {{}, nullptr, 0, rows, int8_.front().rounded(matrix(a, rows, inner_, a_pitch))};
  }
  if (operand_ != DType::bf16) return {{}, a, a_pitch, rows, {}};
  const Tensor kept(Shape{rows, inner_}, DType::f32);
  const Tensor narrow(Shape{inner_}, DType::bf16);
  const auto n = static_cast<std::size_t>(inner_);
  for (std::int64_t r = 0; r < rows; ++r) {
    kernels::to_bfloat16(narrow.data<std::uint16_t>(), a + r * a_pitch, n);
    kernels::from_bfloat16(kept.data<float>() + r * inner_, narrow.data<std::uint16_t>(), n);
  }
  return {kept, kept.data<float>(), inner_, rows, {}};
}

void StepMatrix::multiply(float* c, std::int64_t c_pitch, std::int64_t fresh, const Rows& a,
                          std::int64_t panel) const {
  for (std::int64_t block = 0; block < blocks_; ++block) {
    float* to = c + block * hidden_ + panel * kWidth;
    if (!int8_.empty()) {
      int8_[static_cast<std::size_t>(block)].product(
          to, c_pitch, a.int8, {panel * kWidth, width(panel)}, block >= fresh);
      continue;
    }
    const std::int64_t at = (panel * blocks_ + block) * inner_ * kWidth;
    const auto product = [&]<class W>(const W* weights) {
      kernels::multiply_panel(
          kernels::PanelProduct<W>{to, static_cast<std::size_t>(c_pitch), a.data,
                                   static_cast<std::size_t>(a.pitch), weights + at,
                                   static_cast<std::size_t>(inner_), block >= fresh},
          static_cast<std::size_t>(a.count), static_cast<std::size_t>(width(panel)));
    };
    if (operand_ == DType::bf16) {
      product(weight_.data<std::uint16_t>());
    } else {
      product(weight_.data<float>());
    }
  }
}

void StepMatrix::multiply_row(float* c, std::int64_t fresh, const Rows& a, std::int64_t panel,
                              std::int64_t panels) const {
  const auto product = [&]<class W>(const W* weights, std::int64_t block, std::int64_t count) {
    const std::int64_t at = (panel * blocks_ + block) * inner_ * kWidth;
    kernels::multiply_row(
        kernels::PanelProduct<W>{c + block * hidden_ + panel * kWidth, 0, a.data, 0, weights + at,
                                 static_cast<std::size_t>(inner_), block >= fresh},
        {.panel = static_cast<std::size_t>(inner_ * kWidth),
         .c = static_cast<std::size_t>(blocks_ == 1 ? kWidth : hidden_)},
        static_cast<std::size_t>(count));
  };
  const auto products = [&]<class W>(const W* weights) {
    if (blocks_ == 1) {
      product(weights, 0, panels);
      return;
    }
    if (fresh > 0) product(weights, 0, fresh);
    if (fresh < blocks_) product(weights, fresh, blocks_ - fresh);
  };
  if (operand_ == DType::bf16) {
    products(weight_.data<std::uint16_t>());
  } else {
    products(weight_.data<float>());
  }
}

MatrixView StepMatrix::blocks(std::int64_t first, std::int64_t end) const {
  const std::int64_t at = first * hidden_, count = (end - first) * hidden_;
  return (transposed_ ? transpose(matrix(weight_)) : matrix(weight_)).column_range(at, count);
}

void StepMatrix::multiply_whole(float* c, std::int64_t c_pitch, std::int64_t fresh, const float* a,
                                std::int64_t a_pitch, std::int64_t rows) const {
  const bool narrow = operand_ == DType::bf16;
  const Tensor kept = narrow ? Tensor(Shape{rows, inner_}, DType::bf16) : Tensor();
  MatrixView operand = matrix(a, rows, inner_, a_pitch);
  if (narrow) {
    for (std::int64_t r = 0; r < rows; ++r) {
      kernels::to_bfloat16(kept.data<std::uint16_t>() + r * inner_, a + r * a_pitch,
                           static_cast<std::size_t>(inner_));
    }
    operand = matrix(kept);
  }
  if (fresh > 0) gemm(c, c_pitch, operand, blocks(0, fresh));
  if (fresh < blocks_) {
    gemm(c + fresh * hidden_, c_pitch, operand, blocks(fresh, blocks_), true);
  }
}

void StepMatrix::multiply_whole(double* c, std::int64_t c_pitch, std::int64_t fresh,
                                const double* a, std::int64_t a_pitch, std::int64_t rows) const {
  const MatrixView operand = matrix(a, rows, inner_, a_pitch);
  if (fresh > 0) gemm(c, c_pitch, operand, blocks(0, fresh));
  if (fresh < blocks_) {
    gemm(c + fresh * hidden_, c_pitch, operand, blocks(fresh, blocks_), true);
  }
}

}  // namespace sluice::recurrent
