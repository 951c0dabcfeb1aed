// Documents in a text: where they end, how they are marked, cut into chunks and held out.

#include "sluice/text/documents.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "sluice/base/error.hpp"
#include "sluice/text/batches.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/detail/holdout.hpp"
#include "support.hpp"

namespace sluice {
namespace {

class DocumentsTest : public TextTest {
 protected:
  /// Bytes of the documents that `texts`, a file each, are, ends of lines as '/', documents between
  /// bars.
  std::string documents(const std::vector<std::string>& texts, DocumentRule rule) const {
    const auto bytes = trained("byte", "x\n");
    std::vector<TextSource> sources;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      sources.emplace_back(file("part" + std::to_string(i), texts[i]));
    }
    const TokenShards tokens = tokenize_corpus(sources, *bytes, path("cache"), {}, rule);
    // The cache gives the same.
    EXPECT_EQ(shown(tokens), shown(tokenize_corpus(sources, *bytes, path("cache"), {}, rule)));
    EXPECT_EQ(shown(tokens), shown(tokenize_uncached(sources, *bytes, {}, rule)));
    return shown(tokens);
  }
  static std::string shown(const TokenShards& tokens) {
    std::vector<TokenId> ids(static_cast<std::size_t>(tokens.size()));
    tokens.read(0, tokens.size(), ids.data());
    std::string all;
    for (std::int64_t i = 0; i < tokens.documents()->count(); ++i) {
      if (i > 0) all += '|';
      for (std::int64_t t = tokens.documents()->begin(i); t < tokens.documents()->end(i); ++t) {
        const TokenId id = ids[static_cast<std::size_t>(t)];
        all += id == '\n' ? '/' : static_cast<char>(id);
        EXPECT_EQ(tokens.documents()->at(t), i);
      }
    }
    return all;
  }
};

TEST_F(DocumentsTest, EndWithBlankLinesAndFiles) {
  const DocumentRule blank{DocumentEnd::blank_lines};
  EXPECT_EQ(documents({"a\nb\n\nc\n"}, blank), "a/b//|c/");
  EXPECT_EQ(documents({"\n\na\n\n\n\nb\nc"}, blank), "//a////|b/c/");
  EXPECT_EQ(documents({"a\n\n", "b\n", "\nc"}, blank), "a//|b/|/c/");
  EXPECT_EQ(documents({"\n\n"}, blank), "//");
  const DocumentRule files{DocumentEnd::files};
  EXPECT_EQ(documents({"a\n\nb", "", "c\n"}, files), "a//b/|c/");
}

TEST_F(DocumentsTest, AMarkStandsInPlaceOfBlankLines) {
  const DocumentRule blank{DocumentEnd::blank_lines, '#'};
  EXPECT_EQ(documents({"a\nb\n\nc\n"}, blank), "a/b/#|c/#");
  EXPECT_EQ(documents({"\n\na\n\n\n\nb\nc"}, blank), "a/#|b/c/#");
  EXPECT_EQ(documents({"a\n\n", "b\n", "\nc"}, blank), "a/#|b/#|c/#");
  const DocumentRule files{DocumentEnd::files, '#'};
  EXPECT_EQ(documents({"a\n\nb", "c\n"}, files), "a//b/#|c/#");
}

TEST_F(DocumentsTest, BlankLinesWhereBlocksMeet) {
  // A block is a megabyte: what is empty is not a matter of where one begins.
  const std::string line(4095, 'x');
  for (const int more : {0, 1, 2}) {
    std::string text(static_cast<std::size_t>(more), 'y');
    for (int i = 0; i < 300; ++i) text += line + "\n" + (i % 2 == 1 ? "\n" : "");
    std::string expected;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool empty = text[i] == '\n' && text[i - 1] == '\n';
      expected += empty ? "#|" : text[i] == '\n' ? "/" : std::string(1, text[i]);
    }
    expected.pop_back();
    EXPECT_EQ(documents({text}, {DocumentEnd::blank_lines, '#'}), expected);
  }
}

TEST_F(DocumentsTest, MarksAreTokensOfTheirOwn) {
  const auto text = file("text", sample_text() + "a <doc> b a b\nb a\n\na b a b\n");
  for (const std::string kind : {"word", "char", "bpe", "unigram"}) {
    TokenizerOptions options;
    options.kind = kind;
    options.document_mark = "<doc>";
    if (kind == "bpe" || kind == "unigram") options.vocabulary = 400;
    const auto tokenizer = train_tokenizer(options, {text});
    const DocumentRule rule = document_rule(DocumentEnd::blank_lines, "<doc>", *tokenizer);
    EXPECT_EQ(tokenizer->token(rule.mark), "<doc>") << kind;
    EXPECT_LT(rule.mark, 60) << kind << ": as frequent as lines";
    const TokenShards tokens = tokenize_uncached({text}, *tokenizer, {}, rule);
    TokenId last = -1;
    tokens.read(tokens.size() - 1, 1, &last);
    EXPECT_EQ(last, rule.mark) << kind;
    EXPECT_GE(tokens.documents()->count(), 2) << kind;
  }
  const auto plain = trained("word", "a b\n");
  EXPECT_THROW(document_rule(DocumentEnd::blank_lines, "<doc>", *plain), UsageError);
  EXPECT_THROW(document_rule(DocumentEnd::none, "a", *plain), UsageError);
  EXPECT_EQ(plain->token(document_rule(DocumentEnd::files, "a", *plain).mark), "a");
}

