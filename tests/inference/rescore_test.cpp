#include "sluice/inference/rescore.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "sluice/base/error.hpp"
#include "sluice/base/random.hpp"
#include "sluice/inference/word_errors.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;

class Rescoring : public testing::Test {
 protected:
  Rescoring()
      : tokenizer_(testing_support::tokenizer("word", "a b c d e\n")),
        frozen_(FrozenModel::freeze(*model("[(12,3)]*2", tokenizer_->size(), {4}))),
        predictor_(make_predictor(frozen_)) {}

  double score(const std::string& line) const {
    return score_lines(*frozen_, *tokenizer_, std::vector{line})[0].log_probability;
  }
  struct Written {
    std::vector<std::string> lines, faults;
    std::int64_t failed = 0;
  };
  Written written(const std::string& input, const NbestOptions& lists,
                  const RescoreOptions& options = {}) const {
    std::istringstream in(input);
    const Rescorer rescorer(predictor_, *tokenizer_, options);
    Written out;
    out.failed =
        rescore_lines(in, rescorer, *make_nbest_codec(lists),
                      {.line = [&](const std::string& line) { out.lines.push_back(line); },
                       .fault = [&](const std::string& fault) { out.faults.push_back(fault); },
                       .flush = [] {}});
    return out;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::shared_ptr<const FrozenModel> frozen_;
  std::shared_ptr<const Predictor> predictor_;
};

/// Counts what is read of it.
class Counting final : public Predictor {
 public:
  explicit Counting(std::shared_ptr<const Predictor> predictor)
      : predictor_(std::move(predictor)) {}
  std::int64_t vocabulary() const override { return predictor_->vocabulary(); }
  bool predicts_start() const override { return predictor_->predicts_start(); }
  mutable std::size_t tokens = 0;

 private:
  void do_feed(std::span<PredictorState* const> states, std::span<const Ids> ids) const override {
    predictor_->feed(states, ids);
  }
  std::vector<double> do_nll(std::span<PredictorState* const> states, std::span<const Ids> ids,
                             Reading reading) const override {
    for (const Ids list : ids) tokens += list.size();
    return predictor_->nll(states, ids, reading);
  }
  Tensor do_log_probabilities(std::span<PredictorState* const> states) const override {
    return predictor_->log_probabilities(states);
  }
  std::shared_ptr<const Predictor> predictor_;
};

// Every way in which texts can begin alike: prefixes of others, twice the same, empty ones.
TEST_F(Rescoring, SharedPrefixesChangeNothingAndAreReadOnce) {
  const std::vector<std::string> lines = {"a b c d", "a b c e",     "a b", "",      "a b c d",
                                          "b",       "a b c d e a", "c a", "c a b", "a"};
  std::vector<std::vector<std::int32_t>> texts;
  for (const bool ended : {true, false}) {
    texts.clear();
    for (const std::string& line : lines) {
      texts.push_back(tokenizer_->encode_prompt(line));
      if (ended) texts.back().push_back(tokenizer_->eos());
    }
    const std::int32_t eos = tokenizer_->eos();
    PredictorState start;
    const Counting counting(predictor_);
    counting.feed(start, {&eos, 1});
    const std::vector<double> sums = score_sharing_prefixes(counting, start, texts);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      PredictorState alone;
      predictor_->feed(alone, {&eos, 1});
      double expected = 0;
      for (const double nll : predictor_->nll(alone, texts[i])) expected -= nll;
      EXPECT_NEAR(sums[i], expected, 1e-4) << lines[i];
    }
    // Nodes of the tree: a ab abc abcd abcde abcdea abce b c ca cab, and each text's end.
    EXPECT_EQ(counting.tokens, ended ? 11U + 9U : 11U);
  }
  EXPECT_TRUE(score_sharing_prefixes(*predictor_, {}, {}).empty());
}

