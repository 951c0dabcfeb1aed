#pragma once
// Results as text: CSV (RFC 4180), tables and numbers for people.

#include <string>
#include <vector>

#include "sluice/base/value.hpp"

namespace sluice {

/// A value as a cell of CSV: quoted where it must be; null and numbers that are not finite are
/// empty.
std::string csv_cell(const Value& value);
/// Cells, as csv_cell() gives them, as a line.
std::string csv_line(const std::vector<std::string>& cells);
/// Values as a line.
std::string csv_values(const std::vector<Value>& values);

/// Columns as wide as their widest cell, the first to the left, the others to the right.
std::string table(const std::vector<std::vector<std::string>>& rows);

/// "p < 0.0001" or "p = 0.0123".
std::string p_value(double p);

}  // namespace sluice
