#pragma once
// Numbers that are no longer finite, and whose fault it seems.

#include <cstdint>
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

/// The first parameter that is not finite, or whose gradient is not; else the largest.
std::string suspect(const Parameters& parameters, bool gradients);

}  // namespace sluice
