#include "metrics_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "metrics_lines.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice {

MetricsLog::MetricsLog(const std::filesystem::path& path) : path_(path) { open(); }

MetricsLog::MetricsLog(const std::filesystem::path& path, const Kept& kept) : path_(path) {
  if (std::filesystem::exists(path)) {
    const std::string text = read_file(path);
    std::string lines;
    for_each_metrics_line(
        path, text,
        [&](std::string_view line, const MetricsLine& parsed) {
          const auto* validation = std::get_if<ValidationLine>(&parsed);
          const std::int64_t step =
              validation != nullptr ? validation->step : std::get<TrainLine>(parsed).step;
          const bool unvalidated = validation != nullptr && !kept.validated;
          if (step > kept.step || (step == kept.step && unvalidated)) return;
          lines.append(line).push_back('\n');
        },
        [&](const std::string& fault) { faults_.push_back(fault); });
    size_ = static_cast<std::int64_t>(lines.size());
    // What is kept is most often what the file begins with: then it is cut, not written anew.
    if (!std::string_view(text).starts_with(lines)) write_file(path, lines);
  }
  open();
}

void MetricsLog::open() {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("open");
  if (::ftruncate(descriptor_, size_) != 0) {
    const int error = errno;
    ::close(descriptor_);
    errno = error;
    fail("truncate");
  }
}

MetricsLog::~MetricsLog() { ::close(descriptor_); }

void MetricsLog::append(const Value& line) {
  const std::string text = json_text(line) + '\n';
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
