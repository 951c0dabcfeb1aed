#include "sluice/inference/evaluate.hpp"

#include <gtest/gtest.h>

#include <numbers>
#include <numeric>

#include "sluice/base/error.hpp"
#include "sluice/inference/score.hpp"
#include "support.hpp"

namespace sluice {
namespace {

using testing_support::model;
using testing_support::plain_log_probabilities;
using testing_support::random_ids;

constexpr std::int64_t vocabulary = 40;
constexpr std::int32_t eos = 3;

double plain_nll(LanguageModel& lm, const std::vector<std::int32_t>& tokens) {
  std::vector<std::int32_t> inputs = {eos};
  inputs.insert(inputs.end(), tokens.begin(), tokens.end() - 1);
  const auto logs = plain_log_probabilities(lm, inputs, tokens);
  return -std::accumulate(logs.begin(), logs.end(), 0.0);
}

EvalResult evaluate_tokens(LanguageModel& lm, const std::vector<std::int32_t>& tokens,
                           std::int64_t segments, std::int64_t chunk) {
  EvalOptions options;
  options.segments = segments;
  options.chunk = chunk;
  return evaluate(*FrozenModel::freeze(lm), TokenShards(tokens, eos, vocabulary), options);
}

// Every token with its full receptive field, however the text is cut. float32 sums of about 4 nats
// a token agree to a few units in the last place: 1e-6 relative.
TEST(Evaluate, DoesNotDependOnSegmentsOrChunks) {
  for (const char* layers :
       {"[(12,4)]*3", "[(16,5)] + [(6,1,0),(6,5,0),(16,1,3)]*2", "[(8,1)]", "[(8,1),(10,2,2)]"}) {
    const auto lm = model(layers, vocabulary, {15});
    for (const std::size_t count : {1U, 2U, 9U, 10U, 200U}) {
      const auto tokens = random_ids(count, vocabulary, count);
      const double expected = plain_nll(*lm, tokens);
      for (const std::int64_t segments : {0, 1, 3, 7, 50, 1000}) {
        for (const std::int64_t chunk : {0, 2, 5, 64}) {
          const EvalResult result = evaluate_tokens(*lm, tokens, segments, chunk);
          EXPECT_EQ(result.tokens, static_cast<std::int64_t>(count));
          EXPECT_NEAR(result.nll, expected, 1e-6 * expected + 1e-5)
              << layers << " tokens " << count << " segments " << segments << " chunk " << chunk;
        }
      }
    }
  }
}

// Each document as if it were alone, however many are read side by side, and whatever part is asked
// for.
TEST(Evaluate, DocumentsAreReadAlone) {
  const std::vector<std::int64_t> lengths = {1, 30, 2, 200, 77, 1, 5};
  const auto lm = model("[(12,4)]*3", vocabulary, {15});
  const auto frozen = FrozenModel::freeze(*lm);
  std::vector<std::int64_t> ends;
  std::vector<std::int32_t> all;
  std::vector<double> expected;
  for (const std::int64_t length : lengths) {
    const auto tokens = random_ids(static_cast<std::size_t>(length), vocabulary, ends.size() + 1);
    all.insert(all.end(), tokens.begin(), tokens.end());
    ends.push_back(static_cast<std::int64_t>(all.size()));
    expected.push_back(plain_nll(*lm, tokens));
  }
  const double sum = std::accumulate(expected.begin(), expected.end(), 0.0);
  const TokenShards corpus =
      TokenShards(all, eos, vocabulary).in_documents(std::make_shared<const DocumentEnds>(ends));
  for (const std::int64_t segments : {0, 1, 3}) {
    for (const std::int64_t chunk : {0, 1, 7}) {
      EvalOptions options;
      options.segments = segments;
      options.chunk = chunk;
      const EvalResult result = evaluate(*frozen, corpus, options);
      EXPECT_EQ(result.tokens, static_cast<std::int64_t>(all.size()));
      EXPECT_NEAR(result.nll, sum, 1e-6 * sum + 1e-5) << segments << " " << chunk;
      double parts = 0;
      for (const std::int64_t at : {0, 20, 100, 233, 234}) {
        options.begin = at;
        options.end = at == 0 ? 20 : at == 20 ? 100 : at == 100 ? 233 : at == 233 ? 234 : 0;
        parts += evaluate(*frozen, corpus, options).nll;
      }
      EXPECT_NEAR(parts, sum, 1e-6 * sum + 1e-5) << segments << " " << chunk;
      options.begin = options.end = 0;
      EXPECT_NEAR(evaluate(*make_predictor(frozen), corpus, options).nll, sum, 1e-3);
    }
  }
  EXPECT_GT(std::abs(evaluate(*frozen, TokenShards(all, eos, vocabulary)).nll - sum), 0.1);
}

TEST(Evaluate, LongDocumentsAreCutWhereThatChangesNothing) {
  const auto lm = model("[(12,4)]*3", vocabulary, {15});
  const auto tokens = random_ids(5000, vocabulary, 3);
  const TokenShards corpus = TokenShards(tokens, eos, vocabulary)
                                 .in_documents(std::make_shared<const DocumentEnds>(
                                     std::vector<std::int64_t>{4900, 5000}));
  const std::span<const std::int32_t> all(tokens);
  const double expected = plain_nll(*lm, {all.begin(), all.begin() + 4900}) +
                          plain_nll(*lm, {all.begin() + 4900, all.end()});
  EXPECT_NEAR(evaluate(*FrozenModel::freeze(*lm), corpus).nll, expected, 1e-6 * expected);
}

/// Does the last piece first.
class Backwards final : public PieceWork {
 public:
  bool leads() const override { return true; }
  int processes() const override { return 2; }
  void stream(const Read&, const Work&, const Write&) override {}
  std::vector<std::string> collect(std::string_view) override { return {}; }
  std::string share(const std::function<std::string()>&) override { return {}; }
  void check_same(const Facts&) override {}
  std::vector<std::string> map(std::int64_t n,
                               const std::function<std::string(std::int64_t)>& work) override {
    pieces = n;
    std::vector<std::string> results(static_cast<std::size_t>(n));
    for (std::int64_t i = n - 1; i >= 0; --i) results[static_cast<std::size_t>(i)] = work(i);
    return results;
  }
  std::int64_t pieces = 0;
};

// Whoever does which, and when.
TEST(Evaluate, PartsMakeTheWhole) {
  const auto lm = model("[(12,4)]*3", vocabulary, {15});
  const auto frozen = FrozenModel::freeze(*lm);
  for (const std::size_t count : {200U, 9000U}) {
    const TokenShards text(random_ids(count, vocabulary, count), eos, vocabulary);
    EvalOptions options;
    options.unknown = 5;
    std::int64_t last = 0;
    options.progress = [&](std::int64_t done, std::int64_t all) {
      EXPECT_EQ(all, text.size());
      EXPECT_LE(done, all);
      last = done;
    };
    const EvalResult whole = evaluate(*frozen, text, options);
    OwnWork own;
    Backwards backwards;
    const EvalResult parts = evaluate_parts(*frozen, text, options, own);
    EXPECT_EQ(last, text.size());
    const EvalResult others = evaluate_parts(*frozen, text, options, backwards);
    EXPECT_EQ(backwards.pieces, count == 200 ? 1 : 3);
    EXPECT_EQ(others.nll, parts.nll);
    EXPECT_EQ(others.known_perplexity, parts.known_perplexity);
    EXPECT_EQ(parts.tokens, whole.tokens);
    EXPECT_NEAR(parts.nll, whole.nll, 1e-6 * whole.nll);
    EXPECT_NEAR(parts.known_perplexity, whole.known_perplexity, 1e-6 * whole.known_perplexity);
  }
}

TEST(Evaluate, OfAPredictorIsThatOfItsModel) {
  const auto lm = model("[(12,4)]*3", vocabulary, {15});
  const auto frozen = FrozenModel::freeze(*lm);
  const auto tokens = random_ids(300, vocabulary);
  const TokenShards corpus(tokens, eos, vocabulary);
  for (const std::int64_t chunk : {0, 7}) {
    EvalOptions options;
    options.chunk = chunk;
    options.unknown = tokens[5];
    const EvalResult result = evaluate(*make_predictor(frozen), corpus, options);
    EXPECT_EQ(result.tokens, 300);
    EXPECT_NEAR(result.nll, plain_nll(*lm, tokens), 1e-3);
    const EvalResult other = evaluate(*frozen, corpus, options);
    EXPECT_NEAR(result.known_perplexity, other.known_perplexity, 1e-3);
    EXPECT_NE(result.known_perplexity, result.perplexity);
  }
  EXPECT_THROW(evaluate(*make_predictor(frozen), TokenShards(tokens, eos, vocabulary + 1)), Error);
}

TEST(Evaluate, FieldsAgree) {
  const auto tokenizer = testing_support::tokenizer("word", "a b c\nd é\n");
  const auto lm = model("[(12,3)]*2", tokenizer->size());
  const auto directory =
      std::filesystem::temp_directory_path() / ("sluice_evaluate_" + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  write_file(directory / "text", "a é zzz\nb\n");
  const TokenShards corpus = tokenize_corpus({directory / "text"}, *tokenizer, directory / "cache");
  std::int64_t last = 0;
  EvalOptions options;
  options.progress = [&](std::int64_t done, std::int64_t all) {
    EXPECT_GE(done, last);
    EXPECT_EQ(all, 6);
    last = done;
  };
  const EvalResult result = evaluate(*FrozenModel::freeze(*lm), corpus, options);
  std::filesystem::remove_all(directory);
  EXPECT_EQ(last, 6);
  EXPECT_EQ(result.tokens, 6);
  EXPECT_EQ(result.oov, 1);
  EXPECT_EQ(result.characters, 10);
  EXPECT_EQ(result.vocabulary, tokenizer->size());
  EXPECT_DOUBLE_EQ(result.perplexity, std::exp(result.nll / 6));
  EXPECT_DOUBLE_EQ(result.bits_per_character, result.nll / std::numbers::ln2 / 10);
  EXPECT_GT(result.tokens_per_second, 0);

  // Lines are scored on their own: only the first line's score is part of the text's.
  const std::vector<std::string> lines = {"a é zzz"};
  const LineScore line = score_lines(*FrozenModel::freeze(*lm), *tokenizer, lines)[0];
  const EvalResult first = evaluate(
      *FrozenModel::freeze(*lm),
      TokenShards(tokenizer->encode_text("a é zzz\n"), tokenizer->eos(), tokenizer->size()));
  EXPECT_NEAR(-line.log_probability, first.nll, 1e-5);
  EXPECT_EQ(line.tokens, first.tokens);
}

TEST(Evaluate, BadRequestsAreRefused) {
  const auto lm = model("[(12,3)]", vocabulary);
  EXPECT_THROW(evaluate_tokens(*lm, {1}, -1, 0), UsageError);
  EXPECT_THROW(evaluate_tokens(*lm, {1}, 0, -1), UsageError);
  EXPECT_THROW(evaluate_tokens(*lm, {}, 0, 0), Error);
  EXPECT_THROW(evaluate(*FrozenModel::freeze(*lm), TokenShards({1}, eos, vocabulary + 1)), Error);
}

// The trainer goes on with the model after validating: its weights must not stay frozen.
TEST(Evaluate, LeavesTheModelUnfrozen) {
  const auto lm = model("[(12,3)]", vocabulary);
  const auto tokens = random_ids(30, vocabulary);
  const double before = evaluate_tokens(*lm, tokens, 0, 0).nll;
  for (const Parameter& parameter : lm->parameters()) {
    const Tensor& value = parameter.variable.value();
    for (std::int64_t i = 0; i < value.elements(); ++i) value.data<float>()[i] += 0.1F;
  }
  EXPECT_NEAR(plain_nll(*lm, tokens), evaluate_tokens(*lm, tokens, 0, 0).nll, 1e-3);
  EXPECT_NE(before, evaluate_tokens(*lm, tokens, 0, 0).nll);
}

}  // namespace
}  // namespace sluice
