#pragma once
// metrics.jsonl: one JSON object per line, appended whole or not at all.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace sluice {

class MetricsLog {
 public:
  /// Opens `path` for appending; with `keep_step` < 0 it is emptied, else the lines of the run up
  /// to that step are kept: those with "step" below it, those at it, and of the validations at it
  /// only when `keep_validation`. Throws Error naming the path and the cause.
  MetricsLog(const std::filesystem::path& path, std::int64_t keep_step, bool keep_validation);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// Appends one line. When that fails (a full disk) the file is as before, and Error is thrown.
  void append(const nlohmann::json& line);
  /// Returns when all lines are on the disk.
  void sync();

 private:
  [[noreturn]] void fail(const char* operation) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

}  // namespace sluice
