#include "sluice/text/detail/holdout.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/text/corpus.hpp"
#include "support.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

using HoldOut = TextTest;

std::string text_of(const TextSource& source) {
  const TextFile file(source);
  return file.read(0, file.size());
}

std::vector<TokenId> tokens_of(const TokenShards& shards) {
  std::vector<TokenId> tokens(static_cast<std::size_t>(shards.size()));
  shards.read(0, shards.size(), tokens.data());
  return tokens;
}

TEST_F(HoldOut, CutsOneFileAtALineStart) {
  const fs::path text = file("a.txt", "one\ntwo\nthree\nfour\nfive\n");  // 24 bytes
  const HeldOut parts = hold_out({text}, 0.4);                           // byte 15 on
  EXPECT_EQ(parts.train, (std::vector<TextSource>{{text, 0, 19}}));
  EXPECT_EQ(parts.valid, (std::vector<TextSource>{{text, 19, 24}}));
  EXPECT_EQ(text_of(parts.train[0]), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(text_of(parts.valid[0]), "five\n");
}

TEST_F(HoldOut, ALineThatStartsExactlyAtTheCutIsHeldOut) {
  const HeldOut parts = hold_out({file("a.txt", "aaaa\nbbbb\n")}, 0.5);
  EXPECT_EQ(text_of(parts.train[0]), "aaaa\n");
  EXPECT_EQ(text_of(parts.valid[0]), "bbbb\n");
}

TEST_F(HoldOut, WholeFilesStayWhole) {
  const fs::path a = file("a.txt", "aaaa\n");
  const fs::path b = file("b.txt", "bbbb\n");
  const HeldOut parts = hold_out({a, b}, 0.5);
  EXPECT_EQ(parts.train, std::vector<TextSource>{a});
  EXPECT_EQ(parts.valid, std::vector<TextSource>{b});
}

TEST_F(HoldOut, ARangeCanBeCutAgain) {
  const fs::path text = file("a.txt", "one\ntwo\nthree\nfour\nfive\n");
  const HeldOut parts = hold_out({TextSource(text, 4, 19)}, 0.4);
  EXPECT_EQ(text_of(parts.train[0]), "two\nthree\n");
  EXPECT_EQ(parts.valid, (std::vector<TextSource>{{text, 14, 19}}));
}

// text8 is one line.
TEST_F(HoldOut, ALongLineIsCutAtABlank) {
  const HeldOut parts = hold_out({file("a.txt", "one long line and more\n")}, 0.5);
  EXPECT_EQ(text_of(parts.train[0]), "one long line");
  EXPECT_EQ(text_of(parts.valid[0]), " and more\n");
  // Before it are lines, and a file.
  const HeldOut more = hold_out({file("b.txt", "x\n"), file("c.txt", "y\nz z z z z z z z")}, 0.3);
  EXPECT_EQ(text_of(more.train[1]), "y\nz z z z z z");
  EXPECT_EQ(text_of(more.valid[0]), " z z");
}

TEST_F(HoldOut, WithoutBlanksItIsCutBetweenCharacters) {
  const HeldOut parts = hold_out({file("a.txt", "日日日日")}, 0.5);  // byte 6
  EXPECT_EQ(text_of(parts.train[0]), "日日");
  EXPECT_EQ(text_of(parts.valid[0]), "日日");
  EXPECT_EQ(text_of(hold_out({file("b.txt", "日日日日")}, 0.6).valid[0]), "日日") << "byte 5";
}

TEST_F(HoldOut, AByteOrderMarkIsOnNeitherSide) {
  const fs::path text = file("a.txt",
                             "\xEF\xBB\xBF"
                             "aa\nbb\n");
  const HeldOut parts = hold_out({text}, 0.5);
  EXPECT_EQ(parts.train, (std::vector<TextSource>{{text, 3, 6}}));
  EXPECT_EQ(parts.valid, (std::vector<TextSource>{{text, 6, 9}}));
}

TEST_F(HoldOut, RefusesWhatCannotBeCut) {
  const fs::path text = file("a.txt", "x\n");
  EXPECT_THROW(hold_out({text}, 0.5), Error);
  EXPECT_THROW(hold_out({text}, 0), UsageError);
  EXPECT_THROW(hold_out({text}, 1), UsageError);
}

// A part is tokenised as a file that holds the same text would be, and no such file is written.
TEST_F(HoldOut, PartsGiveTheTokensOfTheirText) {
  const std::string whole = sample_text() + "an end without a newline";
  const fs::path text = file("whole.txt", whole);
  const HeldOut parts = hold_out({text}, 0.3);
  ASSERT_EQ(parts.train.size(), 1U);
  ASSERT_EQ(parts.valid.size(), 1U);
  const fs::path train = file("train.txt", text_of(parts.train[0]));
  const fs::path valid = file("valid.txt", text_of(parts.valid[0]));
  EXPECT_EQ(text_of(parts.train[0]) + text_of(parts.valid[0]), whole);
  for (const char* kind : {"word", "char", "byte", "bpe", "unigram"}) {
    const bool subword = kind == std::string("bpe") || kind == std::string("unigram");
    const TokenizerOptions options{kind, subword ? 400 : 0, 1};
    const auto tokenizer = train_tokenizer(options, parts.train);
    EXPECT_EQ(tokenizer->serialize(), train_tokenizer(options, {train})->serialize()) << kind;
    const fs::path cache = path(std::string("cache-") + kind);
    const TokenShards train_tokens = tokenize_corpus(parts.train, *tokenizer, cache);
    const TokenShards valid_tokens = tokenize_corpus(parts.valid, *tokenizer, cache);
    const TokenShards of_train = tokenize_corpus({train}, *tokenizer, path("copies"));
    const TokenShards of_valid = tokenize_corpus({valid}, *tokenizer, path("copies"));
    EXPECT_EQ(tokens_of(train_tokens), tokens_of(of_train)) << kind;
    EXPECT_EQ(tokens_of(valid_tokens), tokens_of(of_valid)) << kind;
    EXPECT_EQ(train_tokens.info(), of_train.info()) << kind;
    EXPECT_EQ(valid_tokens.info(), of_valid.info()) << kind;
    std::size_t files = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(cache)) {
      EXPECT_EQ(entry.path().extension(), ".bin");
      ++files;
    }
    EXPECT_EQ(files, 2U) << kind;
  }
}

