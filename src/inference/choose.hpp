#pragma once
// The token at a place in a distribution that is restricted as SamplingOptions say.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sluice/inference/sample.hpp"

namespace sluice::detail {

/// Log-probabilities [V] and their largest, over all and by block: most of what is done with them
/// needs to look at few blocks. Refers to what it is made of, and to memory of the thread that
/// makes it until it makes another.
class Peaks {
 public:
  /// Throws Error when there is no element or one is NaN.
  explicit Peaks(std::span<const float> log_probabilities);

  std::span<const float> logs() const { return logs_; }
  /// The place of the largest, the first of equals.
  std::size_t best() const { return best_; }
  double peak() const { return logs_[best_]; }
  /// Whether there is anything to draw.
  bool possible() const { return std::isfinite(peak()); }

  /// Calls f(place, value) for all elements in (above, up_to], in order of places.
  template <class F>
  void for_each_above(float above, float up_to, F&& f) const;
  /// The `count` largest, the largest first, of equals the first.
  std::vector<std::size_t> largest(std::size_t count) const;

 private:
  std::span<const float> logs_;
  std::span<const float> peaks_;
  std::size_t best_ = 0;
};

/// The token at `uniform`, 0 < uniform < 1, of the distribution's running sum over what the options
/// leave of it: in order of ids where they leave all, else the most probable first, of equals the
/// lower id. options.temperature > 0.
std::int32_t choose(const Peaks& peaks, const SamplingOptions& options, double uniform);

/// The same, by the definition: what choose() takes where rounding could decide otherwise.
std::int32_t choose_plainly(const Peaks& peaks, const SamplingOptions& options, double uniform);

}  // namespace sluice::detail
