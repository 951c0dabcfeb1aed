#pragma once
// Weights that do not change, laid out for the products that read them.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/tensor/conv.hpp"
#include "sluice/tensor/gemm.hpp"
#include "sluice/tensor/precision.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How a model's weights are prepared for use without training.
struct FreezeOptions {
  Precision precision = Precision::f32;
  /// How convolutions over time compute.
  ConvPath conv = ConvPath::automatic;
  /// Whether tensors that are read as they are are copied. Without, they are shared with the model,
  /// which must then not change any more: for a model that is given up.
  bool copy = true;
};

/// `tensor` for something frozen: a copy, or itself where the options say so.
Tensor frozen_tensor(const Tensor& tensor, const FreezeOptions& options);

/// The dimensions of a weight's tensor.
enum class WeightLayout : std::uint8_t {
  outputs_by_inputs,  ///< [N, C], as PyTorch's Linear
  inputs_by_outputs,  ///< [C, N]
};

/// A constant matrix W that rows are multiplied by: y = x · W, x [R, C], y [R, N]. It alone knows
/// how the elements are stored: float32 as they come, or bfloat16, rounded once. (Other forms, int8
/// with scales say, go here: nobody else sees the elements.) Immutable and cheap to copy (copies
/// share the elements); any number of threads may use one at once.
class PreparedWeight {
 public:
  /// Nothing: no inputs, no outputs.
  PreparedWeight() = default;
  /// `w` float32, of two dimensions; throws Error for another type or rank.
  PreparedWeight(const Tensor& w, WeightLayout layout, const FreezeOptions& options = {});

  bool defined() const { return data_.defined(); }
  std::int64_t inputs() const {
    return layout_ == WeightLayout::outputs_by_inputs ? columns() : rows();
  }
  std::int64_t outputs() const {
    return layout_ == WeightLayout::outputs_by_inputs ? rows() : columns();
  }
  /// The type that product() takes x in without converting it: f32 or bf16.
  DType operand() const { return data_.dtype(); }

  /// y[r] = x[r] · W, or y[r] += when `accumulate`: x [R, C] of float32 (rounded first where W is
  /// bfloat16) or of type operand(), its rows x.ld apart; y [R, N] with rows ldy apart. Throws
  /// Error naming both shapes when x does not have C columns.
  void product(float* y, std::int64_t ldy, const MatrixView& x, bool accumulate = false) const;
  /// The same for contiguous x [R, C] into a new tensor [R, N].
  Tensor product(const Tensor& x) const;

  /// Memory of its elements.
  std::size_t bytes() const { return defined() ? data_.bytes() : 0; }

 private:
  std::int64_t rows() const { return defined() ? data_.dim(0) : 0; }
  std::int64_t columns() const { return defined() ? data_.dim(1) : 0; }

  Tensor data_;
  WeightLayout layout_ = WeightLayout::outputs_by_inputs;
};

}  // namespace sluice
SLUICE_API_END
