#include "sluice/inference/score.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "sluice/base/error.hpp"
#include "sluice/inference/line_format.hpp"
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

TEST_F(Score, FieldsAndTokens) {
  ScoreOptions options;
  options.pieces = true;
  const auto scores = score_lines(*frozen_, *tokenizer_, lines(), options);
  EXPECT_EQ(scores[0].tokens, 4);
  EXPECT_EQ(scores[0].oov, 0);
  EXPECT_EQ(scores[1].tokens, 1);
  EXPECT_EQ(scores[2].tokens, 3);
  EXPECT_EQ(scores[2].oov, 1);
  ASSERT_EQ(scores[2].pieces.size(), 3U);
  EXPECT_EQ(scores[2].pieces[0].text, "zzz");
  EXPECT_TRUE(scores[2].pieces[0].oov);
  EXPECT_EQ(scores[2].pieces[1].text, "d");
  EXPECT_EQ(scores[2].pieces[1].begin, 4);
  EXPECT_EQ(scores[2].pieces[1].end, 5);
  EXPECT_EQ(scores[2].pieces[2].text, "<eos>");
  for (const LineScore& score : scores) {
    double sum = 0;
    for (const TokenScore& piece : score.pieces) sum += piece.log_probability;
    EXPECT_DOUBLE_EQ(sum, score.log_probability);
    EXPECT_DOUBLE_EQ(score.perplexity,
                     std::exp(-score.log_probability / static_cast<double>(score.tokens)));
  }
  EXPECT_TRUE(score_lines(*frozen_, *tokenizer_, lines())[0].pieces.empty());
  EXPECT_TRUE(score_lines(*frozen_, *tokenizer_, lines())[0].words.empty());
}

TEST_F(Score, UnknownWordsCountAreLeftOutOrPenalised) {
  const std::vector<std::string> line = {"a zzz b"};
  ScoreOptions options;
  options.pieces = true;
  const LineScore counted = score_lines(*frozen_, *tokenizer_, line, options)[0];
  const double unknown = counted.pieces[1].log_probability;
  options.oov = OovPolicy::exclude;
  const LineScore excluded = score_lines(*frozen_, *tokenizer_, line, options)[0];
  EXPECT_EQ(excluded.tokens, 3);
  EXPECT_EQ(excluded.oov, 1);
  EXPECT_NEAR(excluded.log_probability, counted.log_probability - unknown, 1e-9);
  options.oov = OovPolicy::penalty;
  options.oov_penalty = 2.5;
  const LineScore penalised = score_lines(*frozen_, *tokenizer_, line, options)[0];
  EXPECT_NEAR(penalised.log_probability, counted.log_probability - 2.5, 1e-9);
  EXPECT_EQ(penalised.tokens, 4);
  for (const LineScore& score : {counted, excluded, penalised}) {
    EXPECT_NEAR(score.known_perplexity, excluded.perplexity, 1e-9);
    EXPECT_NEAR(score.word_perplexity, std::exp(-score.log_probability / 4), 1e-9);
    EXPECT_NEAR(score.byte_perplexity, std::exp(-score.log_probability / 8), 1e-9);
  }
}

// What is given before a line is what would be there if the two were one text.
TEST_F(Score, ContextsEndsAndRunningText) {
  const auto sum = [](const std::vector<TokenScore>& pieces, std::size_t begin, std::size_t end) {
    double log_probability = 0;
    for (std::size_t i = begin; i < end; ++i) log_probability += pieces[i].log_probability;
    return log_probability;
  };
  const auto score = [&](const std::vector<std::string>& lines, ScoreOptions options) {
    options.pieces = true;
    return score_lines(*frozen_, *tokenizer_, lines, options);
  };
  const LineScore whole = score({"a b c d e"}, {})[0];
  ScoreOptions options;
  options.context = "a b ";
  const LineScore rest = score({"c d e"}, options)[0];
  EXPECT_NEAR(rest.log_probability, sum(whole.pieces, 2, 6), 1e-4);
  EXPECT_EQ(rest.tokens, 4);

  options = {};
  options.eos = false;
  const LineScore endless = score({"a b c d e"}, options)[0];
  EXPECT_EQ(endless.tokens, 5);
  EXPECT_NEAR(endless.log_probability, sum(whole.pieces, 0, 5), 1e-4);

  options = {};
  options.running = true;
  const std::vector<LineScore> running = score({"a b", "", "c"}, options);
  options = {};
  options.context = "a b\n\n";
  const LineScore last = score({"c"}, options)[0];
  EXPECT_NEAR(running[2].log_probability, last.log_probability, 1e-4);
  EXPECT_NE(running[2].log_probability, score({"c"}, {})[0].log_probability);

  // Without the end of a line before it, a first token is read and not scored.
  options = {};
  options.bos = false;
  const LineScore bare = score({"a b"}, options)[0];
  EXPECT_EQ(bare.tokens, 2);
  EXPECT_TRUE(std::isnan(bare.pieces[0].log_probability));
  std::vector<std::int32_t> ids;
  tokenizer_->encode("a b", ids);
  ids.push_back(tokenizer_->eos());
  const auto expected = testing_support::plain_log_probabilities(
      *model_, {ids.begin(), ids.end() - 1}, {ids.begin() + 1, ids.end()});
  EXPECT_NEAR(bare.log_probability, expected[0] + expected[1], 1e-4);
  EXPECT_EQ(score({""}, options)[0].tokens, 0);
  options.running = true;
  options.eos = false;
  const std::vector<LineScore> unended = score({"", "a b"}, options);
  EXPECT_EQ(unended[0].tokens, 0);
  EXPECT_EQ(unended[1].tokens, 2);
}

