#pragma once
// Where time goes: named scopes with self time and work, switched on by whoever wants to know.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Time and work of all scopes of one name.
struct ProfileEntry {
  std::string name;
  /// Scopes that ended, on all threads.
  std::uint64_t calls = 0;
  /// Share of the wall time: the seconds inside, scopes nested in it left out. Inside a
  /// parallel_for that runs on R threads a second counts as 1/R, and what its ranges' scopes leave
  /// of the call (also waiting for the slowest) stays with the scope around it. So the entries of a
  /// profile add up to the time spent in the outermost scopes of the profiled thread.
  double seconds = 0;
  /// Floating-point operations, and bytes read and written, over all threads, where the scopes say
  /// so.
  double flops = 0;
  double bytes = 0;
  /// Of a thread beside the profiled one (ProfileScope::Beside): no part of that sum.
  bool beside = false;
};

/// Starts gathering, forgetting what was gathered. Counted are the scopes that begin from now on on
/// the calling thread, and on any thread inside a parallel_for of the calling thread; and those
/// beside it.
void start_profile();
/// Goes on gathering after stop_profile() without forgetting, for the calling thread as above.
void resume_profile();
/// Stops gathering. Scopes that are open still count when they end.
void stop_profile();
/// What was gathered since start_profile(), largest share first.
std::vector<ProfileEntry> profile_entries();

/// Starts or stops keeping each counted scope as an event of its own, for write_chrome_trace().
/// start_profile() forgets the events.
void start_trace();
void stop_trace();
/// Replaces `path` with the events in the Trace Event Format, which chrome://tracing and Perfetto
/// show: complete events ("ph": "X") in microseconds with "args" flops and bytes where not 0; "tid"
/// 0 is the profiled thread, i the i-th other thread of a parallel_for, 1000 threads beside. Throws
/// Error when the file
/// cannot be written.
/// Source: "Trace Event Format", Google, 2016, section "Complete Events".
void write_chrome_trace(const std::filesystem::path& path);

/// Counts the time it lives under `name`, a string literal, with the work done in it (that of
/// nested scopes left out). An operand or result counts its bytes once, twice when it is updated in
/// place. Costs one relaxed load when nothing is profiled. Belongs to the thread that made it,
/// where scopes end in reverse order; any number of threads may have scopes at once.
class ProfileScope {
 public:
  explicit ProfileScope(const char* name, double flops = 0, double bytes = 0);
  /// Of a thread that works for the profiled one meanwhile, whichever that is: the seconds inside
  /// count in full, scopes nested in it left out.
  struct Beside {};
  ProfileScope(Beside beside, const char* name);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  friend class ProfiledRanges;
  void begin();
  using Clock = std::chrono::steady_clock;
  std::uint64_t profile_ = 0;  // the profile it counts for; 0: none
  const char* name_ = nullptr;
  double flops_ = 0;
  double bytes_ = 0;
  Clock::time_point start_;
  double nested_ = 0;
  ProfileScope* outer_ = nullptr;
};

}  // namespace sluice
SLUICE_API_END
