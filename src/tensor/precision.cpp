#include "sluice/tensor/precision.hpp"

namespace sluice {

const EnumNames<Precision>& enum_names(Precision) {
  static const EnumNames<Precision> names("precision",
                                          {{Precision::f32, "f32"}, {Precision::bf16, "bf16"}});
  return names;
}

}  // namespace sluice
