#include "sluice/inference/generate.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;

/// What comes out of a StopFilter for `pieces`, each emission apart.
std::vector<std::string> filtered(const std::string& stop, const std::vector<std::string>& pieces) {
  std::vector<std::string> out;
  StopFilter filter(stop, [&](std::string_view text) {
    out.emplace_back(text);
    return true;
  });
  for (const std::string& piece : pieces) {
    if (!filter.write(piece)) break;
  }
  filter.finish();
  return out;
}
using Pieces = std::vector<std::string>;

TEST(StopFilter, PassesTextOn) {
  EXPECT_EQ(filtered("", {"ab", "", "c"}), (Pieces{"ab", "c"}));
  EXPECT_EQ(filtered("xyz", {"ab", "c"}), (Pieces{"ab", "c"}));
}

TEST(StopFilter, EndsBeforeTheStopText) {
  EXPECT_EQ(filtered("stop", {"a stop b"}), (Pieces{"a "}));
  EXPECT_EQ(filtered("stop", {"stop"}), Pieces{});
  EXPECT_EQ(filtered("stop", {"a s", "t", "op", "b"}), (Pieces{"a "}));
}

TEST(StopFilter, HoldsBackWhatMayBeTheStopText) {
  EXPECT_EQ(filtered("stop", {"a st", "ay"}), (Pieces{"a ", "stay"}));
  EXPECT_EQ(filtered("aab", {"aa", "a", "b"}), (Pieces{"a"}));
  EXPECT_EQ(filtered("aab", {"aa"}), (Pieces{"aa"}));
}

TEST(StopFilter, EmitsWholeCharacters) {
  EXPECT_EQ(filtered("", {"a\xC3",
                          "\xA9"
                          "b"}),
            (Pieces{"a",
                    "\xC3\xA9"
                    "b"}));
  EXPECT_EQ(filtered("", {"\xF0\x9F", "\x98", "\x80"}), (Pieces{"\xF0\x9F\x98\x80"}));
  EXPECT_EQ(filtered("", {"\xF0"}), (Pieces{"\xF0"}));
  EXPECT_EQ(filtered("", {"\x80\x80", "\xFF"}), (Pieces{"\x80\x80", "\xFF"}));
  EXPECT_EQ(filtered("\xC3\xA9", {"a\xC3",
                                  "\xA9"
                                  "b"}),
            (Pieces{"a"}));
}

TEST(StopFilter, CanBeCancelled) {
  int calls = 0;
  StopFilter filter("", [&](std::string_view) { return ++calls < 2; });
  EXPECT_TRUE(filter.write("a"));
  EXPECT_FALSE(filter.write("b"));
  EXPECT_TRUE(filter.cancelled());
  EXPECT_FALSE(filter.write("c"));
  filter.finish();
  EXPECT_EQ(calls, 2);
}

class Generate : public testing::Test {
 protected:
  Generate()
      : tokenizer_(testing_support::tokenizer("word", "a b c d e f\ng h <unk>\n")),
        model_(model("[(12,3)]*2", tokenizer_->size(), {4})),
        frozen_(FrozenModel::freeze(*model_)) {}

