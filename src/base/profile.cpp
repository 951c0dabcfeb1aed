#include "sluice/base/profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "profiled_ranges.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

/// What a thread beside the profiled one is called in traces.
constexpr int number_beside = 1000;

struct TraceEvent {
  const char* name;
  int thread;
  Clock::time_point start;
  Clock::duration length;
  double flops;
  double bytes;
};

/// Entries and events of one profile. Keyed by address: names are literals, so the same scope has
/// the same pointer.
struct Gathered {
  std::uint64_t profile = 0;
  std::unordered_map<const char*, ProfileEntry> entries;
  std::vector<TraceEvent> events;

  void start(std::uint64_t number) {
    profile = number;
    entries.clear();
    events.clear();
  }
};

void add(ProfileEntry& to, const ProfileEntry& from) {
  to.calls += from.calls;
  to.seconds += from.seconds;
  to.flops += from.flops;
  to.bytes += from.bytes;
}

class ThreadStore;

struct Registry {
  std::mutex mutex;
  /// Counts the profiles; the last one's number.
  std::uint64_t profile = 0;
  std::vector<ThreadStore*> threads;
  /// Of threads that have ended.
  Gathered ended;
};

/// Never destroyed: threads may end after static objects are gone.
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

/// What one thread gathered. Others touch it only to collect or to clear, so its mutex is free
/// nearly always. Locked after the registry's.
class ThreadStore {
 public:
  ThreadStore() {
    Registry& all = registry();
    const std::lock_guard<std::mutex> guard(all.mutex);
    gathered_.profile = all.profile;
    all.threads.push_back(this);
  }
  ~ThreadStore() {
    Registry& all = registry();
    const std::lock_guard<std::mutex> guard(all.mutex);
    std::erase(all.threads, this);
    collect(all.ended);
  }
  ThreadStore(const ThreadStore&) = delete;
  ThreadStore& operator=(const ThreadStore&) = delete;

  void start(std::uint64_t profile) {
    const std::lock_guard<std::mutex> guard(mutex_);
    gathered_.start(profile);
  }
  void collect(Gathered& to) {
    const std::lock_guard<std::mutex> guard(mutex_);
    for (const auto& [name, entry] : gathered_.entries) {
      const ProfileEntry none{.name = entry.name, .beside = entry.beside};
      add(to.entries.try_emplace(name, none).first->second, entry);
    }
    to.events.insert(to.events.end(), gathered_.events.begin(), gathered_.events.end());
  }
  void count(std::uint64_t profile, const TraceEvent& event, double seconds, bool traced) {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (profile != gathered_.profile) return;  // another one has begun meanwhile
    ProfileEntry& entry = gathered_.entries[event.name];
    if (entry.calls == 0) entry.name = event.name;
    entry.beside = event.thread == number_beside;
    ++entry.calls;
    entry.seconds += seconds;
    entry.flops += event.flops;
    entry.bytes += event.bytes;
    if (traced) gathered_.events.push_back(event);
  }

 private:
  std::mutex mutex_;
  Gathered gathered_;
};

/// The profile that gathers; 0: none.
std::atomic<std::uint64_t> running{0};
std::atomic<bool> tracing{false};

/// Where this thread stands.
struct Place {
  /// The profile it takes part in.
  std::uint64_t profile = 0;
  ProfileScope* innermost = nullptr;
  /// Inside a range of a parallel_for: where the time of its outermost scopes goes, the number of
  /// the thread, and the number of threads.
  double* range_nested = nullptr;
  int thread = 0;
  int threads = 1;
};
thread_local Place place;

/// The profile that a scope beginning here counts for; 0: none.
std::uint64_t current_profile() {
  const std::uint64_t profile = running.load(std::memory_order_relaxed);
  return profile != 0 && place.profile == profile ? profile : 0;
}

void gather(std::uint64_t profile) {
  place.profile = profile;
  running.store(profile, std::memory_order_relaxed);
}

Gathered collected() {
  Registry& all = registry();
  const std::lock_guard<std::mutex> guard(all.mutex);
  Gathered out = all.ended;
  for (ThreadStore* thread : all.threads) thread->collect(out);
  return out;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out + '"';
}

/// Microseconds with all digits of the clock, so that nested events stay inside.
std::string microseconds(Clock::duration time) {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  return fmt::format("{}.{:03}", ns / 1000, ns % 1000);
}

}  // namespace

void start_profile() {
  Registry& all = registry();
  std::uint64_t number = 0;
  {
    const std::lock_guard<std::mutex> guard(all.mutex);
    number = ++all.profile;
    all.ended.start(number);
    for (ThreadStore* thread : all.threads) thread->start(number);
  }
  gather(number);
}

void resume_profile() {
  Registry& all = registry();
  std::uint64_t number = 0;
  {
    const std::lock_guard<std::mutex> guard(all.mutex);
    number = all.profile;
  }
  if (number == 0) {
    start_profile();
  } else {
    gather(number);
  }
}

