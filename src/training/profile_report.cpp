#include "sluice/training/profile_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "sluice/base/numbers.hpp"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

/// Scopes that hold others: their own time is what no op inside accounts for.
std::string row_name(const std::string& name) {
  for (const std::string_view phase : {"step", "forward", "backward"}) {
    if (name == phase) return "rest of " + name;
  }
  return name;
}

/// A rate in units of 1e9 and as a percentage of its ceiling; blank where unknown.
std::string rate(double work, double seconds, double ceiling) {
  if (work <= 0 || seconds <= 0) return fmt::format("{:>10}{:>8}", "", "");
  const double value = work / seconds;
  const std::string share = ceiling > 0 ? fmt::format("{:.1f}%", 100 * value / ceiling) : "";
  return fmt::format("{:>10.1f}{:>8}", value / 1e9, share);
}

class Table {
 public:
  Table(const StepProfile& profile, const Ceilings& ceilings)
      : steps_(static_cast<double>(std::max<std::int64_t>(profile.steps, 1))),
        seconds_(profile.seconds),
        ceilings_(ceilings) {
    for (const ProfileEntry& entry : profile.entries) {
      width_ = std::max(width_, row_name(entry.name).size());
    }
  }

  std::string header() const {
    return fmt::format("{:<{}}{:>10}{:>8}{:>9}{:>10}{:>10}{:>8}{:>10}{:>8}\n", "op", width_,
                       "ms/step", "share", "calls", "GFLOP", "GFLOP/s", "of max", "GB/s", "of max");
  }

  std::string row(const std::string& name, const ProfileEntry& entry, bool bf16) const {
    const std::string calls =
        entry.calls > 0 ? fmt::format("{:.1f}", static_cast<double>(entry.calls) / steps_) : "";
    const std::string flop =
        entry.flops > 0 ? fmt::format("{:.3f}", entry.flops / steps_ / 1e9) : "";
    std::string line = fmt::format(
        "{:<{}}{:>10.3f}{:>7.1f}%{:>9}{:>10}{}{}", name, width_, entry.seconds * 1e3 / steps_,
        seconds_ > 0 ? 100 * entry.seconds / seconds_ : 0, calls, flop,
        rate(entry.flops, entry.seconds, bf16 ? ceilings_.gemm_bf16 : ceilings_.gemm_f32),
        rate(entry.bytes, entry.seconds, ceilings_.copy));
    line.erase(line.find_last_not_of(' ') + 1);
    return line + '\n';
  }

 private:
  double steps_;
  double seconds_;
  const Ceilings& ceilings_;
  std::size_t width_ = 16;
};

}  // namespace

StepProfiler::Step::Step(StepProfiler& profiler) : profiler_(profiler) {
  if (profiler_.seen_++ < profile_warmup_steps || profiler_.profiled_ >= profiler_.steps_) return;
  if (profiler_.profiled_ == 0) {
    start_profile();
    start_trace();
  } else {
    resume_profile();
  }
  start_ = Clock::now();
  scope_.emplace("step");
}

StepProfiler::Step::~Step() {
  if (!scope_) return;
  scope_.reset();
  profiler_.seconds_ += std::chrono::duration<double>(Clock::now() - start_).count();
  ++profiler_.profiled_;
  stop_trace();
  stop_profile();
}

StepProfile StepProfiler::profile(std::int64_t tokens, Precision precision) const {
  return {.steps = profiled_,
          .tokens = tokens,
          .seconds = seconds_,
          .precision = precision,
          .entries = profile_entries()};
}

std::string format_profile(const StepProfile& profile, const Ceilings& ceilings) {
  const double seconds = std::max(profile.seconds, 1e-9);
  const auto steps = static_cast<double>(std::max<std::int64_t>(profile.steps, 1));
  const double tokens = static_cast<double>(profile.tokens) * steps / seconds;
  std::string text = fmt::format(
      "profile of {} steps of {} tokens: {:.3f} ms per step, {} tokens/s\n", profile.steps,
      grouped(profile.tokens), 1e3 * seconds / steps, grouped(static_cast<std::int64_t>(tokens)));
  text += fmt::format("measured ceilings of {} thread{}: float32 products {:.1f} GFLOP/s, ",
                      ceilings.threads, ceilings.threads == 1 ? "" : "s", ceilings.gemm_f32 / 1e9);
  if (ceilings.gemm_bf16 > 0) text += fmt::format("bf16 {:.1f}, ", ceilings.gemm_bf16 / 1e9);
  text += fmt::format("copies outside caches {:.1f} GB/s\n\n", ceilings.copy / 1e9);

  const Table table(profile, ceilings);
  text += table.header();
  ProfileEntry whole;
  whole.seconds = profile.seconds;
  std::string beside;
  for (const ProfileEntry& entry : profile.entries) {
    std::string& rows = entry.beside ? beside : text;
    rows += table.row(row_name(entry.name), entry, entry.name.ends_with("bf16"));
    if (entry.beside) continue;
    whole.flops += entry.flops;
    whole.bytes += entry.bytes;
  }
  const bool bf16 = profile.precision == Precision::bf16 && ceilings.gemm_bf16 > 0;
  text += table.row("whole step", whole, bf16);
  return beside.empty() ? text : text + "\nmeanwhile, on a thread of its own\n" + beside;
}

}  // namespace sluice
