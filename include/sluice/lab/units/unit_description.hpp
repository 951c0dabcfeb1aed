#pragma once
// What there is to know about a unit as models take it, numbers and formulas included.

#include <string_view>

#include "sluice/base/api.hpp"
#include "sluice/kernels/unit_info.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What unit_info() says of a unit by itself ("relu6"); of one with arguments ("relu6(5)",
/// "rrelu(0.1,0.3)", "gelu(stochastic)") the same under UnitSpec::name(), with these numbers as
/// its parameters' standard ones; and of a gate without a name ("leaky_relu(0.2)(a)*b") what
/// follows from its activation. Throws UsageError as parse_unit_spec() does.
UnitInfo describe_unit(std::string_view name);

}  // namespace sluice
SLUICE_API_END
