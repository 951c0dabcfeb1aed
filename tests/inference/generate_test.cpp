#include "sluice/inference/generate.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "sluice/inference/text_builder.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;

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
  options.stops = {"\n"};
  const GenerateResult cut = run("a", options);
  EXPECT_EQ(cut.reason, StopReason::stop_text);
  EXPECT_EQ(cut.text, whole.text.substr(0, newline));
  EXPECT_LT(cut.ids.size(), whole.ids.size());
  // A stop text across several tokens.
  options.stops = {"never such words", whole.text.substr(7, 5)};
  const GenerateResult across = run("a", options);
  EXPECT_EQ(across.text, whole.text.substr(0, whole.text.find(options.stops[1])));
  options.stops = {"never such words", ""};
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
  EXPECT_EQ(result.unknown_words, (std::vector<std::string>{"zzz", "yyy"}));
  EXPECT_TRUE(run("", options).unknown_words.empty());

  const auto characters = testing_support::tokenizer("char", "abc é\n");
  const auto lm = model("[(12,3)]", characters->size());
  EXPECT_EQ(generate(*FrozenModel::freeze(*lm), *characters, "ab\xC3\xBCz\nz \xC3\xA9", options)
                .unknown_words,
            (std::vector<std::string>{"\xC3\xBC", "z"}));
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

// Bytes that are no characters never come out, whatever the pieces.
TEST_F(Generate, TextIsValidUtf8) {
  const auto bytes = testing_support::tokenizer("byte", "abc\n");
  const auto lm = FrozenModel::freeze(model("[(12,3)]", bytes->size()));
  GenerateOptions options;
  options.tokens = 300;
  std::string emitted;
  const GenerateResult result = generate(*lm, *bytes, "a", options, [&](std::string_view text) {
    EXPECT_EQ(valid_text(text), text);
    emitted += text;
    return true;
  });
  EXPECT_EQ(emitted, result.text);
  EXPECT_NE(emitted.find("\xEF\xBF\xBD"), std::string::npos);
  EXPECT_EQ(emitted, valid_text(bytes->decode(result.ids)));
}

TEST_F(Generate, ManyAreWhatEachAloneIs) {
  const std::vector<std::string> prompts = {"a", "", "b c ", "\xFF", "a zzz", "g\nh"};
  GenerateManyOptions options;
  options.each.tokens = 25;
  options.each.stops = {"c d", "\n"};
  options.samples = 3;
  options.echo = true;
  options.engine.sessions = 4;
  std::vector<Generation> all;
  generate_many(frozen_, *tokenizer_, prompts, options,
                [&](const Generation& made) { all.push_back(made); });
  ASSERT_EQ(all.size(), 18U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Generation& made = all[i];
    EXPECT_EQ(made.prompt, i / 3);
    EXPECT_EQ(made.sample, static_cast<std::int64_t>(i % 3));
    if (made.prompt == 3) {
      EXPECT_NE(made.error.find("prompt 4"), std::string::npos) << made.error;
      continue;
    }
    EXPECT_EQ(made.error, "");
    GenerateOptions alone = options.each;
    alone.sampling.seed += i % 3;
    const GenerateResult expected = run(prompts[made.prompt], alone);
    EXPECT_EQ(made.text, expected.text);
    EXPECT_EQ(made.reason, expected.reason);
    EXPECT_EQ(made.stop.empty(), made.reason == StopReason::tokens);
    EXPECT_EQ(made.unknown_words, expected.unknown_words);
    ASSERT_EQ(made.tokens.size(), expected.ids.size());
    // Their log-probabilities, and those of the prompt, by the plain way.
    std::vector<TokenId> ids = tokenizer_->encode_prompt(prompts[made.prompt]);
    ASSERT_EQ(made.prompt_tokens.size(), ids.size());
    ids.insert(ids.end(), expected.ids.begin(), expected.ids.end());
    std::vector<TokenId> inputs = ids;
    inputs.insert(inputs.begin(), tokenizer_->eos());
    inputs.pop_back();
    const auto plain = testing_support::plain_log_probabilities(*model_, inputs, ids);
    double sum = 0;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      const std::size_t own = made.prompt_tokens.size();
      const EngineToken& token = t < own ? made.prompt_tokens[t] : made.tokens[t - own];
      EXPECT_EQ(token.id, ids[t]);
      EXPECT_NEAR(token.log_probability, plain[t], 1e-4);
      if (t >= own) sum += plain[t];
    }
    EXPECT_NEAR(made.log_probability, sum, 1e-3);
  }
}

TEST_F(Generate, BeamsOfManyPrompts) {
  const std::vector<std::string> prompts = {"a", "\xFF", "b c"};
  GenerateManyOptions options;
  options.each.tokens = 6;
  options.each.stops = {"\n"};
  options.samples = 2;
  options.beam = 4;
  options.echo = true;
  std::vector<Generation> all;
  generate_many(frozen_, *tokenizer_, prompts, options,
                [&](const Generation& made) { all.push_back(made); });
  ASSERT_EQ(all.size(), 5U);
  EXPECT_NE(all[2].error, "");
  EXPECT_EQ(all[4].prompt_tokens.size(), 2U);
  for (const std::size_t i : {0U, 3U}) {
    EXPECT_GE(all[i].score, all[i + 1].score);
    EXPECT_NEAR(all[i].score * static_cast<double>(all[i].tokens.size()), all[i].log_probability,
                1e-4);
    EXPECT_EQ(all[i].text.find('\n'), std::string::npos);
  }
  // The widest beam of one is the greedy text.
  options.beam = options.samples = 1;
  all.clear();
  generate_many(frozen_, *tokenizer_, prompts, options,
                [&](const Generation& made) { all.push_back(made); });
  GenerateOptions greedy = options.each;
  greedy.sampling.temperature = 0;
  EXPECT_EQ(all[0].text, run("a", greedy).text);
  for (const auto change : std::initializer_list<void (*)(GenerateManyOptions&)>{
           [](GenerateManyOptions& o) { o.samples = 2; },
           [](GenerateManyOptions& o) { o.samples = 0; },
           [](GenerateManyOptions& o) { o.beam = -1; },
           [](GenerateManyOptions& o) { o.each.tokens = -1; },
           [](GenerateManyOptions& o) { o.engine.sessions = 0; }}) {
    GenerateManyOptions bad = options;
    change(bad);
    EXPECT_THROW(generate_many(frozen_, *tokenizer_, prompts, bad, [](const Generation&) {}),
                 UsageError);
  }
}

}  // namespace
}  // namespace sluice
