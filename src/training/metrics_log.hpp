#pragma once
// Writing metrics.jsonl: lines are appended whole or not at all.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

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
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// What was wrong with lines that were dropped.
  const std::vector<std::string>& faults() const { return faults_; }

  /// Appends a line. When that fails (a full disk) the file is as before, and Error is thrown.
  void append(const TrainLine& line) { append(metrics_value(line)); }
  void append(const ValidationLine& line) { append(metrics_value(line)); }
  /// Returns when all lines are on the disk.
  void sync();

 private:
  void open();
  void append(const Value& line);
  [[noreturn]] void fail(const char* operation) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
  std::vector<std::string> faults_;
};

}  // namespace sluice
