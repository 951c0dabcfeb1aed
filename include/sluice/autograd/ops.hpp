#pragma once
// Differentiable ops. Each checks its shapes (Error naming the op and both shapes), computes, and
// records its gradient when a tape is recording and an input requires it. float32 and float64.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/autograd/variable.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/tensor/conv.hpp"
#include "sluice/tensor/precision.hpp"

namespace sluice {

/// Dropout drawn from counter-based random numbers (base/random.hpp): element i of the op's input
/// is dropped according to word i of (seed, stream, step). probability 0 does nothing.
struct Dropout {
  float probability = 0;
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::uint32_t step = 0;
};

/// Rows of `table` [V, D] picked by ids: [n, D]. Ids outside [0, V) throw Error.
Variable embedding(std::span<const std::int32_t> ids, const Variable& table);

/// y = x·Wᵀ + b: x [R, C], weight [N, C] (PyTorch's Linear), bias [N] or undefined; y [R, N].
Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                Precision precision = Precision::f32);

/// y = x·W: x [R, C], w [C, N]; y [R, N].
Variable matmul(const Variable& x, const Variable& w, Precision precision = Precision::f32);

/// Inverted dropout (Srivastava et al. 2014).
Variable dropout(const Variable& x, const Dropout& dropout);

/// y = unit(x): x [.., unit.inputs(N)], y [.., N].
Variable unit(const Variable& x, const Unit& unit);

/// y = a · x + b · z, elementwise.
Variable add_scaled(const Variable& x, double a, const Variable& z, double b);

/// x's elements under another shape.
Variable reshape(const Variable& x, Shape shape);

/// Rows of x [R, C] picked by index (each within [0, R)): [n, C].
Variable gather_rows(const Variable& x, std::span<const std::int32_t> index);

/// [top; bottom]: [n, C] over [m, C].
Variable concat_rows(const Variable& top, const Variable& bottom);

/// Rows placed by index into a matrix of `rows` rows: y[part.index[i]] = part.rows[i]. Indices are
/// distinct over all parts; rows no part names are zero.
struct RowPart {
  Variable rows;
  std::vector<std::int32_t> index;
};
Variable scatter_rows(const std::vector<RowPart>& parts, std::int64_t rows);

/// Weight normalisation over the columns of v [.., N]: w = g ⊙ v / ‖v‖ (Salimans & Kingma 2016),
/// the norm over all dimensions but the last; g [N].
Variable weight_norm(const Variable& v, const Variable& g);

/// Throws UsageError when `fast` cannot serve this kernel width.
void check_fast_kernel(std::int64_t kernel);

/// The fused layer of the gated convolutional language model (Dauphin et al. 2017, eq. 1), with
/// x' = dropout(x) preceded in time by `context`:
///   z[b, t] = Σ_k x'[b, t - (K - 1) + k] · w[k] + bias
///   y = (unit(z) + residual) · scale
/// x [B, T, C]; w [K, C, unit.inputs(N)]; bias [unit.inputs(N)]; residual [B, T, N] or undefined;
/// y [B, T, N].
struct CausalConv {
  Unit unit;
  double scale = 1;
  /// The K-1 inputs before the first, [B, K-1, C] (constants, no gradient); undefined means zeros.
  Tensor context;
  Dropout dropout;
  Precision precision = Precision::f32;
  ConvPath path = ConvPath::automatic;
  /// Weight normalisation (see weight_norm): when defined, [unit.inputs(N)], `w` is v and the
  /// filters are gain ⊙ v / ‖v‖.
  Variable gain;
  /// Outputs per tile of the fast path, 0 for the path's own choice.
  int tile = 0;
  /// Compute z again for the gradient instead of keeping it.
  bool recompute = false;
};
/// When next_context is given it receives the last K-1 rows of x' (with `context` before them), for
/// the next chunk.
Variable causal_conv_unit(const Variable& x, const Variable& w, const Variable& bias,
                          const Variable& residual, const CausalConv& options,
                          Tensor* next_context = nullptr);

/// Σ_r nll[r] · scale of a linear layer followed by softmax cross-entropy, fused so that logits
/// exist for one block of rows at a time: h [R, D], weight [V, D], bias [V] or undefined, targets
/// [R] in [0, V). Adds each row's negative log-likelihood to nll[row_index[r]] (nll[r] when
/// row_index is empty) when nll is defined.
Variable linear_cross_entropy(const Variable& h, const Variable& weight, const Variable& bias,
                              std::span<const std::int32_t> targets, double scale,
                              const Tensor& nll = {}, std::span<const std::int32_t> row_index = {},
                              Precision precision = Precision::f32);

/// Σ of all elements, and their mean: [1].
Variable sum(const Variable& x);
Variable mean(const Variable& x);

}  // namespace sluice