void stop_profile() { running.store(0, std::memory_order_relaxed); }

std::vector<ProfileEntry> profile_entries() {
  std::vector<ProfileEntry> entries;
  const Gathered all = collected();
  for (const auto& [name, entry] : all.entries) {
    const auto same = std::ranges::find(entries, entry.name, &ProfileEntry::name);
    if (same == entries.end()) {
      entries.push_back(entry);
    } else {  // the same name from two source files
      add(*same, entry);
    }
  }
  std::ranges::sort(entries, [](const ProfileEntry& a, const ProfileEntry& b) {
    return a.seconds != b.seconds ? a.seconds > b.seconds : a.name < b.name;
  });
  return entries;
}

void start_trace() { tracing.store(true, std::memory_order_relaxed); }

void stop_trace() { tracing.store(false, std::memory_order_relaxed); }

void write_chrome_trace(const std::filesystem::path& path) {
  std::vector<TraceEvent> events = collected().events;
  // What contains comes before what is contained.
  std::ranges::sort(events, [](const TraceEvent& a, const TraceEvent& b) {
    if (a.thread != b.thread) return a.thread < b.thread;
    return a.start != b.start ? a.start < b.start : a.length > b.length;
  });
  Clock::time_point first = Clock::time_point::max();
  for (const TraceEvent& event : events) first = std::min(first, event.start);

  std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  const char* separator = "\n";
  int named = -1;
  for (const TraceEvent& event : events) {
    if (event.thread != named) {
      named = event.thread;
      fmt::format_to(std::back_inserter(text),
                     R"({}{{"name": "thread_name", "ph": "M", "pid": 0, "tid": {}, "args": )"
                     R"({{"name": "thread {}"}}}})",
                     separator, named, named);
      separator = ",\n";
    }
    std::string args;
    if (event.flops > 0) args += fmt::format(R"("flops": {:.0f})", event.flops);
    if (event.bytes > 0) {
      args += fmt::format(R"({}"bytes": {:.0f})", args.empty() ? "" : ", ", event.bytes);
    }
    fmt::format_to(std::back_inserter(text),
                   R"({}{{"name": {}, "cat": "op", "ph": "X", "pid": 0, "tid": {}, "ts": {}, )"
                   R"("dur": {}, "args": {{{}}}}})",
                   separator, json_string(event.name), event.thread,
                   microseconds(event.start - first), microseconds(event.length), args);
  }
  write_file(path, text + "\n]}\n");
}

ProfileScope::ProfileScope(const char* name, double flops, double bytes)
    : profile_(current_profile()), name_(name), flops_(flops), bytes_(bytes) {
  begin();
}

ProfileScope::ProfileScope(Beside /*beside*/, const char* name)
    : profile_(running.load(std::memory_order_relaxed)), name_(name) {
  place.thread = number_beside;
  begin();
}

void ProfileScope::begin() {
  if (profile_ == 0) return;
  outer_ = place.innermost;
  place.innermost = this;
  start_ = Clock::now();
}

ProfileScope::~ProfileScope() {
  if (profile_ == 0) return;
  const Clock::duration length = Clock::now() - start_;
  const double seconds = std::chrono::duration<double>(length).count();
  place.innermost = outer_;
  if (outer_ != nullptr) {
    outer_->nested_ += seconds;
  } else if (place.range_nested != nullptr) {
    *place.range_nested += seconds;
  }
  thread_local ThreadStore store;
  store.count(profile_, {name_, place.thread, start_, length, flops_, bytes_},
              (seconds - nested_) / place.threads, tracing.load(std::memory_order_relaxed));
}

ProfiledRanges::ProfiledRanges() : profile_(current_profile()) {}

ProfiledRanges::~ProfiledRanges() {
  if (profile_ != 0 && place.innermost != nullptr) {
    place.innermost->nested_ += nested_.load(std::memory_order_relaxed);
  }
}

ProfiledRanges::Range::Range(ProfiledRanges& ranges, int thread, int threads) : ranges_(ranges) {
  if (ranges_.profile_ == 0) return;
  outer_profile_ = std::exchange(place.profile, ranges_.profile_);
  outer_innermost_ = std::exchange(place.innermost, nullptr);
  outer_thread_ = std::exchange(place.thread, thread);
  place.threads = threads;
  place.range_nested = &nested_;
}

ProfiledRanges::Range::~Range() {
  if (ranges_.profile_ == 0) return;
  ranges_.nested_.fetch_add(nested_ / place.threads, std::memory_order_relaxed);
  place.profile = outer_profile_;
  place.innermost = outer_innermost_;
  place.thread = outer_thread_;
  place.threads = 1;
  place.range_nested = nullptr;
}

}  // namespace sluice
