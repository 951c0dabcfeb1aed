// The seeds and what fuzzing has found, run through the readers as they are.

#include <gtest/gtest.h>

#include <filesystem>

#include "harnesses.hpp"
#include "sluice/base/file.hpp"

namespace sluice::fuzz {
namespace {

namespace fs = std::filesystem;

TEST(Fuzz, SeedsAndRegressionsAreReadOrRefused) {
  const fs::path corpus = fs::path(SLUICE_SOURCE_DIR) / "tests/fuzz/corpus";
  int files = 0;
  for (const Harness& harness : harnesses()) {
    run(harness.name, "");
    if (!fs::exists(corpus / harness.name)) continue;
    for (const auto& entry : fs::directory_iterator(corpus / harness.name)) {
      SCOPED_TRACE(entry.path().string());
      const std::string bytes = read_file(entry.path());
      run(harness.name, bytes);
      // Cut anywhere, and with a byte changed.
      for (std::size_t i = 0; i < bytes.size(); i += 1 + bytes.size() / 100) {
        run(harness.name, std::string_view(bytes).substr(0, i));
        std::string changed = bytes;
        changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
        run(harness.name, changed);
      }
      ++files;
    }
  }
  EXPECT_GE(files, 12);
}

}  // namespace
}  // namespace sluice::fuzz
