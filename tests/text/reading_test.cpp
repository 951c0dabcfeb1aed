#include "../../src/text/reading.hpp"

#include "../../src/text/splitting.hpp"

#include "support.hpp"

namespace sluice {
namespace {

TEST(BlockEnd, IsAfterTheLastLineThatFits) {
  EXPECT_EQ(block_end("ab\ncd\nef\n", 0, 7), 6U);
  EXPECT_EQ(block_end("ab\ncd\nef\n", 3, 5), 6U);
  EXPECT_EQ(block_end("ab\ncd\nef\n", 3, 6), 9U);
  EXPECT_EQ(block_end("ab\ncd\nef", 6, 100), 8U);
}

TEST(BlockEnd, InsideALongLineIsBeforeABlankThatFollowsANonBlank) {
  EXPECT_EQ(block_end("aa bb   cccc dd\n", 0, 10), 5U) << "the last that fits, first of its run";
  EXPECT_EQ(block_end("aa bb   cccc dd\n", 0, 6), 5U);
  EXPECT_EQ(block_end("   aaaaaaaa bb\n", 0, 5), 11U) << "the first that does not fit";
  EXPECT_EQ(block_end("aaaaaaaa\nbb\n", 0, 5), 9U) << "or the end of the line";
  EXPECT_EQ(block_end("aaaaaaaaaa", 0, 5), 10U) << "or of the text";
  // A run without blanks is cut where its segments are.
  std::string run;
  while (run.size() < 400'000) run += "日";
  const std::size_t segment = longest_segment + 2;  // 65538 is divisible by 3
  EXPECT_EQ(block_end(run, 0, 200'000), 3 * segment);
  EXPECT_EQ(block_end(run + "\n", segment, 200'000), 4 * segment);
  EXPECT_EQ(block_end("ab " + run, 0, 200'000), 2 + 65536 + 2 * segment) << "from the blank on";
}

TEST_F(TextTest, BlocksFollowOneAnotherThroughAllSources) {
  const std::string first = sample_text() + "an end without a newline";
  BlockReader reader({file("1", first), file("2", ""), file("3", "x\n")});
  EXPECT_EQ(reader.bytes(), static_cast<std::int64_t>(first.size()) + 2);
  std::string text;
  std::vector<Block> round;
  int sources_ended = 0;
  while (reader.next(1, round)) {
    for (const Block& block : round) {
      text += block.text;
      sources_ended += block.ends_source ? 1 : 0;
    }
  }
  EXPECT_EQ(text, first + "x\n");
  EXPECT_EQ(sources_ended, 2);
}

}  // namespace
}  // namespace sluice