  GenerateResult run(const std::string& prompt, const GenerateOptions& options) const {
    return generate(*frozen_, *tokenizer_, prompt, options);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<LanguageModel> model_;
  std::shared_ptr<const FrozenModel> frozen_;
};

// Each token is the argmax of a forward pass over everything before it.
TEST_F(Generate, GreedyEqualsArgmaxOfTheBatchForward) {
  GenerateOptions options;
  options.tokens = 40;
  options.sampling.temperature = 0;
  for (const std::string prompt : {"", "a b", "g\nc d e f a b c", "a\n"}) {
    const GenerateResult result = run(prompt, options);
    ASSERT_EQ(result.ids.size(), 40U);
    EXPECT_EQ(result.reason, StopReason::tokens);
    std::vector<TokenId> ids = tokenizer_->encode_prompt(prompt);
    EXPECT_EQ(result.prompt_tokens, static_cast<std::int64_t>(ids.size()));
    ids.insert(ids.begin(), tokenizer_->eos());
    const std::size_t start = ids.size();
    ids.insert(ids.end(), result.ids.begin(), result.ids.end());
    const NoGrad no_grad;
    ModelState state;
    const Tensor all = model_->freeze_tokens({})->log_probabilities(
        model_->hidden(ids, 1, static_cast<std::int64_t>(ids.size()), state, {}).value());
    const std::int64_t v = all.dim(1);
    for (std::size_t i = 0; i < result.ids.size(); ++i) {
      const float* row = all.data<float>() + static_cast<std::int64_t>(start + i - 1) * v;
      EXPECT_EQ(result.ids[i], std::max_element(row, row + v) - row) << prompt << " token " << i;
    }
  }
}

TEST_F(Generate, EmitsTheText) {
  GenerateOptions options;
  options.tokens = 30;
  std::string emitted;
  const GenerateResult result =
      generate(*frozen_, *tokenizer_, "", options, [&](std::string_view text) {
        emitted += text;
        return true;
      });
  EXPECT_EQ(emitted, result.text);
  EXPECT_EQ(result.text, tokenizer_->decode(result.ids));
  EXPECT_EQ(run("", options).ids, result.ids);
  options.sampling.seed = 2;
  EXPECT_NE(run("", options).ids, result.ids);
}

TEST_F(Generate, ABlankThatEndsThePromptIsNotRepeated) {
  GenerateOptions options;
  options.tokens = 8;
  const std::string plain = run("a", options).text;
  const std::string blank = run("a ", options).text;
  ASSERT_FALSE(plain.empty());
  EXPECT_EQ(blank, plain[0] == ' ' ? plain.substr(1) : plain);
}

TEST_F(Generate, StopsBeforeTheStopText) {
  GenerateOptions options;
  options.tokens = 60;
  const GenerateResult whole = run("a", options);
  const std::size_t newline = whole.text.find('\n');
  ASSERT_NE(newline, std::string::npos);
  options.stop = "\n";
  const GenerateResult cut = run("a", options);
  EXPECT_EQ(cut.reason, StopReason::stop_text);
  EXPECT_EQ(cut.text, whole.text.substr(0, newline));
  EXPECT_LT(cut.ids.size(), whole.ids.size());
  // A stop text across several tokens.
  options.stop = whole.text.substr(7, 5);
  const GenerateResult across = run("a", options);
  EXPECT_EQ(across.text, whole.text.substr(0, whole.text.find(options.stop)));
  options.stop = "never such words";
  EXPECT_EQ(run("a", options).text, whole.text);
}

TEST_F(Generate, CallerMayCancel) {
  GenerateOptions options;
  options.tokens = 50;
  int pieces = 0;
  const GenerateResult result =
      generate(*frozen_, *tokenizer_, "a", options, [&](std::string_view) { return ++pieces < 3; });
  EXPECT_EQ(result.reason, StopReason::cancelled);
  EXPECT_EQ(pieces, 3);
  EXPECT_EQ(result.ids.size(), 3U);
}

TEST_F(Generate, ReportsUnknownWords) {
  GenerateOptions options;
  options.tokens = 1;
  const GenerateResult result = run("a zzz b\tyyy\nzzz <unk> c", options);
  EXPECT_EQ(result.unknown_words, (Pieces{"zzz", "yyy"}));
  EXPECT_TRUE(run("", options).unknown_words.empty());

  const auto characters = testing_support::tokenizer("char", "abc é\n");
  const auto lm = model("[(12,3)]", characters->size());
  EXPECT_EQ(generate(*FrozenModel::freeze(*lm), *characters, "ab\xC3\xBCz\nz \xC3\xA9", options)
                .unknown_words,
            (Pieces{"\xC3\xBC", "z"}));
  const auto bytes = testing_support::tokenizer("byte", "abc\n");
  const auto byte_model = model("[(12,3)]", bytes->size());
  EXPECT_TRUE(
      generate(*FrozenModel::freeze(*byte_model), *bytes, "\xFFz", options).unknown_words.empty());
}

TEST_F(Generate, BadRequestsAreRefused) {
  GenerateOptions options;
  options.tokens = -1;
  EXPECT_THROW(run("a", options), UsageError);
  options.tokens = 0;
  EXPECT_EQ(run("a", options).text, "");
  options.sampling.top_p = 0;
  EXPECT_THROW(run("a", options), UsageError);
  options.sampling.top_p = 1;
  EXPECT_THROW(run("\xFF", options), Error);
  const auto other = model("[(12,3)]", tokenizer_->size() + 1);
  EXPECT_THROW(generate(*FrozenModel::freeze(*other), *tokenizer_, "a", options), Error);
}

}  // namespace
}  // namespace sluice
