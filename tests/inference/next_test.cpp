#include "sluice/inference/next.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "sluice/base/error.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;

/// ln p of `text` behind `before`, token by token.
double log_probability(const Predictor& predictor, const Tokenizer& tokenizer,
                       const std::string& before, const std::vector<TokenId>& text) {
  std::vector<TokenId> ids = tokenizer.encode_prompt(before);
  ids.insert(ids.begin(), tokenizer.eos());
  PredictorState state;
  predictor.feed(state, ids);
  double sum = 0;
  for (const double nll : predictor.nll(state, text)) sum -= nll;
  return sum;
}

/// Every word of the letters up to a length, with its probability, the plain way.
std::map<std::string, double> all_words(const Predictor& predictor, const Tokenizer& tokenizer,
                                        const std::string& text, const std::string& letters,
                                        std::size_t longest) {
  const bool inside = !text.empty() && text.back() != '\n';
  const std::string before = inside ? " " : "";
  const auto p = [&](const std::string& what) {
    return std::exp(log_probability(predictor, tokenizer, text, tokenizer.encode_prompt(what)));
  };
  // Given that a word begins or the line ends.
  double sum = p("\n");
  // What is not in the vocabulary may begin a word, too.
  sum = inside ? sum + p(" ") : 1 - p(" ");
  std::map<std::string, double> words = {{"\n", p("\n") / sum}};
  std::vector<std::string> level = {""};
  for (std::size_t length = 1; length <= longest; ++length) {
    std::vector<std::string> longer;
    for (const std::string& begin : level) {
      for (const char c : letters) longer.push_back(begin + c);
    }
    for (const std::string& word : longer) {
      words[word] = (p(before + word + " ") + p(before + word + "\n")) / sum;
    }
    level = std::move(longer);
  }
  return words;
}

class NextWordsOfChars : public testing::Test {
 protected:
  NextWordsOfChars()
      : tokenizer_(testing_support::tokenizer("char", "ab c\nba a\n")),
        predictor_(make_predictor(FrozenModel::freeze(*model("[(12,3)]*2", tokenizer_->size())))),
        next_(predictor_, *tokenizer_) {}

  std::unique_ptr<Tokenizer> tokenizer_;
  std::shared_ptr<const Predictor> predictor_;
  NextText next_;
};

// The search finds what trying everything finds: words longer than those tried are less probable
// than the last of the best, for their beginnings are.
TEST_F(NextWordsOfChars, AreThoseThatTryingAllWordsFinds) {
  for (const std::string text : {"ab", "", "a b\n", "c  "}) {
    const std::string stripped = text == "c  " ? "c" : text;
    const auto words = all_words(*predictor_, *tokenizer_, stripped, "abc", 6);
    for (const std::string prefix : {"", "a", "bc", "cab"}) {
      std::vector<std::pair<double, std::string>> expected;
      for (const auto& [word, probability] : words) {
        if (word.starts_with(prefix)) expected.emplace_back(-probability, word);
      }
      std::sort(expected.begin(), expected.end());
      for (const std::int64_t top : {1, 3, 7}) {
        NextOptions options;
        options.top = top;
        options.starting_with = prefix;
        const NextWords found = next_.words(text, options);
        EXPECT_TRUE(found.exact);
        ASSERT_EQ(found.words.size(), static_cast<std::size_t>(top));
        for (std::size_t i = 0; i < found.words.size(); ++i) {
          EXPECT_EQ(found.words[i].text, expected[i].second) << text << " | " << prefix;
          EXPECT_NEAR(found.words[i].probability, -expected[i].first, 1e-6);
        }
      }
    }
  }
}

/// A predictor that counts the tokens it is given to read.
class Counting final : public Predictor {
 public:
  explicit Counting(std::shared_ptr<const Predictor> of) : of_(std::move(of)) {}
  std::int64_t vocabulary() const override { return of_->vocabulary(); }
  bool predicts_start() const override { return of_->predicts_start(); }
  std::size_t count() const { return count_; }

 private:
  void add(std::span<const Ids> ids) const {
    for (const Ids& each : ids) count_ += each.size();
  }
  void do_feed(std::span<PredictorState* const> states, std::span<const Ids> ids) const override {
    add(ids);
    of_->feed(states, ids);
  }
  std::vector<double> do_nll(std::span<PredictorState* const> states, std::span<const Ids> ids,
                             Reading reading) const override {
    add(ids);
    return of_->nll(states, ids, reading);
  }
  Tensor do_log_probabilities(std::span<PredictorState* const> states) const override {
    return of_->log_probabilities(states);
  }

  std::shared_ptr<const Predictor> of_;
  mutable std::size_t count_ = 0;
};

// As a keyboard asks: the text grows, is cut back, and grows otherwise.
TEST_F(NextWordsOfChars, OfATextThatGrowsOnlyTheNewIsRead) {
  const auto counting = std::make_shared<Counting>(predictor_);
  const NextText next(counting, *tokenizer_);
  ReadText read;
  NextOptions options;
  options.top = 3;
  for (const std::string text : {"ab c ba a", "ab c ba a ab", "ab c ba a ab ", "ab c ba a ab c\n",
                                 "ab c", "", "b", "ba ba ba ba ba ba ba ba ba ba ba ba ba"}) {
    const std::size_t before = counting->count();
    const NextWords alone = next.words(text, options);
    const std::size_t whole = counting->count() - before;
    const std::size_t known = read.size();
    const NextWords found = next.words(text, options, &read);
    const std::size_t rest = counting->count() - before - whole;
    const std::vector<TokenId> ids = tokenizer_->encode_prompt(text);
    EXPECT_LE(read.size(), ids.size() + 1);
    // What was read before is a beginning of all but two of these texts.
    if (text == "ab c" || text == "ba ba ba ba ba ba ba ba ba ba ba ba ba" || text.empty()) {
      EXPECT_LE(rest, whole) << text;
    } else {
      EXPECT_EQ(rest, whole - known) << text;
    }
    ASSERT_EQ(found.words.size(), alone.words.size());
    for (std::size_t i = 0; i < found.words.size(); ++i) {
      EXPECT_EQ(found.words[i].text, alone.words[i].text) << text;
      EXPECT_NEAR(found.words[i].probability, alone.words[i].probability, 1e-6);
    }
  }
}

