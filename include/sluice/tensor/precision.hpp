#pragma once
// The precision of matrix products.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Precision of the matrix products inside ops and layers: bf16 rounds both operands to bfloat16
/// once and accumulates in float32.
enum class Precision : std::uint8_t { f32, bf16 };
/// "f32", "bf16".
const EnumNames<Precision>& enum_names(Precision);

}  // namespace sluice
SLUICE_API_END
