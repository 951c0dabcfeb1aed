#include "sluice/inference/score.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <sstream>

#include "sluice/base/error.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;

class Score : public testing::Test {
 protected:
  Score()
      : tokenizer_(testing_support::tokenizer("word", "a b c d e\nf g h\n")),
        model_(model("[(12,3)] + [(6,1,0),(6,3,0),(12,1,3)]", tokenizer_->size(), {4})),
        frozen_(FrozenModel::freeze(*model_)) {}

  std::vector<std::string> lines() const {
    std::string lengthy;
    for (int i = 0; i < 300; ++i) lengthy += i % 3 == 0 ? "a " : "c ";
    return {"a b c", "", "zzz d", lengthy, "a", "h g f e d c b a", "b a c", "a"};
  }

  double plain(const std::string& line) const {
    std::vector<std::int32_t> targets;
    tokenizer_->encode(line, targets);
    std::vector<std::int32_t> inputs = targets;
    inputs.insert(inputs.begin(), tokenizer_->eos());
    targets.push_back(tokenizer_->eos());
    const auto logs = testing_support::plain_log_probabilities(*model_, inputs, targets);
    return std::accumulate(logs.begin(), logs.end(), 0.0);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<LanguageModel> model_;
  std::shared_ptr<const FrozenModel> frozen_;
};

// Batches and chunks must not matter: float32, 1e-6 relative.
TEST_F(Score, LinesAreIndependentWhateverTheBatch) {
  const auto all = lines();
  for (const std::int64_t positions : {2, 7, 50, 2048}) {
    ScoreOptions options;
    options.positions = positions;
    const auto scores = score_lines(*frozen_, *tokenizer_, all, options);
    ASSERT_EQ(scores.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double expected = plain(all[i]);
      EXPECT_NEAR(scores[i].log_probability, expected, 1e-6 * std::abs(expected) + 1e-5)
          << "line " << i << " positions " << positions;
    }
  }
}

TEST_F(Score, FieldsAndWords) {
  ScoreOptions options;
  options.words = true;
  const auto scores = score_lines(*frozen_, *tokenizer_, lines(), options);
  EXPECT_EQ(scores[0].tokens, 4);
  EXPECT_EQ(scores[0].oov, 0);
  EXPECT_EQ(scores[1].tokens, 1);
  EXPECT_EQ(scores[2].tokens, 3);
  EXPECT_EQ(scores[2].oov, 1);
  ASSERT_EQ(scores[2].words.size(), 3U);
  EXPECT_EQ(scores[2].words[0].text, "<unk>");
  EXPECT_TRUE(scores[2].words[0].oov);
  EXPECT_EQ(scores[2].words[1].text, "d");
  EXPECT_EQ(scores[2].words[2].text, "<eos>");
  for (const LineScore& score : scores) {
    double sum = 0;
    for (const TokenScore& word : score.words) sum += word.log_probability;
    EXPECT_DOUBLE_EQ(sum, score.log_probability);
    EXPECT_DOUBLE_EQ(score.perplexity,
                     std::exp(-score.log_probability / static_cast<double>(score.tokens)));
  }
  EXPECT_TRUE(score_lines(*frozen_, *tokenizer_, lines())[0].words.empty());
}

TEST_F(Score, StreamGivesOneScorePerLine) {
  const auto all = lines();
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i) text += all[i] + (i % 2 == 0 ? "\n" : "\r\n");
  text += "a b";  // a last line without an end
  std::istringstream in(text);
  std::vector<LineScore> scores;
  const auto count = score_stream(*frozen_, *tokenizer_, in,
                                  [&](const LineScore& score) { scores.push_back(score); });
  EXPECT_EQ(count, static_cast<std::int64_t>(all.size()) + 1);
  ASSERT_EQ(scores.size(), all.size() + 1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double expected = plain(all[i]);
    EXPECT_NEAR(scores[i].log_probability, expected, 1e-6 * std::abs(expected) + 1e-5) << i;
  }
  std::istringstream empty("");
  EXPECT_EQ(score_stream(*frozen_, *tokenizer_, empty, [](const LineScore&) { FAIL(); }), 0);
}

/// Offers its text line by line: nothing more is at hand after each line's end.
class LineByLine : public std::streambuf {
 public:
  explicit LineByLine(std::vector<std::string> lines) : lines_(std::move(lines)) {}

 protected:
  int_type underflow() override {
    if (next_ == lines_.size()) return traits_type::eof();
    std::string& line = lines_[next_++];
    setg(line.data(), line.data(), line.data() + line.size());
    return traits_type::to_int_type(*gptr());
  }

 private:
  std::vector<std::string> lines_;
  std::size_t next_ = 0;
};

TEST_F(Score, StreamAnswersAnInteractiveReaderAtOnce) {
  std::size_t scored = 0;
  class Checked : public LineByLine {
   public:
    Checked(std::vector<std::string> lines, const std::size_t& done)
        : LineByLine(std::move(lines)), done_(done) {}

   protected:
    int_type underflow() override {
      EXPECT_EQ(done_, given_);  // what was given is scored before more is asked for
      const int_type c = LineByLine::underflow();
      given_ += c == traits_type::eof() ? 0 : 1;
      return c;
    }

   private:
    const std::size_t& done_;
    std::size_t given_ = 0;
  } buffer({"a b\n", "c\n", "d d d\n"}, scored);
  std::istream in(&buffer);
  EXPECT_EQ(score_stream(*frozen_, *tokenizer_, in, [&](const LineScore&) { ++scored; }), 3);
  EXPECT_EQ(scored, 3U);
}

TEST_F(Score, BadTextNamesTheLineAfterScoringThoseBefore) {
  std::istringstream in("a\nb\nc \xFF d\ne\n");
  std::size_t scored = 0;
  try {
    score_stream(*frozen_, *tokenizer_, in, [&](const LineScore&) { ++scored; });
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("line 3"), std::string::npos) << error.what();
  }
  EXPECT_EQ(scored, 2U);
  const std::vector<std::string> bad = {"a", "\xC3"};
  EXPECT_THROW(score_lines(*frozen_, *tokenizer_, bad), Error);
}

TEST_F(Score, BadRequestsAreRefused) {
  ScoreOptions options;
  options.positions = 0;
  EXPECT_THROW(score_lines(*frozen_, *tokenizer_, lines(), options), UsageError);
  const auto other = model("[(12,3)]", tokenizer_->size() + 1);
  EXPECT_THROW(score_lines(*FrozenModel::freeze(*other), *tokenizer_, lines()), Error);
}

}  // namespace
}  // namespace sluice