TEST_F(Rescoring, ListsOfTranslators) {
  const std::string input =
      "0 ||| a b ||| LM0= -3 TM= 1 2 ||| -5\n0 ||| a c ||| LM0= -1 TM= 0 0 ||| -6 ||| 0-0\n"
      "1 ||| d ||| LM0= -1 TM= 0 0\n";
  Written out = written(input, {});
  ASSERT_EQ(out.lines.size(), 3U);
  EXPECT_EQ(out.lines[0],
            fmt::format("0 ||| a b ||| LM0= -3 TM= 1 2 Sluice= {:.6f} ||| -5", score("a b")));
  EXPECT_EQ(out.failed, 0);
  RescoreOptions options;
  options.weights = RescoreWeights{0.5, 0.25};
  out = written(input, {.feature = "N"}, options);
  EXPECT_EQ(out.lines[1], fmt::format("0 ||| a c ||| LM0= -1 TM= 0 0 N= {:.6f} ||| {:.6f} ||| 0-0",
                                      score("a c"), -6 + 0.5 * score("a c") + 0.25 * 2));
  EXPECT_EQ(out.lines[2], fmt::format("1 ||| d ||| LM0= -1 TM= 0 0 N= {:.6f} ||| {:.6f}",
                                      score("d"), 0.5 * score("d") + 0.25));
  NbestOptions lists;
  lists.given = {{"LM0", {2}}, {"TM", {1, 10}}};
  out = written(input, lists, options);
  EXPECT_TRUE(out.lines[0].ends_with(
      fmt::format(" ||| {:.6f}", -6 + 1 + 20 + 0.5 * score("a b") + 0.25 * 2)))
      << out.lines[0];
  lists.given = {{"LM0", {2, 3}}};
  out = written(input, lists, options);
  EXPECT_EQ(out.failed, 3);
  EXPECT_NE(out.faults[0].find("line 1: 2 weights are given for the feature 'LM0', which has 1"),
            std::string::npos)
      << out.faults[0];
}

TEST_F(Rescoring, ListsOfRecognisers) {
  NbestOptions lists{.format = LineFormat::kaldi};
  Written out = written("utt-a-1 a b\nutt-a-2\n", lists);
  EXPECT_EQ(out.lines[0], fmt::format("utt-a-1 {:.4f}", -score("a b")));
  EXPECT_EQ(out.lines[1], fmt::format("utt-a-2 {:.4f}", -score("")));
  std::istringstream costs("u-1 10\nu-2 1\nv-1 3\n");
  lists.costs = read_costs(costs);
  RescoreOptions options;
  options.weights = RescoreWeights{0, 0};
  options.best = true;
  out = written("u-1 a b\nu-2 c\nv-1 d e\n", lists, options);
  EXPECT_EQ(out.lines, (std::vector<std::string>{"u c", "v d e"}));
  out = written("u-1 a b\nu-2 c\nu-3 c\nv-1 d e\n", lists, options);
  EXPECT_EQ(out.failed, 1);
  EXPECT_NE(out.faults[0].find("line 3: there is no cost of 'u-3'"), std::string::npos);
  std::istringstream bad("u-1 x\n");
  EXPECT_THROW(read_costs(bad), Error);
}

TEST_F(Rescoring, ObjectsGetFields) {
  RescoreOptions options;
  options.weights = RescoreWeights{2, 0};
  const Written out = written(
      "{\"id\": 7, \"text\": \"a b\", \"score\": -1.5, \"x\": 1e2}\n{\"id\": 7, \"text\": \"c\"}\n",
      {.format = LineFormat::jsonl}, options);
  EXPECT_TRUE(
      out.lines[0].starts_with("{\"id\": 7, \"text\": \"a b\", \"score\": -1.5, \"x\": 1e2,"));
  const auto object = nlohmann::json::parse(out.lines[0]);
  EXPECT_NEAR(object["log_probability"].get<double>(), score("a b"), 1e-5);
  EXPECT_NEAR(object["total"].get<double>(), -1.5 + 2 * score("a b"), 1e-5);
  EXPECT_NEAR(nlohmann::json::parse(out.lines[1])["total"].get<double>(), 2 * score("c"), 1e-5);
}

TEST_F(Rescoring, MalformedLinesHarmNoOther) {
  const Written out = written(
      "0 ||| a ||| f= 1\nnonsense\n0 ||| b \xff ||| f= 1\n1 ||| c ||| f= 1\n0 ||| d ||| f= 1\n"
      "1 ||| e ||| f= 1 ||| high\n1 ||| a ||| f= 1\n",
      {});
  ASSERT_EQ(out.lines.size(), 7U);
  EXPECT_EQ(out.lines[1], "nonsense");
  EXPECT_EQ(out.lines[4], "0 ||| d ||| f= 1") << "passed on";
  EXPECT_EQ(out.lines[6], fmt::format("1 ||| a ||| f= 1 Sluice= {:.6f}", score("a")));
  ASSERT_EQ(out.failed, 4);
  EXPECT_NE(out.faults[0].find("line 2: expected 'id ||| text ||| features'"), std::string::npos);
  EXPECT_NE(out.faults[1].find("line 3"), std::string::npos);
  EXPECT_NE(out.faults[2].find("line 5: the list '0' ended before"), std::string::npos);
  EXPECT_NE(out.faults[3].find("line 6: expected a number as the total"), std::string::npos);
  EXPECT_THROW(make_nbest_codec({.format = LineFormat::tsv}), UsageError);
  RescoreOptions options;
  options.score.bos = false;
  EXPECT_THROW(Rescorer(predictor_, *tokenizer_, options), UsageError);
}

