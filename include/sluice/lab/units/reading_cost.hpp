#pragma once
// What reading a text costs a model: operations, those that must wait for one another, and time.

#include <cstdint>
#include <memory>
#include <optional>

#include "sluice/base/api.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/models/architecture.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct ReadingCost {
  std::int64_t length = 0;
  /// Floating-point operations of the forward pass (flops_per_token()).
  double flop = 0;
  std::optional<SequentialOperations> sequential;
  /// Medians of three, in seconds: all tokens given at once, and one after another, each after what
  /// was read before it; of the latter, of at most `stepped` tokens, and for all of them in
  /// proportion.
  double at_once = 0, one_by_one = 0;
  std::int64_t stepped = 0;
};

/// Tokens that are read one after another at most.
inline constexpr std::int64_t most_stepped = 512;

/// The longest text that is measured.
inline constexpr std::int64_t most_reading_length = 1'000'000;

/// Measures on this machine, with the threads that are set. Throws UsageError for a length that is
/// not from 1 to most_reading_length.
ReadingCost measure_reading(const std::shared_ptr<const FrozenModel>& model, std::int64_t length);

}  // namespace sluice
SLUICE_API_END