TEST_F(NextWordsOfChars, SearchesThatEndEarlySayIt) {
  NextOptions options;
  options.most_steps = 2;
  EXPECT_FALSE(next_.words("ab", options).exact);
}

TEST_F(NextWordsOfChars, BadRequestsAreRefused) {
  NextOptions options;
  options.top = 0;
  EXPECT_THROW(next_.words("ab", options), UsageError);
  options = {};
  options.starting_with = "a b";
  EXPECT_THROW(next_.words("ab", options), UsageError);
  EXPECT_THROW(next_.words("\xff", {}), Error);
  const auto other = testing_support::tokenizer("char", "xyz");
  EXPECT_THROW(NextText(predictor_, *other), Error);
}

TEST_F(NextWordsOfChars, Tokens) {
  const std::vector<Continuation> tokens = next_.tokens("ab", 100);
  ASSERT_EQ(tokens.size(), static_cast<std::size_t>(tokenizer_->size()));
  double sum = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    sum += tokens[i].probability;
    if (i > 0) {
      EXPECT_LE(tokens[i].probability, tokens[i - 1].probability);
    }
  }
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST_F(NextWordsOfChars, CandidatesAreContinuations) {
  const std::vector<std::string> given = {"a", "ab", "b a", "ab"};
  const auto rated = next_.candidates("c", given, false);
  double sum = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(rated[i].text, given[i]);
    const double expected = std::exp(
        log_probability(*predictor_, *tokenizer_, "c", tokenizer_->encode_prompt(" " + given[i])));
    EXPECT_NEAR(rated[i].probability, expected, 1e-6);
    sum += expected;
  }
  const auto normalized = next_.candidates("c", given, true);
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_NEAR(normalized[i].probability, rated[i].probability / sum, 1e-5);
  }
}

// Subwords: a word counts as the tokenizer cuts it, with what begins another one or ends the line
// behind it.
TEST(NextWordsOfSubwords, AreAsTheTokenizerCutsThem) {
  TokenizerOptions options;
  options.kind = "bpe";
  options.vocabulary = 272;
  const auto file =
      std::filesystem::temp_directory_path() / ("sluice_next_text_" + std::to_string(getpid()));
  std::string text;
  for (int i = 0; i < 50; ++i) text += "the cat sat on the mat\nthat hat\n";
  write_file(file, text);
  const auto tokenizer = train_tokenizer(options, {file});
  std::filesystem::remove(file);
  const auto predictor =
      make_predictor(FrozenModel::freeze(*model("[(12,3)]*2", tokenizer->size())));
  const NextText next(predictor, *tokenizer);
  NextOptions asked;
  asked.top = 3;
  asked.starting_with = "th";
  const NextWords found = next.words("the cat", asked);
  ASSERT_EQ(found.words.size(), 3U);
  for (const Continuation& word : found.words) {
    EXPECT_TRUE(word.text.starts_with("th")) << word.text;
    std::vector<TokenId> ids = tokenizer->encode_prompt("the cat");
    ids.insert(ids.begin(), tokenizer->eos());
    PredictorState state;
    predictor->feed(state, ids);
    const Tensor first = predictor->log_probabilities(state);
    const auto over = [&](const Tensor& logs) {
      double sum = 0;
      for (TokenId id = 0; id < tokenizer->size(); ++id) {
        const std::string piece = tokenizer->text_after(0, id);
        const bool blank = piece.find_first_of(" \t\v\f\r") == 0;
        if (id == tokenizer->eos() || blank)
          sum += std::exp(static_cast<double>(logs.data<float>()[id]));
      }
      return sum;
    };
    const double begins = over(first);
    double log = 0;
    for (const double nll : predictor->nll(state, tokenizer->encode_prompt(" " + word.text))) {
      log -= nll;
    }
    EXPECT_NEAR(word.probability,
                std::exp(log) / begins * over(predictor->log_probabilities(state)), 1e-6)
        << word.text;
  }
}

TEST(NextWordsOfWords, AreTokens) {
  const auto tokenizer = testing_support::tokenizer("word", "ant bee bat\n");
  const auto predictor =
      make_predictor(FrozenModel::freeze(*model("[(12,3)]*2", tokenizer->size())));
  const NextText next(predictor, *tokenizer);
  NextOptions options;
  options.starting_with = "b";
  const NextWords found = next.words("ant", options);
  ASSERT_EQ(found.words.size(), 2U);
  EXPECT_TRUE(found.words[0].text.starts_with("b"));
  for (const Continuation& word : found.words) {
    EXPECT_NEAR(std::log(word.probability),
                log_probability(*predictor, *tokenizer, "ant", tokenizer->encode_prompt(word.text)),
                1e-4);
  }
  options.starting_with = "";
  EXPECT_EQ(next.words("", options).words.size(), 4U) << "<unk> is no word, the line's end is";
}

}  // namespace
}  // namespace sluice
