#include "sluice/text/line_parts.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class LineParts : public testing::Test {
 protected:
  void SetUp() override {
    file_ = fs::temp_directory_path() / ("sluice_line_parts_" + std::to_string(getpid()));
  }
  void TearDown() override { fs::remove(file_); }

  std::unique_ptr<Tokenizer> tokenizer(const TokenizerOptions& options, const std::string& text) {
    write_file(file_, text);
    return train_tokenizer(options, {file_});
  }
  /// What stands where the tokens of `line` do.
  static std::vector<std::string> texts(const Tokenizer& tokenizer, const std::string& line) {
    std::vector<TokenId> ids;
    tokenizer.encode(line, ids);
    std::vector<std::string> found;
    for (const TextSpan& span : token_spans(tokenizer, line, ids)) {
      found.push_back(line.substr(span.begin, span.end - span.begin));
    }
    return found;
  }
  fs::path file_;
};

using Texts = std::vector<std::string>;

TEST_F(LineParts, WordsKnownAndUnknown) {
  const auto words = tokenizer({.kind = "word"}, "the cat sat\n");
  EXPECT_EQ(texts(*words, "  the zebra\u00A0 cat "), (Texts{"the", "zebra", "cat"}));
  EXPECT_EQ(texts(*words, ""), Texts());
  TokenizerOptions spelled{.kind = "word"};
  spelled.byte_fallback = true;
  const auto bytes = tokenizer(spelled, "the cat sat\n");
  EXPECT_EQ(texts(*bytes, "the  yo cat"), (Texts{"the", "", "y", "o", "cat"}));
}

TEST_F(LineParts, CharactersBytesAndSubwords) {
  const auto chars = tokenizer({.kind = "char"}, "abé \n");
  EXPECT_EQ(texts(*chars, "é漢 b"), (Texts{"é", "漢", " ", "b"})) << "unknown ones too";
  const auto bytes = tokenizer({.kind = "byte"}, "a\n");
  EXPECT_EQ(texts(*bytes, "é"), (Texts{"\xC3", "\xA9"}));
  std::string text;
  for (int i = 0; i < 50; ++i) text += "the cat sat on the mat\n";
  const auto subwords = tokenizer({.kind = "bpe", .vocabulary = 275}, text);
  std::string joined;
  for (const std::string& part : texts(*subwords, "the cat q漢 mat")) joined += part;
  EXPECT_EQ(joined, "the cat q漢 mat");
}

// Where a normal form has changed the line, the next word brings the two together again.
TEST_F(LineParts, NormalForms) {
  TokenizerOptions options{.kind = "char"};
  options.normalize = Normalization::nfc;
  const auto chars = tokenizer(options, "abé \n");
  const std::string line = "e\u0301e\u0301 ab";
  const auto found = texts(*chars, line);
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found[2], " ");
  EXPECT_EQ(found[3], "a");
  EXPECT_EQ(found[4], "b");
}

TEST_F(LineParts, WordsOfLinesAndTexts) {
  EXPECT_EQ(word_spans(" ab\tc\u3000d "), (std::vector<TextSpan>{{1, 3}, {4, 5}, {8, 9}}));
  write_file(file_, "a b\n\n  c\u00A0d");
  TextExtent extent = text_extent({file_});
  EXPECT_EQ(extent.lines, 3);
  EXPECT_EQ(extent.words, 4);
  EXPECT_EQ(extent.bytes, 11);
  // Longer than what is read at once, with words across the borders.
  std::string text;
  for (int i = 0; i < 400000; ++i) text += i % 10 == 9 ? "seven77\n" : "seven77 ";
  write_file(file_, text);
  extent = text_extent({file_});
  EXPECT_EQ(extent.lines, 40000);
  EXPECT_EQ(extent.words, 400000);
  EXPECT_THROW(text_extent({file_ / "missing"}), Error);
}

}  // namespace
}  // namespace sluice