TEST_F(HoldOut, TokenFilesOfPartsAreReused) {
  const fs::path text = file("a.txt", "aaaa\nbbbb\ncccc\n");
  const HeldOut parts = hold_out({text}, 0.5);
  const auto tokenizer = trained("char", "abc\n");
  int tokenised = 0;
  const auto count = [&](double, std::string_view) { ++tokenised; };
  for (int i = 0; i < 2; ++i) {
    tokenize_corpus(parts.train, *tokenizer, path("cache"), count);
    tokenize_corpus(parts.valid, *tokenizer, path("cache"), count);
  }
  EXPECT_EQ(tokenised, 2);
  // A change in one part leaves the other's tokens as they are.
  file("a.txt", "aaaa\nbbbb\ncacc\n");
  tokenize_corpus(parts.train, *tokenizer, path("cache"), count);
  EXPECT_EQ(tokenised, 2);
  tokenize_corpus(parts.valid, *tokenizer, path("cache"), count);
  EXPECT_EQ(tokenised, 3);
}

TEST_F(HoldOut, NamesTheFirstBadByteOfTheFile) {
  const fs::path text = file("a.txt", "aaaa\nbb\xff\n");
  const HeldOut parts = hold_out({text}, 0.5);
  const auto tokenizer = trained("word", "aaaa bb\n");
  const std::string message =
      message_of([&] { tokenize_corpus(parts.valid, *tokenizer, path("cache")); });
  EXPECT_NE(message.find("a.txt"), std::string::npos) << message;
  EXPECT_NE(message.find("byte 7"), std::string::npos) << message;
}

TEST_F(HoldOut, NoticesThatTheFileHasBecomeShorter) {
  const fs::path text = file("a.txt", "aaaa\nbbbb\n");
  const HeldOut parts = hold_out({text}, 0.5);
  file("a.txt", "aaaa\n");
  EXPECT_EQ(text_of(parts.train[0]), "aaaa\n");
  EXPECT_NE(message_of([&] { TextFile opened(parts.valid[0]); }).find("the file has 5 bytes"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
