#include "text_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sluice/base/detail/json.hpp"

namespace sluice {

std::string csv_cell(const Value& value) {
  const auto* const number = value.as<double>();
  if (value.is_null() || (number != nullptr && !std::isfinite(*number))) return "";
  const auto* const words = value.as<std::string>();
  std::string text = words != nullptr ? *words : json_text(value);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string csv_line(const std::vector<std::string>& cells) {
  return fmt::format("{}\n", fmt::join(cells, ","));
}

std::string csv_values(const std::vector<Value>& values) {
  std::vector<std::string> cells;
  cells.reserve(values.size());
  for (const Value& value : values) cells.push_back(csv_cell(value));
  return csv_line(cells);
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    text += fmt::format("{:<{}}", row[0], widths[0]);
    for (std::size_t i = 1; i < row.size(); ++i) text += fmt::format("  {:>{}}", row[i], widths[i]);
    text += '\n';
  }
  return text;
}

std::string p_value(double p) { return p < 0.0001 ? "p < 0.0001" : fmt::format("p = {:.4f}", p); }

}  // namespace sluice
