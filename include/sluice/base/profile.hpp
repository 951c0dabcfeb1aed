#pragma once
// Where time goes: named scopes with self time, switched on by whoever wants to know.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

/// Time and work of all scopes of one name.
struct ProfileEntry {
  std::string name;
  std::uint64_t calls = 0;
  /// Seconds inside, scopes nested in it left out.
  double seconds = 0;
  /// Floating-point operations, where the scope says so.
  double flops = 0;
};

/// Starts (forgetting what was gathered) or stops gathering on the thread that calls it; other
/// threads' scopes are not counted.
void start_profile();
void stop_profile();
/// What was gathered since start_profile(), largest share first.
std::vector<ProfileEntry> profile_entries();

/// Counts the time it lives under `name`, a string literal. Costs one test when not profiling.
class ProfileScope {
 public:
  explicit ProfileScope(const char* name, double flops = 0);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  const char* name_ = nullptr;  // null when not profiling
  double flops_ = 0;
  Clock::time_point start_;
  double nested_ = 0;
  ProfileScope* outer_ = nullptr;
};

}  // namespace sluice
