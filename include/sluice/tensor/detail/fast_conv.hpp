#pragma once
// Causal convolution over time with fewer multiplications: Toom-Cook's F(m, K) on tiles of m
// outputs, n = m + K - 1 matrix products on transformed tiles in place of m·K
// (kernels/detail/toom_cook.hpp has the algorithm, its sources and its error). Everything happens
// in blocks of tiles that a thread takes from input to output while they are in its cache.
//
// B batch, T time, C channels in, M outputs, K kernel width, m tile, n points.

#include <cstdint>
#include <functional>
#include <vector>

#include "sluice/tensor/conv.hpp"
#include "sluice/tensor/packed_rows.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {

/// Rows of an output: `rows` rows of M, one after another, of all ΣT from row `first` on, worked on
/// as part of block `block`.
struct ConvRows {
  void* data = nullptr;
  std::int64_t block = 0, first = 0, rows = 0;
};

/// What backward gives: dx [B, T, C] and dw [K, C, M], either of which may be undefined. With
/// `start` [B, T, C], dx is start · start_scale more than the gradient: what reaches the input by
/// another way, a residual.
struct ConvGradients {
  Tensor dx;
  Tensor dw;
  Tensor start = {};
  double start_scale = 1;
};

/// A convolution of one shape. Tensors are float32 or float64 (`dtype`); `operand` is the type the
/// matrix products take, `dtype` itself or bfloat16: transforms are computed in `dtype` and rounded
/// once. Callbacks run on several threads at once, each for different rows.
class FastConv {
 public:
  /// Kernel widths served.
  static constexpr std::int64_t kLeastKernel = 2, kMostKernel = 7;

  /// Throws UsageError for a kernel or tile that toom_cook() has no matrices for.
  FastConv(const ConvShape& shape, int tile, DType dtype, DType operand);
  /// Of streams of their own lengths, whose rows are one after another: [ΣT, C] to [ΣT, M].
  FastConv(PackedRows rows, const ConvWidths& widths, int tile, DType dtype, DType operand);

  /// The filters w [K, C, M], their outputs scaled by scale [M] (undefined: not scaled), in the
  /// transformed domain. They serve any B and T.
  Tensor transform(const Tensor& w, const Tensor& scale = {}) const;

  /// z[b, t] = Σ_k input[b, t - (K-1) + k] · w[k]. z [B, T, M], or undefined when only `ready`
  /// wants it: ready(rows) is called once for all rows of z, as they become known.
  void forward(const Tensor& z, const ConvInput& input, const Tensor& filters,
               const std::function<void(const ConvRows&)>& ready) const;

  /// The gradients from dz, of which fill(rows) is asked for every row once. `filters` are for dx,
  /// and let go when it is known.
  void backward(const ConvGradients& to, const ConvInput& input, Tensor filters,
                const std::function<void(const ConvRows&)>& fill) const;

  /// How many blocks forward and backward use.
  std::int64_t blocks() const { return blocks_; }

 private:
  template <class T>
  struct Work;

  PackedRows rows_;
  ConvWidths widths_;
  int tile_;
  DType dtype_, operand_;
  std::vector<std::int64_t> first_tile_;  // of each stream, and the number of tiles
  std::vector<std::int32_t> stream_of_tile_;
  std::int64_t tiles_, blocks_, block_tiles_;
};

/// The tile that is fastest for a shape, or 0 where direct products are: a table of measurements
/// (bench/conv_bench).
int fastest_tile(const ConvShape& shape, DType operand);

/// The tile by which a convolution computes on `path`, or 0 for direct products: for a kernel width
/// that FastConv does not serve or of 1, for single steps, and with `automatic` where that is
/// fastest or `operand` is float64.
int conv_tile(const ConvShape& shape, ConvPath path, DType operand);
/// The same for streams of their own lengths. With `automatic` also where so many outputs of tiles
/// would be behind ends of streams that nothing is saved.
int conv_tile(const PackedRows& rows, const ConvWidths& widths, ConvPath path, DType operand);

}  // namespace sluice
