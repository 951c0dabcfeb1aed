#pragma once
// How parallel_for tells the profile about its threads.

#include <atomic>
#include <cstdint>

#include "sluice/base/profile.hpp"

namespace sluice {

/// One parallel_for call, made on and destroyed by the thread that calls it: its ranges' scopes
/// count where the caller's do, and their time is nested in the caller's innermost scope.
class ProfiledRanges {
 public:
  ProfiledRanges();
  ~ProfiledRanges();
  ProfiledRanges(const ProfiledRanges&) = delete;
  ProfiledRanges& operator=(const ProfiledRanges&) = delete;

  /// One range, on the thread that runs it: the `thread`-th of `threads`.
  class Range {
   public:
    Range(ProfiledRanges& ranges, int thread, int threads);
    ~Range();
    Range(const Range&) = delete;
    Range& operator=(const Range&) = delete;

   private:
    ProfiledRanges& ranges_;
    double nested_ = 0;
    // What the thread was doing before.
    std::uint64_t outer_profile_ = 0;
    ProfileScope* outer_innermost_ = nullptr;
    int outer_thread_ = 0;
  };

 private:
  std::uint64_t profile_;
  std::atomic<double> nested_{0};
};

}  // namespace sluice
