#pragma once
// Lines of metrics.jsonl one by one, for what reads it and for what continues it.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "sluice/training/metrics.hpp"

namespace sluice {

using MetricsLine = std::variant<TrainLine, ValidationLine>;

/// Throws Error, "WHERE: ...", for a text that is no line of metrics.
MetricsLine parse_metrics_line(std::string_view text, const std::string& where);

/// Calls whole(text, line) for each line of `text`, the content of `file`, that can be read, and
/// faulty() with what is wrong with each other one, in order; a last line without an end is left
/// out.
void for_each_metrics_line(
    const std::filesystem::path& file, std::string_view text,
    const std::function<void(std::string_view text, const MetricsLine& line)>& whole,
    const std::function<void(const std::string& fault)>& faulty);

}  // namespace sluice