/// Documents of these lengths whose tokens count from 1; eos is 0.
TokenShards counting(const std::vector<std::int64_t>& lengths) {
  std::vector<std::int64_t> ends(lengths.size());
  std::partial_sum(lengths.begin(), lengths.end(), ends.begin());
  std::vector<TokenId> tokens(static_cast<std::size_t>(ends.back()));
  std::iota(tokens.begin(), tokens.end(), 1);
  return TokenShards(tokens, 0, ends.back() + 1)
      .in_documents(std::make_shared<const DocumentEnds>(ends));
}

TEST(DocumentBatches, ChunksHaveTokensOfOneDocument) {
  const std::int64_t batch = 3, context = 4;
  const std::vector<std::int64_t> lengths = {1, 9, 4, 5, 2, 3, 12, 1};  // 1 3 1 2 1 1 3 1 chunks
  const TokenShards tokens = counting(lengths);
  const BatchStream stream(tokens, batch, context);
  ASSERT_EQ(stream.steps_per_epoch(), 4);
  EXPECT_NEAR(stream.padding(), 1 - 37 / 52.0, 1e-12);
  EXPECT_EQ(stream.tokens_per_step(), 8);  // of 12 positions, 71%
  for (const std::int64_t epoch : {0, 1}) {
    std::vector<int> seen(static_cast<std::size_t>(tokens.size()) + 1);
    std::vector<TokenId> inputs(12), targets(12), before(static_cast<std::size_t>(batch), -1);
    for (std::int64_t s = 0; s < 4; ++s) {
      std::vector<std::uint8_t> starts(3);
      stream.read(4 * epoch + s, inputs.data(), targets.data());
      stream.starts(4 * epoch + s, {0, batch}, starts.data());
      std::int64_t real = 0;
      for (std::size_t i = 0; i < targets.size(); ++i) {
        const std::size_t row = i / 4;
        if (targets[i] < 0) {
          EXPECT_EQ(inputs[i], 0);
          continue;
        }
        ++real;
        ++seen[static_cast<std::size_t>(targets[i])];
        const std::int64_t at = targets[i] - 1;
        const bool first = tokens.documents()->begin(tokens.documents()->at(at)) == at;
        EXPECT_EQ(inputs[i], first ? 0 : at);
        EXPECT_EQ(starts[row] != 0 && i % 4 == 0, first) << "a document starts a chunk";
        if (i % 4 != 0 || s == 0 || first) continue;
        EXPECT_EQ(before[row], at) << "a row goes on with its document";
      }
      for (std::size_t row = 0; row < 3; ++row) before[row] = targets[4 * row + 3];
      EXPECT_EQ(stream.targets_of(4 * epoch + s, {0, batch}), real);
    }
    // But for the one chunk left over, each once.
    EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), tokens.size() - 1);
    EXPECT_EQ(seen[epoch == 0 ? 37 : 1], 0);
  }
  EXPECT_THROW(BatchStream(tokens, 14, 4), Error);
}

TEST_F(DocumentsTest, AreHeldOutWhole) {
  const auto text_of = [](const std::vector<TextSource>& sources) {
    std::string all;
    for (const TextSource& source : sources) {
      const TextFile read(source);
      all += "[" + read.read(0, read.size()) + "]";
    }
    return all;
  };
  const TextSource text = file("text", "aaaa\nbbbb\n\ncccc\ndddd\n\neeee\n");
  const DocumentEnd blank = DocumentEnd::blank_lines;
  EXPECT_EQ(text_of(hold_out({text}, 0.75, blank).valid), "[cccc\ndddd\n\neeee\n]");
  EXPECT_EQ(text_of(hold_out({text}, 0.5, blank).valid), "[eeee\n]");
  // No document starts there.
  EXPECT_EQ(text_of(hold_out({text}, 0.1, blank).valid), text_of(hold_out({text}, 0.1).valid));
  const TextSource more = file("more", "ffff\n");
  const HeldOut files = hold_out({text, more}, 0.5, DocumentEnd::files);
  EXPECT_EQ(text_of(files.valid), "[ffff\n]");
  EXPECT_EQ(files.train, std::vector<TextSource>{text});
}

}  // namespace
}  // namespace sluice
