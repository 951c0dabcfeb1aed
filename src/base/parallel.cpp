#include "sluice/base/parallel.hpp"

#include <fmt/format.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "profiled_ranges.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

int default_thread_count() {
  int count = std::max(1, omp_get_max_threads());
  cpu_set_t allowed;
  // Fails on machines with more cores than cpu_set_t holds; then OpenMP's word is enough.
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    count = std::min(count, std::max(1, CPU_COUNT(&allowed)));
  }
  return count;
}

std::atomic<int>& thread_count_setting() {
  static std::atomic<int> count{default_thread_count()};
  return count;
}

/// True on a thread that runs a range of some parallel_for.
thread_local bool inside_range = false;

/// Runs the ranges of one call and keeps the exception of the lowest range that threw.
class Call {
 public:
  Call(std::int64_t n, std::int64_t grain, std::int64_t ranges, detail::RangeFunction function,
       void* context)
      : n_(n),
        grain_(grain),
        units_((n - 1) / grain + 1),
        ranges_(ranges),
        function_(function),
        context_(context) {}

  /// Runs a range on the `thread`-th of `threads` threads.
  void run(std::int64_t range, int thread, int threads) noexcept {
    const ProfiledRanges::Range profiled(profiled_, thread, threads);
    const bool outer = inside_range;
    inside_range = true;
    try {
      function_(context_, begin_of(range), begin_of(range + 1));
    } catch (...) {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (!failure_ || range < failed_range_) {
        failure_ = std::current_exception();
        failed_range_ = range;
      }
    }
    inside_range = outer;
  }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::int64_t begin_of(std::int64_t range) const {
    // The first units_ % ranges_ ranges are one unit longer; no product that could overflow.
    const std::int64_t unit =
        units_ / ranges_ * range + std::min<std::int64_t>(range, units_ % ranges_);
    return unit >= units_ ? n_ : unit * grain_;
  }

  std::int64_t n_;
  std::int64_t grain_;
  std::int64_t units_;
  std::int64_t ranges_;
  detail::RangeFunction function_;
  void* context_;
  std::mutex mutex_;
  std::exception_ptr failure_;
  std::int64_t failed_range_ = 0;
  ProfiledRanges profiled_;
};

}  // namespace

int thread_count() { return thread_count_setting().load(std::memory_order_relaxed); }

void set_thread_count(int n) {
  if (n < 1) throw UsageError(fmt::format("thread count must be at least 1, got {}", n));
  thread_count_setting().store(n, std::memory_order_relaxed);
}

ThreadCount::~ThreadCount() { thread_count_setting().store(before_, std::memory_order_relaxed); }

bool in_parallel_range() { return inside_range; }

namespace detail {

void check_memory_for_threads(int count) {
  // OpenMP keeps the threads that a thread once had.
  thread_local int started = 1;
  if (count <= started) return;
  pthread_attr_t attributes;
  std::size_t stack = 0;
  pthread_attr_init(&attributes);
  pthread_attr_getstacksize(&attributes, &stack);
  pthread_attr_destroy(&attributes);
  // Their stacks, and what the C library keeps for each.
  const std::size_t each = stack + (std::size_t{1} << 20);
  const std::size_t needed = static_cast<std::size_t>(count - started) * each;
  void* const memory =
      mmap(nullptr, needed, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(
        fmt::format("out of memory: there is none for the stacks of {} threads ({} MiB each); use "
                    "fewer threads, or raise the limit on address space",
                    count, stack >> 20));
  }
  munmap(memory, needed);
  started = count;
}

void parallel_ranges(std::int64_t n, std::int64_t grain, RangeFunction function, void* context) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(1, grain);
  const std::int64_t ranges =
      inside_range ? 1 : std::min<std::int64_t>((n - 1) / grain + 1, thread_count());
  if (ranges == 1) {
    function(context, 0, n);
    return;
  }
  check_memory_for_threads(static_cast<int>(ranges));
  Call call(n, grain, ranges, function, context);
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer cannot see the synchronisation inside libgomp and would report races.
  std::vector<std::thread> threads;
  for (std::int64_t range = 1; range < ranges; ++range) {
    threads.emplace_back([&call, range, ranges] {
      call.run(range, static_cast<int>(range), static_cast<int>(ranges));
    });
  }
  call.run(0, 0, static_cast<int>(ranges));
  for (std::thread& thread : threads) thread.join();
#else
#pragma omp parallel num_threads(static_cast <int>(ranges))
  {
    // OpenMP may give fewer threads than asked for.
    const int thread = omp_get_thread_num();
    const int threads = omp_get_num_threads();
    for (std::int64_t range = thread; range < ranges; range += threads) {
      call.run(range, thread, threads);
    }
  }
#endif
  call.rethrow();
}

}  // namespace detail
}  // namespace sluice
