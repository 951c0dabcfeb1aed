#pragma once
// Writing metrics.jsonl: lines are appended whole or not at all.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/file.hpp"
#include "sluice/training/metrics.hpp"

namespace sluice {

class MetricsLog {
 public:
  /// What a run that is continued keeps of the lines that are there: those up to `step`, of the
  /// validations at it only when `validated`.
  struct Kept {
    std::int64_t step = 0;
    bool validated = false;
  };

  /// Empties `path`, or makes it, for a new run.
  explicit MetricsLog(const std::filesystem::path& path);
  /// Continues `path`. Lines after `kept` are dropped; so are lines that cannot be read, which
  /// faults() names. Throws Error naming the path and the cause when it cannot be opened.
  MetricsLog(const std::filesystem::path& path, const Kept& kept);

  /// What was wrong with lines that were dropped, as Metrics::faults has it.
  const std::vector<std::string>& faults() const { return faults_; }

  /// Appends a line. When that fails (a full disk) the file is as before, and Error is thrown.
  void append(const TrainLine& line) { append(metrics_value(line)); }
  void append(const ValidationLine& line) { append(metrics_value(line)); }
  /// Returns when all lines are on the disk.
  void sync();

 private:
  void append(const Value& line);
  /// Drops all other lines; returns how many bytes are left of the file.
  std::size_t keep(const std::filesystem::path& path, const Kept& kept);

  std::optional<AppendFile> file_;
  std::vector<std::string> faults_;
};

}  // namespace sluice
