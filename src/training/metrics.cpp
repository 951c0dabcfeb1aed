#include "metrics.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

/// Length of the longest run of whole lines from the start that belong to the steps kept.
std::size_t kept_length(std::string_view text, std::int64_t keep_step, bool keep_validation) {
  std::size_t kept = 0;
  while (true) {
    const std::size_t end = text.find('\n', kept);
    if (end == std::string_view::npos) return kept;
    const auto line = nlohmann::json::parse(text.substr(kept, end - kept), nullptr, false);
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer()) {
      return kept;
    }
    const auto step = line["step"].get<std::int64_t>();
    const bool validation = line.value("event", "") == "validation";
    if (step > keep_step || (step == keep_step && validation && !keep_validation)) return kept;
    kept = end + 1;
  }
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& path, std::int64_t keep_step,
                       bool keep_validation)
    : path_(path) {
  if (keep_step >= 0 && std::filesystem::exists(path)) {
    const std::string text = read_file(path);
    size_ = static_cast<std::int64_t>(kept_length(text, keep_step, keep_validation));
  }
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("open");
  if (::ftruncate(descriptor_, size_) != 0) {
    const int error = errno;
    ::close(descriptor_);
    errno = error;
    fail("truncate");
  }
}

MetricsLog::~MetricsLog() { ::close(descriptor_); }

void MetricsLog::append(const nlohmann::json& line) {
  const std::string text = line.dump() + '\n';
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = ::write(descriptor_, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      const int error = wrote < 0 ? errno : ENOSPC;
      // A failed repair leaves half a line, which the next resume drops.
      [[maybe_unused]] const int repaired = ::ftruncate(descriptor_, size_);
      errno = error;
      fail("write");
    }
    done += static_cast<std::size_t>(wrote);
  }
  size_ += static_cast<std::int64_t>(text.size());
}

void MetricsLog::sync() {
  if (::fsync(descriptor_) != 0) fail("sync");
}

void MetricsLog::fail(const char* operation) const {
  throw Error(fmt::format("cannot {} '{}': {}", operation, path_.string(), std::strerror(errno)));
}

}  // namespace sluice
