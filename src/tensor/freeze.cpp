#include "sluice/tensor/freeze.hpp"

namespace sluice {

const EnumNames<WeightPrecision>& enum_names(WeightPrecision) {
  static const EnumNames<WeightPrecision> names("precision", {{WeightPrecision::f32, "f32"},
                                                              {WeightPrecision::bf16, "bf16"},
                                                              {WeightPrecision::int8, "int8"}});
  return names;
}

Tensor frozen_part(const FreezeOptions& options, const Shape& shape, DType dtype,
                   const std::function<Tensor()>& make) {
  return options.parts != nullptr ? options.parts->next(shape, dtype, make) : make();
}

Tensor frozen_tensor(const Tensor& tensor, const FreezeOptions& options) {
  if (!tensor.defined()) return {};
  return frozen_part(options, tensor.shape(), tensor.dtype(),
                     [&] { return options.copy ? tensor.clone() : tensor; });
}

}  // namespace sluice
