#pragma once
// Splitting work over threads (one OpenMP pool, shared with oneDNN).

#include <cstdint>
#include <memory>
#include <type_traits>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Number of threads parallel_for and GEMM use. Starts as the number of cores this process may run
/// on (affinity and OMP_NUM_THREADS respected).
int thread_count();

/// Sets the number of threads of this library; n >= 1, else UsageError. OpenMP's own setting stays
/// as its host has it.
void set_thread_count(int n);

/// Sets the number of threads for as long as it lives; then it is again what it was.
class ThreadCount {
 public:
  /// n >= 1, else UsageError.
  explicit ThreadCount(int n) : before_(thread_count()) { set_thread_count(n); }
  ~ThreadCount();
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

/// Whether this thread is running a range of a parallel_for that several threads share: what it
/// calls should then not ask for more threads.
bool in_parallel_range();

namespace detail {
/// libgomp ends the process when it cannot start a thread: throws Error before it can, where there
/// is no address space for the stacks of `count` threads. For whoever lets OpenMP start threads.
void check_memory_for_threads(int count);
using RangeFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);
void parallel_ranges(std::int64_t n, std::int64_t grain, RangeFunction function, void* context);
}  // namespace detail

/// Calls body(begin, end) on disjoint ranges that cover [0, n), possibly at the same time.
/// The ranges are contiguous, at most one per thread, and begin at multiples of `grain`; they
/// depend only on n, grain and thread_count(). Nested calls run on the calling thread.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::parallel_ranges(
      n, grain,
      [](void* context, std::int64_t begin, std::int64_t end) {
        (*static_cast<Plain*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace sluice
SLUICE_API_END
