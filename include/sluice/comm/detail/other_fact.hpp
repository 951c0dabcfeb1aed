#pragma once
// In what processes that should be alike are not.

#include <optional>
#include <span>
#include <string>

#include "sluice/base/pieces.hpp"

namespace sluice {

/// What a process has otherwise than the first; "none" where one of them does not have it.
struct OtherFact {
  int rank = 0;
  std::string name, first, there;
};

/// Facts as they travel.
std::string bytes_of_facts(const Facts& facts);
/// The first fact in which some process is not as the first one, and the first such process; in the
/// order of the first one's facts, before those that only others have.
std::optional<OtherFact> find_other(std::span<const std::string> of_all);

}  // namespace sluice
