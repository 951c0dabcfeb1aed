#pragma once
// Errors: one sentence saying operation, argument, expected, got, remedy.

#include <stdexcept>
#include <string>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Anything the library refuses or fails at. what() is one complete sentence for a person.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A request that is malformed whatever the state of the machine: an unknown name, a value out of
/// range, a layer spec that does not parse. Programs exit with status 2 for it, 1 for other errors.
class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace sluice
SLUICE_API_END
