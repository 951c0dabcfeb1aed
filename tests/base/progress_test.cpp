#include "sluice/base/progress.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(ProgressLine, ShowsABarAsFarAsThereIsRoom) {
  EXPECT_EQ(progress_line(0.5, "step 7", 80), "[############............]  50% step 7");
  EXPECT_EQ(progress_line(0, "x", 80), "[........................]   0% x");
  EXPECT_EQ(progress_line(1, "x", 22), "[############] 100% x");
  EXPECT_EQ(progress_line(0.999, "x", 14), " 99% x");
  EXPECT_EQ(progress_line(0.5, "longer than the line", 10), " 50% long");
  EXPECT_EQ(progress_line(0.5, "x", 0), "");
}

TEST(ProgressLine, LeavesOutPartsRatherThanCutThem) {
  const auto line = [](std::size_t width) {
    return progress_line(0.5, "step 7  ETA 1:18  gradient 0.25", width);
  };
  EXPECT_EQ(line(37), " 50% step 7  ETA 1:18  gradient 0.25");
  EXPECT_EQ(line(36), " 50% step 7  ETA 1:18");
  EXPECT_EQ(line(22), " 50% step 7  ETA 1:18");
  EXPECT_EQ(line(21), " 50% step 7");
  EXPECT_EQ(progress_line(0.5, "größer", 9), " 50% gr");  // no half of ö
  EXPECT_EQ(progress_line(0.5, "größer", 10), " 50% grö");
}

TEST(ProgressLine, KeepsFractionsWithinTheBar) {
  EXPECT_EQ(progress_line(-1, "x", 80), "[........................]   0% x");
  EXPECT_EQ(progress_line(7, "x", 80), "[########################] 100% x");
}

}  // namespace
}  // namespace sluice
