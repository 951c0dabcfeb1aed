#pragma once
// Weights that do not change, laid out for the products that read them.

#include <cstdint>
#include <span>
#include <utility>

#include "sluice/base/api.hpp"
#include "sluice/tensor/freeze.hpp"
#include "sluice/tensor/gemm.hpp"
#include "sluice/tensor/int8_matrix.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The dimensions of a weight's tensor.
enum class WeightLayout : std::uint8_t {
  outputs_by_inputs,  ///< [N, C], as PyTorch's Linear
  inputs_by_outputs,  ///< [C, N]
};

/// A constant matrix W that rows are multiplied by: y = x · W, x [R, C], y [R, N]. It alone knows
/// how the elements are stored: float32 as they come, bfloat16, rounded once, or int8 with a scale
/// per output. Immutable and cheap to copy (copies share the elements); any number of threads may
/// use one at once.
class PreparedWeight {
 public:
  /// Nothing: no inputs, no outputs.
  PreparedWeight() = default;
  /// `w` float32, of two dimensions; throws Error for another type or rank.
  PreparedWeight(const Tensor& w, WeightLayout layout, const FreezeOptions& options = {});
  /// W as `w` [N, C] has it, and the matrix [N, C] itself, which rows of N are multiplied by:
  /// both read the same elements where their form allows it.
  static std::pair<PreparedWeight, PreparedWeight> both_ways(const Tensor& w,
                                                             const FreezeOptions& options);

  bool defined() const { return data_.defined() || int8_.defined(); }
  std::int64_t inputs() const {
    return layout_ == WeightLayout::outputs_by_inputs ? columns() : rows();
  }
  std::int64_t outputs() const {
    return layout_ == WeightLayout::outputs_by_inputs ? rows() : columns();
  }
  /// The type that product() takes x in without converting it: f32 or bf16 (int8 weights take f32).
  DType operand() const { return data_.dtype(); }

  /// y[r] = x[r] · W, or y[r] += when `accumulate`: x [R, C] of float32 (rounded first where W is
  /// not) or of type operand(), its rows x.ld apart; y [R, N] with rows ldy apart. Throws Error
  /// naming both shapes when x does not have C columns.
  void product(float* y, std::int64_t ldy, const MatrixView& x, bool accumulate = false) const;
  /// The same for contiguous x [R, C] into a new tensor [R, N].
  Tensor product(const Tensor& x) const;
  /// The same into columns [first, first + N) of y, float32 [R, M]. Throws Error when y does not
  /// have these, or as many rows as x.
  void product_into(const Tensor& y, std::int64_t first, const Tensor& x) const;

  /// The weights of some outputs in float32, [n, C]: vectors of tokens, where a table of those is
  /// W. Throws Error, naming `what`, for an index outside [0, N).
  Tensor pick(std::span<const std::int32_t> index, const char* what) const;

  /// The elements [N, C], or [C, N], of float32; undefined for other forms.
  Tensor values() const { return data_.dtype() == DType::f32 ? data_ : Tensor(); }

  /// Memory of its elements.
  std::size_t bytes() const { return data_.defined() ? data_.bytes() : int8_.bytes(); }

 private:
  std::int64_t rows() const { return data_.defined() ? data_.dim(0) : int8_.outputs(); }
  std::int64_t columns() const { return data_.defined() ? data_.dim(1) : int8_.inputs(); }

  Tensor data_;
  Int8Matrix int8_;  // in place of data_; of outputs_by_inputs then
  WeightLayout layout_ = WeightLayout::outputs_by_inputs;
};

}  // namespace sluice
SLUICE_API_END
