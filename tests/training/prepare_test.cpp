// From settings to tokens: what is held out, and what is written meanwhile.

#include "sluice/training/prepare.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "sluice/base/file.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

TEST(Prepare, HoldsOutTheEndOfATextWithoutCopyingIt) {
  std::string name = (fs::temp_directory_path() / "sluice-prepare-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  const fs::path directory = name;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line " + std::to_string(i) + " of the text\n";
  write_file(directory / "text.txt", text);

  Settings settings;
  settings.data.values.train = {directory / "text.txt"};
  settings.tokenizer.set("kind", "word", {.where = "tokenizer"});
  settings.data.values.valid_fraction = 0.1;
  Notes notes;
  const PreparedText prepared = prepare_text(settings, directory / "cache", notes, {});
  ASSERT_TRUE(prepared.valid);
  EXPECT_EQ(prepared.train.info().lines + prepared.valid->info().lines, 5000);
  EXPECT_EQ(prepared.train.info().bytes + prepared.valid->info().bytes,
            static_cast<std::int64_t>(text.size()));
  EXPECT_NEAR(static_cast<double>(prepared.valid->info().bytes),
              0.1 * static_cast<double>(text.size()), 32);

  // Two bytes for each token of six in a line, and nothing else.
  std::uintmax_t written = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory / "cache")) {
    EXPECT_EQ(entry.path().extension(), ".bin") << entry.path();
    written += entry.file_size();
  }
  EXPECT_LT(written, std::uintmax_t{2} * 6 * 5000 + 1000);
  fs::remove_all(directory);
}

}  // namespace
}  // namespace sluice
