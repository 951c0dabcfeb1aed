#pragma once
// Results as text: CSV (RFC 4180), tables and numbers for people.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace sluice {

/// A value as CSV: quoted where it must be, null and what is no number empty.
std::string csv_cell(const nlohmann::json& value);
/// Cells as a line.
std::string csv_line(const std::vector<std::string>& cells);

/// Columns as wide as their widest cell, the first to the left, the others to the right.
std::string table(const std::vector<std::vector<std::string>>& rows);

/// "p < 0.0001" or "p = 0.0123".
std::string p_value(double p);

}  // namespace sluice
