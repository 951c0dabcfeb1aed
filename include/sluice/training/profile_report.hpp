#pragma once
// What a profile of training shows: where the time of steps goes, against what the machine can
// do.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/tensor/precision.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The most this machine did when asked, for all threads together.
struct Ceilings {
  int threads = 0;
  /// Matrix products, FLOP/s; 0: not measured.
  double gemm_f32 = 0;
  double gemm_bf16 = 0;
  /// Copying memory that no cache holds, bytes read and written per second.
  double copy = 0;
};

/// Measures for about a second, with thread_count() threads: float32 products through gemm() of a
/// size that favours them, bfloat16 ones when `precision` is bf16 and the CPU has them, and memcpy
/// between buffers of at least twice the last-level cache (at most 256 MiB each; freed again). Each
/// is the best of several repetitions: a busy machine lowers ceilings, nothing raises them.
Ceilings measure_ceilings(Precision precision);

/// Steps that were profiled.
struct StepProfile {
  std::int64_t steps = 0;
  /// Targets per step.
  std::int64_t tokens = 0;
  /// Wall time of the steps.
  double seconds = 0;
  Precision precision = Precision::f32;
  std::vector<ProfileEntry> entries;
};

/// Steps before those that are profiled: allocations and GEMM primitives are new to them.
inline constexpr std::int64_t profile_warmup_steps = 3;

/// Profiles some steps of a loop, after profile_warmup_steps others, and traces the first of them.
/// One thread at a time, which makes the steps: what is profiled is that thread and its
/// parallel_for.
class StepProfiler {
 public:
  /// steps = 0: none.
  explicit StepProfiler(std::int64_t steps) : steps_(steps) {}

  /// One step of the loop. What happens between two of them is not profiled.
  class Step {
   public:
    explicit Step(StepProfiler& profiler);
    ~Step();
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    StepProfiler& profiler_;
    std::chrono::steady_clock::time_point start_;
    std::optional<ProfileScope> scope_;
  };

  /// Steps profiled so far, and whether these are all that were wanted (never when none were).
  std::int64_t profiled() const { return profiled_; }
  bool done() const { return steps_ > 0 && profiled_ == steps_; }
  /// What the steps so far took, each of `tokens` targets.
  StepProfile profile(std::int64_t tokens, Precision precision) const;

 private:
  std::int64_t steps_;
  std::int64_t seen_ = 0;
  std::int64_t profiled_ = 0;
  double seconds_ = 0;
};

/// A table for people, at most 100 columns wide: per op milliseconds, share, calls and GFLOP per
/// step, GFLOP/s and GB/s with their percentage of the ceilings. Ops whose name ends in "bf16" are
/// held against the bfloat16 ceiling, others against that of float32. Columns for which an op gives
/// no work stay blank. Work on data that is in a cache may exceed the ceiling of copies.
std::string format_profile(const StepProfile& profile, const Ceilings& ceilings);

}  // namespace sluice
SLUICE_API_END
