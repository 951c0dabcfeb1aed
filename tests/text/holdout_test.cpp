#include "sluice/text/holdout.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class HoldOut : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("sluice-holdout-" + std::to_string(getpid()));
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  fs::path write(const std::string& name, const std::string& text) {
    write_file(directory_ / name, text);
    return directory_ / name;
  }
  fs::path directory_;
};

TEST_F(HoldOut, CutsOneFileAtALineStart) {
  const fs::path file = write("a.txt", "one\ntwo\nthree\nfour\nfive\n");  // 24 bytes
  const HeldOut parts = hold_out({file}, 0.4, true, directory_ / "cut");  // byte 15 on
  ASSERT_EQ(parts.train.size(), 1U);
  ASSERT_EQ(parts.valid.size(), 1U);
  EXPECT_EQ(read_file(parts.train[0]), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(read_file(parts.valid[0]), "five\n");
}

TEST_F(HoldOut, ALineThatStartsExactlyAtTheCutIsHeldOut) {
  const fs::path file = write("a.txt", "aaaa\nbbbb\n");
  const HeldOut parts = hold_out({file}, 0.5, true, directory_ / "cut");
  EXPECT_EQ(read_file(parts.train[0]), "aaaa\n");
  EXPECT_EQ(read_file(parts.valid[0]), "bbbb\n");
}

TEST_F(HoldOut, WholeFilesAreNotCopied) {
  const fs::path a = write("a.txt", "aaaa\n");
  const fs::path b = write("b.txt", "bbbb\n");
  const HeldOut parts = hold_out({a, b}, 0.5, true, directory_ / "cut");
  EXPECT_EQ(parts.train, std::vector{a});
  EXPECT_EQ(parts.valid, std::vector{b});
  EXPECT_FALSE(fs::exists(directory_ / "cut"));
}

TEST_F(HoldOut, RefusesWhatCannotBeCut) {
  const fs::path file = write("a.txt", "one long line\n");
  EXPECT_THROW(hold_out({file}, 0.5, true, directory_ / "cut"), Error);
  EXPECT_THROW(hold_out({file}, 0, true, directory_ / "cut"), UsageError);
  EXPECT_THROW(hold_out({file}, 1, true, directory_ / "cut"), UsageError);
}

TEST_F(HoldOut, NamesTheFirstBadByteOfTheFileTheUserGave) {
  const fs::path file = write("a.txt", "aaaa\nbb\xff\n");
  try {
    hold_out({file}, 0.5, true, directory_ / "cut");
    FAIL() << "invalid UTF-8 was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a.txt"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("byte 7"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(directory_ / "cut"));
  EXPECT_NO_THROW(hold_out({file}, 0.5, false, directory_ / "cut"));
}

}  // namespace
}  // namespace sluice
