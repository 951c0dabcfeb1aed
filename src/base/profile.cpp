#include "sluice/base/profile.hpp"

#include <algorithm>
#include <unordered_map>

namespace sluice {
namespace {

thread_local bool profiling = false;
thread_local ProfileScope* innermost = nullptr;
// Keyed by address: names are literals, so the same scope has the same pointer.
thread_local std::unordered_map<const char*, ProfileEntry> gathered;

}  // namespace

void start_profile() {
  gathered.clear();
  profiling = true;
}

void stop_profile() { profiling = false; }

std::vector<ProfileEntry> profile_entries() {
  std::vector<ProfileEntry> entries;
  for (const auto& [name, entry] : gathered) {
    const auto same = std::ranges::find(entries, entry.name, &ProfileEntry::name);
    if (same == entries.end()) {
      entries.push_back(entry);
    } else {  // the same name from two source files
      same->calls += entry.calls;
      same->seconds += entry.seconds;
      same->flops += entry.flops;
    }
  }
  std::ranges::sort(entries, [](const ProfileEntry& a, const ProfileEntry& b) {
    return a.seconds != b.seconds ? a.seconds > b.seconds : a.name < b.name;
  });
  return entries;
}

ProfileScope::ProfileScope(const char* name, double flops) {
  if (!profiling) return;
  name_ = name;
  flops_ = flops;
  outer_ = innermost;
  innermost = this;
  start_ = Clock::now();
}

ProfileScope::~ProfileScope() {
  if (name_ == nullptr) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  innermost = outer_;
  if (outer_ != nullptr) outer_->nested_ += seconds;
  ProfileEntry& entry = gathered[name_];
  if (entry.calls == 0) entry.name = name_;
  ++entry.calls;
  entry.seconds += seconds - nested_;
  entry.flops += flops_;
}

}  // namespace sluice