TEST_F(Score, DeterministicScoresHaveTheirBitsInAnyCompany) {
  ScoreOptions options;
  options.deterministic = true;
  const auto all = score_lines(*frozen_, *tokenizer_, lines(), options);
  for (std::size_t i = 0; i < lines().size(); ++i) {
    const std::vector<std::string> alone = {lines()[i]};
    EXPECT_EQ(score_lines(*frozen_, *tokenizer_, alone, options)[0].log_probability,
              all[i].log_probability);
  }
}

// Words are sums over what stands in them and in the blanks before them, whatever the tokens are.
TEST(ScoreWords, OfEveryTokenizerStandWhereTheyAre) {
  const std::string text = "the cat sat on the mat\nthe d\xC3\xA9j\xC3\xA0 vu\n";
  for (const char* kind : {"word", "char", "byte"}) {
    const auto tokenizer = testing_support::tokenizer(kind, text);
    const auto frozen = FrozenModel::freeze(*model("[(12,3)]*2", tokenizer->size()));
    ScoreOptions options;
    options.words = options.pieces = true;
    const std::string line = " the d\xC3\xA9j\xC3\xA0  q\xC3\xA9q ";
    const LineScore score = score_lines(*frozen, *tokenizer, std::vector{line}, options)[0];
    ASSERT_EQ(score.words.size(), 4U) << kind;
    EXPECT_EQ(score.words[1].text, "d\xC3\xA9j\xC3\xA0");
    EXPECT_EQ(score.words[2].text, "q\xC3\xA9q") << "as it stands in the line";
    EXPECT_EQ(score.words[3].text, "<eos>");
    EXPECT_EQ(score.words[2].oov, std::string(kind) != "byte");
    EXPECT_EQ(score.words[1].begin, 5);
    EXPECT_EQ(score.words[1].end, 9);
    EXPECT_EQ(score.words[2].begin, 11);
    double words = 0, pieces = 0;
    std::int64_t tokens = 0;
    for (const WordScore& word : score.words) {
      words += word.log_probability;
      tokens += word.tokens;
    }
    for (const TokenScore& piece : score.pieces) pieces += piece.log_probability;
    EXPECT_NEAR(words, score.log_probability, 1e-9);
    EXPECT_NEAR(pieces, score.log_probability, 1e-9);
    EXPECT_EQ(tokens, score.tokens);
    if (std::string(kind) == "char") {
      // " the" is four tokens, the last of them 'e'.
      EXPECT_EQ(score.words[0].tokens, 4);
      EXPECT_EQ(score.pieces[3].text, "e");
      EXPECT_EQ(score.pieces[3].begin, 3);
    }
  }
}

/// What `in` gives, scored as `sluice score` does it; `line` is called for each.
std::int64_t score_all(const std::shared_ptr<const FrozenModel>& model, const Tokenizer& tokenizer,
                       std::istream& in, const std::function<void(const std::string&)>& line,
                       const std::function<void(const std::string&)>& fault) {
  LineScorer scorer(make_predictor(model), tokenizer, {});
  return score_lines_of(in, scorer, *make_line_codec({.json = true}),
                        {.line = line, .fault = fault, .flush = [] {}});
}

void no_fault(const std::string& fault) { ADD_FAILURE() << fault; }

TEST_F(Score, StreamGivesOneScorePerLine) {
  const auto all = lines();
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i) text += all[i] + (i % 2 == 0 ? "\n" : "\r\n");
  text += "a b";  // a last line without an end
  std::istringstream in(text);
  std::vector<double> scores;
  const auto add = [&](const std::string& line) {
    scores.push_back(nlohmann::json::parse(line)["log_probability"].get<double>());
  };
  EXPECT_EQ(score_all(frozen_, *tokenizer_, in, add, no_fault), 0);
  ASSERT_EQ(scores.size(), all.size() + 1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double expected = plain(all[i]);
    EXPECT_NEAR(scores[i], expected, 1e-6 * std::abs(expected) + 1e-5) << i;
  }
  std::istringstream empty("");
  score_all(
      frozen_, *tokenizer_, empty, [](const std::string&) { FAIL(); }, no_fault);
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
  score_all(
      frozen_, *tokenizer_, in, [&](const std::string&) { ++scored; }, no_fault);
  EXPECT_EQ(scored, 3U);
}

TEST_F(Score, BadTextNamesItsLineAndHarmsNoOther) {
  std::istringstream in("a\nb\nc \xFF d\ne\n");
  std::size_t written = 0;
  std::vector<std::string> faults;
  const auto count = [&](const std::string&) { ++written; };
  const auto keep = [&](const std::string& fault) { faults.push_back(fault); };
  EXPECT_EQ(score_all(frozen_, *tokenizer_, in, count, keep), 1);
  EXPECT_EQ(written, 4U);
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_NE(faults[0].find("line 3"), std::string::npos) << faults[0];
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
