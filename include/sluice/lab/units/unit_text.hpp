#pragma once
// Descriptions of units as text, JSON and Markdown.

#include <optional>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/kernels/unit_info.hpp"
#include "sluice/lab/units/unit_cost.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A unit, and what it costs if that was measured.
struct ListedUnit {
  UnitInfo info;
  std::optional<UnitCost> cost = {};
};

/// Formula, derivative, range, saturation and cost of each, by kind; at most 80 columns wide.
std::string unit_list_text(const std::vector<ListedUnit>& units);
/// Everything about one unit; at most 80 columns wide.
std::string unit_text(const ListedUnit& unit);
/// The object that docs/formats.md documents, on one line.
std::string units_json(const std::vector<ListedUnit>& units);
/// The page docs/units.md: all units, with pictures at units/NAME.svg.
std::string units_markdown(const std::vector<UnitInfo>& units);

}  // namespace sluice
SLUICE_API_END
