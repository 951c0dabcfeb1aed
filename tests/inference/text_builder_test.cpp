#include "sluice/inference/text_builder.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

namespace sluice {
namespace {

using Pieces = std::vector<std::string>;

/// What becomes certain with each byte of each piece, and at the end; nothing where it is "".
Pieces taken(const Pieces& stops, const Pieces& pieces, std::string* stop = nullptr) {
  const auto bytes = testing_support::tokenizer("byte", "abc\n");
  TextBuilder builder(*bytes, bytes->eos(), false, stops);
  Pieces out;
  for (const std::string& piece : pieces) {
    std::string now;
    for (const char byte : piece) {
      builder.add(static_cast<unsigned char>(byte));
      now += builder.take();
    }
    if (!now.empty()) out.push_back(now);
  }
  builder.finish();
  const std::string rest = builder.take();
  if (!rest.empty()) out.push_back(rest);
  if (stop != nullptr) *stop = builder.stop();
  return out;
}

TEST(TextBuilder, PassesTextOn) {
  EXPECT_EQ(taken({}, {"ab", "", "c"}), (Pieces{"ab", "c"}));
  EXPECT_EQ(taken({"xyz", ""}, {"ab", "c"}), (Pieces{"ab", "c"}));
}

TEST(TextBuilder, EndsBeforeTheFirstStopText) {
  std::string stop;
  EXPECT_EQ(taken({"stop"}, {"a stop b"}, &stop), (Pieces{"a "}));
  EXPECT_EQ(stop, "stop");
  EXPECT_EQ(taken({"stop"}, {"stop"}), Pieces{});
  EXPECT_EQ(taken({"stop"}, {"a s", "t", "op", "b"}), (Pieces{"a "}));
  EXPECT_EQ(taken({"zz", "c", "bcd"}, {"ab", "cd"}, &stop), (Pieces{"a", "b"}));
  EXPECT_EQ(stop, "c");
  EXPECT_EQ(taken({"never"}, {"ab"}, &stop), (Pieces{"ab"}));
  EXPECT_EQ(stop, "");
}

TEST(TextBuilder, HoldsBackWhatMayBeAStopText) {
  EXPECT_EQ(taken({"stop"}, {"a st", "ay"}), (Pieces{"a ", "stay"}));
  EXPECT_EQ(taken({"aab"}, {"aa", "a", "b"}), (Pieces{"a"}));
  EXPECT_EQ(taken({"aab"}, {"aa"}), (Pieces{"aa"}));
  EXPECT_EQ(taken({"aab", "ac"}, {"aa", "d"}), (Pieces{"aad"}));
}

TEST(TextBuilder, TellsWholeCharacters) {
  EXPECT_EQ(taken({}, {"a\xC3",
                       "\xA9"
                       "b"}),
            (Pieces{"a",
                    "\xC3\xA9"
                    "b"}));
  EXPECT_EQ(taken({}, {"\xF0\x9F", "\x98", "\x80"}), (Pieces{"\xF0\x9F\x98\x80"}));
  EXPECT_EQ(taken({"\xC3\xA9"}, {"a\xC3",
                                 "\xA9"
                                 "b"}),
            (Pieces{"a"}));
  // What is no character is replaced, byte by byte.
  const std::string odd = "\xEF\xBF\xBD";
  EXPECT_EQ(taken({}, {"\xF0"}), (Pieces{odd}));
  EXPECT_EQ(taken({}, {"\x80\x80", "\xFF"}), (Pieces{odd + odd, odd}));
  EXPECT_EQ(taken({}, {"\xE2\x82", "z"}), (Pieces{odd + odd + "z"}));
}

TEST(TextBuilder, KnowsWhereTokensBegin) {
  const auto words = testing_support::tokenizer("word", "a b cd e\n");
  TextBuilder builder(*words, "a b ", {"d e"});
  const std::vector<TokenId> ids = words->encode_prompt("cd a e");
  for (const TokenId id : ids) builder.add(id);
  EXPECT_EQ(builder.bytes(), "cd a e");
  EXPECT_EQ(builder.tokens(), 3U);
  EXPECT_EQ(builder.begin(1), 2U);
  EXPECT_EQ(builder.begin(2), 4U);
  builder.add(ids[0]);
  EXPECT_TRUE(builder.add(ids[1]));
  builder.add(ids[0]);
  EXPECT_FALSE(builder.add(ids[2]));
  EXPECT_TRUE(builder.stopped());
  EXPECT_EQ(builder.take(), "cd a e cd a c");
  EXPECT_EQ(builder.kept_tokens(), 6U);
  EXPECT_FALSE(builder.add(ids[0]));
  EXPECT_EQ(builder.tokens(), 7U);
}

TEST(TextBuilder, ValidTextAndLabels) {
  EXPECT_EQ(valid_text(std::string("a\0b", 3)), std::string("a\0b", 3));
  EXPECT_EQ(valid_text("a\xFFz\xC3"), "a\xEF\xBF\xBDz\xEF\xBF\xBD");
  EXPECT_EQ(token_label(" the"), " the");
  EXPECT_EQ(token_label("\xE2\x82"), "bytes:\\xe2\\x82");
}

}  // namespace
}  // namespace sluice
