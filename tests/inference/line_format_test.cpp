#include "sluice/inference/line_format.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "sluice/base/error.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;

class LineForms : public testing::Test {
 protected:
  LineForms()
      : tokenizer_(testing_support::tokenizer("word", "a b c d e\n")),
        frozen_(FrozenModel::freeze(*model("[(12,3)]*2", tokenizer_->size()))) {}

  struct Written {
    std::vector<std::string> lines, faults;
    std::int64_t failed = 0;
  };
  Written written(const std::string& input, const LineFormatOptions& format,
                  const ScoreOptions& options = {}) const {
    std::istringstream in(input);
    LineScorer scorer(make_predictor(frozen_), *tokenizer_, options);
    Written out;
    out.failed =
        score_lines_of(in, scorer, *make_line_codec(format),
                       {.line = [&](const std::string& line) { out.lines.push_back(line); },
                        .fault = [&](const std::string& fault) { out.faults.push_back(fault); },
                        .flush = [] {}});
    return out;
  }
  double score(const std::string& line, const std::string& context = "") const {
    ScoreOptions options;
    options.context = context;
    return score_lines(*frozen_, *tokenizer_, std::vector{line}, options)[0].log_probability;
  }
  std::string four(const std::string& line) const {
    std::istringstream in(line + "\n");
    return written(line, {}).lines.at(0);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::shared_ptr<const FrozenModel> frozen_;
};

TEST_F(LineForms, ColumnsByNamePassThrough) {
  LineFormatOptions format{.format = LineFormat::tsv, .text_column = "t", .context_column = "c"};
  const Written out = written("x\tc\tt\n 1 \t\ta b\n2\te \ta\r\n3\tonly\n4\t\tc\n", format);
  ASSERT_EQ(out.lines.size(), 5U);
  EXPECT_EQ(out.lines[0], "x\tc\tt\tlog_probability\ttokens\toov\tperplexity");
  EXPECT_EQ(out.lines[1], " 1 \t\ta b\t" + four("a b"));
  EXPECT_TRUE(out.lines[2].starts_with(fmt::format("2\te \ta\t{:.4f}\t2\t0\t", score("a", "e "))));
  EXPECT_EQ(out.lines[3], "3\tonly\t\tnan\t0\t0\tnan") << "below their names";
  EXPECT_TRUE(out.lines[4].starts_with("4\t\tc\t-"));
  ASSERT_EQ(out.faults.size(), 1U);
  EXPECT_NE(out.faults[0].find("line 4: expected at least 3 columns"), std::string::npos);
  EXPECT_EQ(out.failed, 1);

  // What the text does not need may be missing, but not be too much.
  format = {.format = LineFormat::tsv, .text_column = "t"};
  const Written short_row = written("t\tx\na\n", format);
  EXPECT_EQ(short_row.lines.at(1), "a\t\t" + four("a"));
  const Written long_row = written("t\tx\na\tb\tc\n", format);
  EXPECT_EQ(long_row.failed, 1);
  EXPECT_NE(long_row.faults.at(0).find("line 2: expected at most 2 columns"), std::string::npos);

  EXPECT_THROW(written("x\ty\n", {.format = LineFormat::tsv}), Error) << "no column 'text'";
  format = {.format = LineFormat::tsv, .text_column = "2", .header = false};
  EXPECT_EQ(written("x\ta\n", format).lines.at(0), "x\ta\t" + four("a"));
  format.text_column = "0";
  EXPECT_THROW(make_line_codec(format), UsageError);
}

TEST_F(LineForms, ObjectsKeepTheirBytes) {
  LineFormatOptions format{.format = LineFormat::jsonl};
  const Written out = written(
      "{\"id\": 1e3 , \"text\":\"a b\"} \n{\"text\": 3}\nnope\n{\"text\":\"a\",\"tokens\":1}\n"
      "{\"text\":\"a\\nb\"}\n{\"text\":\"c\"}\n",
      format);
  ASSERT_EQ(out.lines.size(), 6U);
  EXPECT_TRUE(out.lines[0].starts_with("{\"id\": 1e3 , \"text\":\"a b\",\"log_probability\":-"));
  EXPECT_NEAR(nlohmann::json::parse(out.lines[0])["log_probability"].get<double>(), score("a b"),
              1e-5);
  for (const int bad : {1, 2, 3, 4}) {
    const auto object = nlohmann::json::parse(out.lines[static_cast<std::size_t>(bad)]);
    const auto fault = object["error"].get<std::string>();
    EXPECT_TRUE(fault.starts_with("line " + std::to_string(bad + 1))) << fault;
  }
  EXPECT_EQ(nlohmann::json::parse(out.lines[5])["tokens"], 2);
  EXPECT_EQ(out.failed, 4);
}

TEST_F(LineForms, ListsOfSpeechAndTranslation) {
  const Written kaldi = written("utt-1 a b\n\nutt-2\n", {.format = LineFormat::kaldi});
  EXPECT_EQ(kaldi.lines[0], fmt::format("utt-1 {:.4f}", -score("a b")));
  EXPECT_EQ(kaldi.lines[1], "? nan");
  EXPECT_EQ(kaldi.lines[2], fmt::format("utt-2 {:.4f}", -score("")));
  const Written moses = written("0 ||| a b ||| LM0= -3 ||| -5\n0 || a\n1 ||| c ||| ||| 2\n",
                                {.format = LineFormat::moses, .feature = "N"});
  EXPECT_EQ(moses.lines[0], fmt::format("0 ||| a b ||| LM0= -3 N= {:.6f} ||| -5", score("a b")));
  EXPECT_EQ(moses.lines[1], "0 || a");
  EXPECT_EQ(moses.lines[2], fmt::format("1 ||| c ||| N= {:.6f} ||| 2", score("c")));
  ASSERT_EQ(moses.faults.size(), 1U);
  EXPECT_NE(moses.faults[0].find("line 2: expected 'id ||| text"), std::string::npos);
}

TEST(LineFormsOfChars, TablesStayIntact) {
  const auto tokenizer = testing_support::tokenizer("char", "a b\tc\\\n");
  const auto frozen = FrozenModel::freeze(*model("[(12,3)]*2", tokenizer->size()));
  std::istringstream in("a b\tc\\\n");
  ScoreOptions options;
  options.pieces = true;
  LineScorer scorer(make_predictor(frozen), *tokenizer, options);
  std::string line;
  score_lines_of(
      in, scorer, *make_line_codec({}),
      {.line = [&](const std::string& out) { line += out + "\n"; }, .fault = {}, .flush = [] {}});
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\t'), 3 + 7);
  EXPECT_EQ(std::count(line.begin(), line.end(), ' '), 7);
  for (const char* part : {"\t\\s -", "\t\\t -", "\t\\\\ -", "\t<eos> -"}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << line;
  }
}

}  // namespace
}  // namespace sluice
