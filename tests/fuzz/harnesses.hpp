#pragma once
// A function for each reader of bytes that somebody else may have made. What they throw for bytes
// that are not good is sluice::Error, and nothing else.

#include <string>
#include <string_view>
#include <vector>

namespace sluice::fuzz {

struct Harness {
  const char* name;
  void (*run)(std::string_view bytes);
};

/// A connection's bytes (request_harness.cpp).
void requests(std::string_view input);

const std::vector<Harness>& harnesses();

/// Runs the harness `name`; ends the process when there is none.
void run(const std::string& name, std::string_view bytes);

}  // namespace sluice::fuzz
