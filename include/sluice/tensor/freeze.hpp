#pragma once
// How a trained model's weights are prepared for use, and where what was prepared is kept.

#include <cstddef>
#include <cstdint>
#include <functional>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/tensor/conv.hpp"
#include "sluice/tensor/precision.hpp"
#include "sluice/tensor/tensor.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How the elements of a constant matrix are stored.
enum class WeightPrecision : std::uint8_t {
  f32,
  bf16,  ///< rounded once; rows to be multiplied are rounded to bfloat16, too
  int8,  ///< with a float32 scale per output; rows to be multiplied are rounded to 16 bits
};
/// "f32", "bf16", "int8".
const EnumNames<WeightPrecision>& enum_names(WeightPrecision);

/// How products of activations among themselves compute beside such weights.
inline Precision product_precision(WeightPrecision weights) {
  return weights == WeightPrecision::bf16 ? Precision::bf16 : Precision::f32;
}

/// The prepared tensors of one frozen model, in the order in which freezing asks for them: for
/// whoever writes them down, or has them already. Used by one thread, while a model is frozen.
class FrozenParts {
 public:
  FrozenParts() = default;
  virtual ~FrozenParts() = default;
  FrozenParts(const FrozenParts&) = delete;
  FrozenParts& operator=(const FrozenParts&) = delete;

  /// Whether the tensors are there already: those of the model that is frozen are then good for
  /// their shapes alone, and their elements are not read.
  virtual bool kept() const = 0;
  /// The next tensor, of that shape and type: make()'s, or the one that is kept. Throws Error when
  /// that is another.
  virtual Tensor next(const Shape& shape, DType dtype, const std::function<Tensor()>& make) = 0;
};

/// How a model's weights are prepared for use without training.
struct FreezeOptions {
  WeightPrecision precision = WeightPrecision::f32;
  /// How convolutions over time compute. Weights of int8, and those of `parts`, serve direct
  /// products alone.
  ConvPath conv = ConvPath::automatic;
  /// Whether tensors that are read as they are are copied. Without, they are shared with the model,
  /// which must then not change any more: for a model that is given up.
  bool copy = true;
  /// Where prepared tensors are kept; null for nowhere.
  FrozenParts* parts = nullptr;

  /// Whether the elements of a model's tensors are not read (FrozenParts::kept()).
  bool shapes_only() const { return parts != nullptr && parts->kept(); }
};

/// What make() gives for something frozen, or what is kept of it.
Tensor frozen_part(const FreezeOptions& options, const Shape& shape, DType dtype,
                   const std::function<Tensor()>& make);
/// `tensor` for something frozen: a copy, or itself where the options say so. Undefined for an
/// undefined one.
Tensor frozen_tensor(const Tensor& tensor, const FreezeOptions& options);

}  // namespace sluice
SLUICE_API_END