TEST(WordErrors, AreTheFewestEdits) {
  EXPECT_EQ(word_errors("a b c", "a b c"), 0);
  EXPECT_EQ(word_errors("a b c", ""), 3);
  EXPECT_EQ(word_errors("", "a  b"), 2);
  EXPECT_EQ(word_errors("a b c d", "b c x d e"), 3);
  EXPECT_EQ(word_errors("k i t t e n", "s i t t i n g"), 3);
}

/// Lists in which log_probability tells, but for noise, how many errors a hypothesis has.
std::vector<RatedList> random_lists(std::size_t count, double noise) {
  const RandomKey key{5, 1, 0};
  std::uint64_t draw = 0;
  std::vector<RatedList> lists;
  for (std::size_t i = 0; i < count; ++i) {
    RatedList list;
    list.reference_words = 10;
    for (int h = 0; h < 20; ++h) {
      RatedHypothesis one;
      one.errors = static_cast<std::int64_t>(key.bits(draw++) % 8);
      one.words = 8 + static_cast<std::int64_t>(key.bits(draw++) % 5);
      one.given = 10 * key.uniform_double(draw++);
      one.log_probability = -3 * static_cast<double>(one.errors) +
                            noise * key.uniform_double(draw++) -
                            0.7 * static_cast<double>(one.words);
      list.hypotheses.push_back(one);
    }
    lists.push_back(std::move(list));
  }
  return lists;
}

TEST(WordErrors, WeightsAreFoundThatNoOthersBeatByMuch) {
  const auto lists = random_lists(60, 4);
  const RescoreWeights found = tune_weights(lists);
  const double rate = word_error_rate(lists, found).rate;
  EXPECT_LT(rate, word_error_rate(lists, {0, 0}).rate / 2);
  EXPECT_GE(found.weight, 0);
  double best = 1;
  for (double weight = 0; weight < 8; weight += 0.25) {
    for (double reward = -4; reward < 8; reward += 0.25) {
      best = std::min(best, word_error_rate(lists, {weight, reward}).rate);
    }
  }
  EXPECT_LE(rate, best + 0.01);
  EXPECT_LE(least_error_rate(lists), rate);
  EXPECT_EQ(tune_weights(lists, false).word_reward, 0);
  EXPECT_THROW(tune_weights({}), Error);
}

// An interval of 95% over draws of as many lists: about 1.96 standard errors wide on each side.
TEST(WordErrors, IntervalsAreThoseOfTheMean) {
  const auto lists = random_lists(400, 4);
  const ErrorRate rate = word_error_rate(lists, {0, 0});
  std::vector<double> rates;
  for (const RatedList& list : lists) rates.push_back(word_error_rate({&list, 1}, {0, 0}).rate);
  double sum = 0, squares = 0;
  for (const double one : rates) sum += one;
  for (const double one : rates) squares += (one - sum / 400) * (one - sum / 400);
  const double error = std::sqrt(squares / 400 / 400);
  EXPECT_NEAR(rate.rate, sum / 400, 1e-9);
  EXPECT_NEAR(rate.high - rate.rate, 1.96 * error, 0.35 * error);
  EXPECT_NEAR(rate.rate - rate.low, 1.96 * error, 0.35 * error);
}

TEST(WordErrors, ReferencesInEachForm) {
  const auto read = [](const std::string& text, LineFormat format) {
    std::istringstream in(text);
    return read_references(in, format);
  };
  using References = std::map<std::string, std::string>;
  EXPECT_EQ(read("a b\n\nc\n", LineFormat::moses),
            (References{{"0", "a b"}, {"1", ""}, {"2", "c"}}));
  EXPECT_EQ(read("u a b\nv\n", LineFormat::kaldi), (References{{"u", "a b"}, {"v", ""}}));
  EXPECT_EQ(read("{\"id\":3,\"text\":\"a\"}\n", LineFormat::jsonl), (References{{"3", "a"}}));
  EXPECT_THROW(read("{\"id\":3}\n", LineFormat::jsonl), Error);
  EXPECT_THROW(read("u a\nu b\n", LineFormat::kaldi), Error);
  Hypothesis hypothesis;
  hypothesis.list = "9";
  EXPECT_THROW(rate_hypotheses({&hypothesis, 1}, {{"0", "a"}}), Error);
}

}  // namespace
}  // namespace sluice
