// libsluice.so: names from several rooms, and an error of the library caught by its type.

#include <cstdio>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/base/version.hpp"
#include "sluice/lab/compare/statistics.hpp"
#include "sluice/models/gcnn.hpp"

int main() {
  std::printf("sluice %s\n", std::string(sluice::library_version()).c_str());
  try {
    sluice::parse_layers("[(0,1)]");
  } catch (const sluice::UsageError& error) {
    std::puts(error.what());
    return 0;
  }
  return 1;
}
