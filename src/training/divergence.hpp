#pragma once
// Numbers that are no longer finite, and whose fault it seems.

#include <cstdint>
#include <filesystem>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/nn/module.hpp"

namespace sluice {

/// Something that must be finite is not: "the loss is NaN".
class NotFinite : public Error {
 public:
  /// `gradients`: whether some are there that may be to blame.
  NotFinite(const std::string& what, double value, bool gradients = false);
  bool gradients() const { return gradients_; }

 private:
  bool gradients_;
};

/// Throws NotFinite when a weight is not finite.
void check_weights(const Parameters& parameters);

/// A step at which something was not finite, and what is left.
struct DivergedStep {
  std::int64_t step = 0;
  double rate = 0, clip = 0;
  /// The last good checkpoint, and the step that it is of.
  std::int64_t saved_step = 0;
  std::filesystem::path checkpoint;
};

/// Throws the DivergedError that says all this, and which parameter seems to be at fault.
[[noreturn]] void throw_diverged(const NotFinite& found, const Parameters& parameters,
                                 const DivergedStep& at);

/// The first parameter that is not finite, or whose gradient is not; else the largest.
std::string suspect(const Parameters& parameters, bool gradients);

}  // namespace sluice
