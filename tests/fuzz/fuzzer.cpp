// libFuzzer's entry: the harness is named by the environment, SLUICE_FUZZ.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "harnesses.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const char* const name = std::getenv("SLUICE_FUZZ");
  if (name == nullptr) std::abort();
  sluice::fuzz::run(name, {reinterpret_cast<const char*>(data), size});
  return 0;
}
