#pragma once
// Choosing the next token from its distribution.

#include <cstdint>
#include <span>
#include <vector>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// temperature 0 is greedy (the most probable token, the first of equals). Otherwise p^(1/t)
/// restricted to the top_k most probable tokens (0: all) and, of what remains, to the smallest set
/// of most probable tokens whose probability reaches top_p (nucleus sampling, Holtzman et al.
/// 2020).
struct SamplingOptions {
  double temperature = 1;
  std::int64_t top_k = 0;
  double top_p = 1;
  std::uint64_t seed = 1;

  /// Throws UsageError unless temperature >= 0 (and finite), top_k >= 0 and 0 < top_p <= 1.
  void validate() const;
};

/// Draws tokens; the n-th draw depends on the seed, n and the distribution alone (counter-based
/// random numbers). Throws UsageError for options that are out of range.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);

  /// The next token, from log-probabilities [V]. Throws Error when they hold a NaN or V is 0.
  std::int32_t draw(std::span<const float> log_probabilities);

 private:
  SamplingOptions options_;
  std::uint64_t draws_ = 0;
  std::vector<std::int32_t> order_;
  std::vector<double> weights_;
};

}  // namespace sluice
SLUICE_API_END
