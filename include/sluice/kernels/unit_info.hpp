#pragma once
// What there is to know about each unit; the manual and the list of units are made from it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How far a float kernel may be from the exact result, on every SIMD target, at the default
/// parameters: at most `ulp` units in the last place of a normal number of the result's size, or
/// `absolute`, or for arguments of at most -1 `relative_below` times the result.
struct ErrorBound {
  float ulp = 0;
  float absolute = 0;
  float relative_below = 0;
};

/// A number a unit takes, which must lie in [least, most].
struct UnitParameter {
  std::string name;
  float standard = 0, least = 0, most = 0;
};

/// `layer` units are no elementwise kernels: they have parameters that are learned, draw random
/// numbers or look at several channels (nn/unit_layer.hpp).
enum class UnitKind : std::uint8_t { gate, activation, layer };
/// "gate", "activation", "layer".
const EnumNames<UnitKind>& enum_names(UnitKind);

struct UnitInfo {
  std::string name;
  UnitKind kind = UnitKind::activation;
  std::string formula;     ///< of x, or of a and b
  std::string derivative;  ///< with respect to x, or to a and b
  std::string range;
  std::string saturation;  ///< where it saturates or dies
  std::string source;
  std::string accuracy;  ///< one sentence
  std::vector<UnitParameter> parameters;
  ErrorBound value_error, slope_error;  ///< enforced by tests/kernels/accuracy_test.cpp
};

/// Every unit: gates, activations, layers.
const std::vector<UnitInfo>& unit_infos();

/// The unit of that name, without parameters ("leaky_relu"). Throws UsageError naming the nearest
/// known names.
const UnitInfo& unit_info(std::string_view name);

}  // namespace sluice
SLUICE_API_END
