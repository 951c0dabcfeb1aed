// Labels of lines and of tokens, from columns and JSON lines.

#include "sluice/text/labels.hpp"

#include <gtest/gtest.h>

#include "sluice/text/batches.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/detail/holdout.hpp"
#include "sluice/text/inputs.hpp"
#include "support.hpp"

namespace sluice {
namespace {

class LabelsTest : public TextTest {
 protected:
  /// The text that the sources hold.
  static std::string text_of(const std::vector<TextSource>& sources) {
    std::string all;
    for (const TextSource& source : sources) {
      const TextFile read(source);
      all += read.read(0, read.size());
    }
    return all;
  }
  /// Label and character of each byte of the labelled text, side by side.
  std::string labelled(const std::vector<TextSource>& sources,
                       const std::vector<std::string>& names) const {
    const auto bytes = trained("byte", "x\n");
    const TokenShards tokens = with_labels(tokenize_uncached(sources, *bytes), sources, names);
    std::vector<std::int32_t> labels(static_cast<std::size_t>(tokens.size()));
    tokens.labels()->read(0, tokens.size(), labels.data());
    const std::string text = text_of(sources);
    EXPECT_EQ(text.size(), labels.size());
    std::string all;
    for (std::size_t i = 0; i < text.size(); ++i) {
      all += static_cast<char>('0' + labels[i]);
      all += text[i] == '\n' ? '/' : text[i];
    }
    return all;
  }
};

TEST_F(LabelsTest, ColumnsBetweenTabs) {
  const auto table = file("t.tsv", "1\ten\tab\r\n2\tde\tc\n\n3\t\td\n4\ten\t\n5\tfr\te");
  const TextInputs inputs({table}, {.condition = "2"}, path("cache"));
  EXPECT_EQ(text_of(inputs.sources()), "ab\nc\nd\n\ne\n");
  const auto names = label_names(inputs.sources());
  EXPECT_EQ(names, (std::vector<std::string>{"de", "en", "fr"}));
  EXPECT_EQ(labelled(inputs.sources(), names), "2a2b2/1c1/0d0/2/3e3/");
  // Labels that a model does not know are unknown to it.
  EXPECT_EQ(labelled(inputs.sources(), {"en"}), "1a1b1/0c0/0d0/1/0e0/");
}

TEST_F(LabelsTest, FieldsOfJsonLinesLabelWholeDocuments) {
  const auto lines = file("t.jsonl", R"({"text":"a\nb","year":1999,"by":"x"})"
                                     "\n"
                                     R"({"text":"c\n","year":-2,"by":"y"})"
                                     "\n");
  const TextInputs by({lines}, {.field = "text", .condition = "by"}, {});
  EXPECT_EQ(labelled(by.sources(), label_names(by.sources())), "1a1/1b1/2c2/");
  const TextInputs year({lines}, {.field = "text", .condition = "year"}, {});
  EXPECT_EQ(label_names(year.sources()), (std::vector<std::string>{"-2", "1999"}));
}

TEST_F(LabelsTest, SurviveHoldingOutAndFilesOneAfterAnother) {
  std::string table;
  for (int i = 0; i < 10; ++i) table += std::string(1, "ab"[i % 2]) + "\tline\n";
  const TextInputs inputs({file("a.tsv", table), file("b.tsv", table)}, {.condition = "1"},
                          path("cache"));
  const HeldOut parts = hold_out(inputs.sources(), 0.25);
  ASSERT_EQ(parts.train.size(), 2U);
  const std::vector<std::string> names = {"a", "b"};
  EXPECT_EQ(labelled(parts.train, names) + labelled(parts.valid, names),
            labelled(inputs.sources(), names));
  EXPECT_EQ(labelled(parts.valid, names).substr(0, 20), "2l2i2n2e2/1l1i1n1e1/");
}

TEST_F(LabelsTest, ARowOfABatchHasTheLabelsOfItsTargets) {
  const TextInputs inputs({file("a.tsv", "x\tabc\ny\tdefg\n")}, {.condition = "1"}, {});
  const auto bytes = trained("byte", "x\n");
  const TokenShards tokens = with_labels(tokenize_uncached(inputs.sources(), *bytes),
                                         inputs.sources(), label_names(inputs.sources()));
  const BatchStream stream(tokens, 2, 2);
  ASSERT_TRUE(stream.has_labels());
  std::vector<TokenId> in(4), out(4);
  std::vector<std::int32_t> labels(4);
  std::string read;
  for (std::int64_t step = 0; step < stream.steps_per_epoch(); ++step) {
    stream.read(step, in.data(), out.data());
    stream.read_labels(step, {0, 2}, labels.data());
    for (std::size_t i = 0; i < 4; ++i) {
      read += std::to_string(labels[i]);
      read += static_cast<char>(out[i]);
    }
  }
  EXPECT_EQ(read, "1a1b2d2e1c1\n2f2g");
  EXPECT_FALSE(BatchStream(tokenize_uncached(inputs.sources(), *bytes), 2, 2).has_labels());
}

TEST_F(LabelsTest, RefusesWhatHasNoLabels) {
  const auto refusal = [&](const std::string& text, const InputOptions& options) {
    try {
      const TextInputs inputs({file("t", text)}, options, path("cache"));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(refusal("a\tb\nc\n", {.condition = "1"}).find("line 2"), std::string::npos);
  EXPECT_NE(refusal("a\tb\n", {.condition = "2"}).find("2 columns"), std::string::npos);
  EXPECT_NE(refusal("a\tb\n", {.condition = "lang"}).find("no column"), std::string::npos);
  EXPECT_NE(refusal("a\tb\n", {.condition = "0"}).find("no column"), std::string::npos);
  EXPECT_NE(refusal("{\"t\":\"a\"}\n", {.field = "t", .condition = "l"}).find("'l' is missing"),
            std::string::npos);
  EXPECT_NE(refusal("{\"t\":\"a\",\"l\":[]}\n", {.field = "t", .condition = "l"}).find("l"),
            std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path("cache")) && !std::filesystem::is_empty(path("cache")));
  // A word of the text that is the end of a line would shift all labels behind it.
  const TokenShards tokens({1, 0, 2, 0}, 0, 3);
  const std::vector<std::int32_t> one = {1};
  EXPECT_THROW(TokenLabels(tokens, one), Error);
  EXPECT_THROW((void)label_names({file("plain", "a\n")}), Error);
}

}  // namespace
}  // namespace sluice
