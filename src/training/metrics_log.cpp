#include "metrics_log.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "metrics_lines.hpp"
#include "sluice/base/file.hpp"

namespace sluice {

MetricsLog::MetricsLog(const std::filesystem::path& path) { file_.emplace(path, 0); }

MetricsLog::MetricsLog(const std::filesystem::path& path, const Kept& kept) {
  std::size_t size = 0;
  if (is_there(path)) size = keep(path, kept);
  file_.emplace(path, size);
}

std::size_t MetricsLog::keep(const std::filesystem::path& path, const Kept& kept) {
  const auto is_kept = [&](const MetricsLine& line) {
    const auto* validation = std::get_if<ValidationLine>(&line);
    const std::int64_t step =
        validation != nullptr ? validation->step : std::get<TrainLine>(line).step;
    const bool unvalidated = validation != nullptr && !kept.validated;
    return step < kept.step || (step == kept.step && !unvalidated);
  };
  // What is kept is most often what the file begins with: then it is cut, not written anew.
  std::size_t size = 0;
  bool dropped = false;
  bool scattered = false;
  MetricsFaults faults;
  for_each_metrics_line(
      path,
      [&](std::string_view line, const MetricsLine& parsed) {
        if (!is_kept(parsed)) {
          dropped = true;
          return;
        }
        scattered = scattered || dropped;
        size += line.size() + 1;
      },
      [&](const std::string& fault) {
        faults.add(fault);
        dropped = true;
      });
  faults_ = faults.sentences();
  if (!scattered) return size;
  AtomicFile file(path);
  for_each_metrics_line(
      path,
      [&](std::string_view line, const MetricsLine& parsed) {
        if (!is_kept(parsed)) return;
        file.write(line);
        file.write("\n");
      },
      [](const std::string&) {});
  file.commit();
  return size;
}

void MetricsLog::append(const Value& line) { file_->append(metrics_text(line) + '\n'); }

void MetricsLog::sync() { file_->sync(); }

}  // namespace sluice
