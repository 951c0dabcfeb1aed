#pragma once
// Lines of metrics.jsonl one by one, for what reads it and for what continues it.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/one_of.hpp"
#include "sluice/base/value.hpp"
#include "sluice/training/metrics.hpp"

namespace sluice {

using MetricsLine = OneOf<TrainLine, ValidationLine>;

/// A line as it is written, without its end: the object's last field is a check of all before it.
std::string metrics_text(const Value& line);

/// Throws Error, "WHERE: ...", for a text that is no line of metrics, or another than was written.
MetricsLine parse_metrics_line(std::string_view text, const std::string& where);

/// The first faults of a file, and how many there are more.
class MetricsFaults {
 public:
  void add(const std::string& fault);
  /// What to say of them: a sentence each for the first ten, and one for all others.
  std::vector<std::string> sentences() const;

 private:
  std::vector<std::string> first_;
  std::int64_t more_ = 0;
};

/// Calls whole(text, line) for each line of `file` that can be read, and faulty() with what is
/// wrong with each other one, in order; a last line without an end is left out. The file is read in
/// parts: what it takes does not grow with it. Throws Error when the file cannot be read, or has
/// more than a gigabyte.
void for_each_metrics_line(
    const std::filesystem::path& file,
    const std::function<void(std::string_view text, const MetricsLine& line)>& whole,
    const std::function<void(const std::string& fault)>& faulty);

}  // namespace sluice
