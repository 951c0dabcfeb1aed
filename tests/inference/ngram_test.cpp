#include "sluice/inference/ngram.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <sstream>

#include "sluice/base/error.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/inference/score.hpp"
#include "support.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

const fs::path golden = fs::path(SLUICE_SOURCE_DIR) / "tests/golden/ngram";

class Ngram : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / fmt::format("sluice_ngram_{}", getpid());
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  fs::path write(const std::string& name, const std::string& text) const {
    write_file(directory_ / name, text);
    return directory_ / name;
  }
  std::shared_ptr<const NgramModel> read(const std::string& text) const {
    return NgramModel::read_arpa(write("a.arpa", text));
  }
  /// What is said of an ARPA file.
  std::string refusal(const std::string& text) const {
    try {
      read(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  fs::path directory_;
};

const std::string small =
    "\\data\\\nngram 1=4\nngram 2=3\n\n\\1-grams:\n-99\t<s>\t-0.5\n-1\t</s>\n-0.5\ta\t-0.25\n"
    "-0.6\tb\n\n\\2-grams:\n-0.2\t<s> a\n-0.3\ta b\n-0.4\ta </s>\n\n\\end\\\n";

// Every line's sum and both perplexities, to the six digits that `query` and we both have. The
// fixture has n-grams that lack their shorter ends, unknown words and empty lines.
TEST_F(Ngram, ScoresAreKenlms) {
  const auto model = NgramModel::read_arpa(golden / "model.arpa");
  EXPECT_EQ(model->order(), 5);
  const auto tokenizer = std::shared_ptr<const Tokenizer>(make_ngram_tokenizer(*model));
  LineScorer scorer(make_predictor(model, *tokenizer), *tokenizer, {});
  std::istringstream text(read_file(golden / "text.txt")), kenlm(read_file(golden / "kenlm.txt"));
  double sum = 0, known = 0;
  std::int64_t tokens = 0, unknown = 0;
  std::string line, expected;
  while (std::getline(text, line)) {
    ScoreOptions options;
    const TextToScore one{line};
    const LineScore score = scorer.score({&one, 1})[0];
    ASSERT_TRUE(std::getline(kenlm, expected));
    double total = 0;
    int oov = 0;
    ASSERT_EQ(std::sscanf(expected.c_str(), "Total: %lf OOV: %d", &total, &oov), 2) << expected;
    EXPECT_NEAR(score.log_probability / std::numbers::ln10, total, 1e-6 * std::abs(total) + 2e-6)
        << line;
    EXPECT_EQ(score.oov, oov) << line;
    sum += score.log_probability;
    tokens += score.tokens;
    unknown += score.oov;
    known += std::log(score.known_perplexity) * static_cast<double>(score.tokens - score.oov);
  }
  const auto next = [&](const char* name) {
    std::getline(kenlm, expected);
    EXPECT_TRUE(expected.starts_with(name)) << expected;
    return std::stod(expected.substr(expected.find('\t') + 1));
  };
  const double including = next("Perplexity including OOVs:");
  EXPECT_NEAR(std::exp(-sum / static_cast<double>(tokens)), including, 1e-6 * including);
  const double excluding = next("Perplexity excluding OOVs:");
  EXPECT_NEAR(std::exp(known / static_cast<double>(tokens - unknown)), excluding, 1e-6 * excluding);
  EXPECT_EQ(static_cast<double>(unknown), next("OOVs:"));
  EXPECT_EQ(static_cast<double>(tokens), next("Tokens:"));
}

// In every state that a text comes through, asking for all tokens at once and for each alone agree.
// What pruning took away is missing from the sum; 2-grams were not pruned.
TEST_F(Ngram, DistributionsAgreeWithTokens) {
  const auto model = NgramModel::read_arpa(golden / "model.arpa");
  const auto tokenizer = make_ngram_tokenizer(*model);
  const auto predictor = make_predictor(model, *tokenizer);
  std::vector<std::int32_t> ids = tokenizer->encode_text(read_file(golden / "text.txt"));
  ids.resize(60);
  PredictorState state;
  bool behind_end = true;
  for (const std::int32_t id : ids) {
    const Tensor logs = predictor->log_probabilities(state);
    double sum = 0;
    for (std::int32_t other = 0; other < tokenizer->size(); ++other) {
      PredictorState copy = state;
      const double nll = predictor->nll(copy, {&other, 1})[0];
      EXPECT_NEAR(logs.data<float>()[other], -nll, 1e-4);
      sum += std::exp(-nll);
    }
    EXPECT_LE(sum, 1 + 1e-4);
    if (behind_end) {
      EXPECT_NEAR(sum, 1, 1e-4);
    }
    behind_end = id == tokenizer->eos();
    predictor->feed(state, {&id, 1});
  }
}

TEST_F(Ngram, ArithmeticOfBackingOff) {
  const auto model = read(small);
  ASSERT_EQ(model->words(), 5U) << "<unk> was added";
  const auto word = [&](std::string_view name) {
    for (NgramModel::Word w = 0; w < model->words(); ++w) {
      if (model->word(w) == name) return w;
    }
    return model->unknown_word();
  };
  const auto p = [&](NgramModel::State state, const char* name) {
    return model->step(state, word(name)).log10;
  };
  const auto start = model->begin_state();
  EXPECT_FLOAT_EQ(p(start, "a"), -0.2F);
  EXPECT_FLOAT_EQ(p(start, "b"), -0.5F + -0.6F);
  EXPECT_FLOAT_EQ(p(model->null_state(), "b"), -0.6F);
  EXPECT_FLOAT_EQ(p(start, "zzz"), -0.5F + -100);
  const auto after_a = model->step(start, word("a")).next;
  EXPECT_FLOAT_EQ(p(after_a, "b"), -0.3F);
  EXPECT_FLOAT_EQ(p(after_a, "a"), -0.25F + -0.5F);
  EXPECT_EQ(model->step(after_a, word("b")).next, model->null_state());
}

TEST_F(Ngram, MappedFilesAnswerAlikeAndAreChecked) {
  const auto model = NgramModel::read_arpa(golden / "model.arpa");
  const fs::path file = directory_ / "model.ngram";
  model->save(file);
  EXPECT_TRUE(NgramModel::is_mapped_form(file));
  const auto mapped = NgramModel::open(file);
  EXPECT_EQ(mapped->counts(), model->counts());
  const auto tokenizer = make_ngram_tokenizer(*model);
  EXPECT_EQ(make_ngram_tokenizer(*mapped)->fingerprint(), tokenizer->fingerprint());
  const auto ids = tokenizer->encode_text(read_file(golden / "text.txt"));
  PredictorState a, b;
  EXPECT_EQ(make_predictor(model, *tokenizer)->nll(a, ids),
            make_predictor(mapped, *tokenizer)->nll(b, ids));

  const std::string bytes = read_file(file);
  const auto refusal_of = [&](std::string changed) {
    try {
      NgramModel::open(write("changed", changed));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  for (const std::size_t size : {9UL, 100UL, 1000UL, bytes.size() - 64}) {
    EXPECT_NE(refusal_of(bytes.substr(0, size)).find("make it again"), std::string::npos) << size;
  }
  for (std::size_t at = 8; at < bytes.size(); at += 1 + bytes.size() / 97) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x15);
    const std::string said = refusal_of(changed);
    EXPECT_NE(said.find("make it again"), std::string::npos) << at << ": " << said;
  }
  // Of the header every bit: one of them would take another word for unknown ones.
  for (std::size_t bit = 8 * 8; bit < 8 * 256; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    EXPECT_NE(refusal_of(changed), "nothing") << bit;
  }
}

// A checksum is no signature: what it is of may be anything.
TEST_F(Ngram, MappedNumbersThatAreNotFiniteAreRefused) {
  const fs::path file = directory_ / "model.ngram";
  NgramModel::read_arpa(golden / "model.arpa")->save(file);
  const std::string bytes = read_file(file);
  constexpr std::size_t header = 256, checksum_at = 192;
  int refused = 0;
  for (std::size_t at = header; at + 4 <= bytes.size(); at += 4 * 13) {
    std::string changed = bytes;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(changed.data() + at, &nan, sizeof nan);
    const std::pair<std::size_t, std::size_t> parts[] = {{header, bytes.size()}, {0, header}};
    for (const auto& [begin, end] : parts) {
      const std::uint64_t sum = checksum(changed.data() + begin, end - begin);
      std::memcpy(changed.data() + checksum_at, &sum, sizeof sum);
    }
    std::shared_ptr<const NgramModel> model;
    try {
      model = NgramModel::map(write("changed", changed));
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("damaged"), std::string::npos) << error.what();
      ++refused;
      continue;
    }
    std::vector<float> logs(model->words());
    NgramModel::State state = model->begin_state();
    for (NgramModel::Word word = 0; word < model->words(); ++word) {
      model->distribution(state, logs);
      for (const float log : logs) ASSERT_FALSE(std::isnan(log)) << at;
      state = model->step(state, word).next;
    }
  }
  EXPECT_GT(refused, 20);
}

TEST_F(Ngram, MalformedFilesAreRefusedWithTheirLine) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = small;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "line 0: expected '\\data\\'"},
      {"hello\n", "line 1: expected '\\data\\', got 'hello'"},
      {with("ngram 1=4", "ngram 1=x"), "line 2: expected 'ngram 1='"},
      {with("ngram 2=3", "ngram 3=3"), "line 3: expected 'ngram 2='"},
      {with("ngram 1=4", "ngram 1=5"), "there are 4 1-grams, expected the 5"},
      {with("ngram 2=3", "ngram 2=2"), "line 14: there are more 2-grams, expected the 2"},
      {with("-0.6\tb", "0.6\tb"), "line 9: expected a log-probability of at most 0"},
      {with("-0.6\tb", "nan\tb"), "line 9: expected a log-probability"},
      {with("-0.6\tb", "-0.6\tb\tc\td"), "line 9: expected a log-probability, 1 word"},
      {with("-0.6\tb", "-0.6\tb\tx"), "line 9: expected a number as the backoff"},
      {with("-0.6\tb", "-0.6\ta"), "line 9: the word 'a' is there twice"},
      {with("<s> a", "<s> c"), "line 12: the word 'c' is not among the 1-grams"},
      {with("a b", "b\tb\t-1"), "no backoff weight"},
      {with("a b", "a </s>"), "line 14: the 2-gram is that of line 13 again"},
      {with("\\2-grams:", "\\3-grams:"), "expected '\\2-grams:'"},
      {with("\\end\\\n", ""), "expected '\\end\\', got its end"},
      {with("-1\t</s>", "-1\tc"), "have no </s>"},
  };
  for (const auto& [text, part] : cases) {
    const std::string said = refusal(text);
    EXPECT_NE(said.find(part), std::string::npos) << part << " in " << said;
  }
  const std::string deep =
      "\\data\\\nngram 1=3\nngram 2=1\nngram 3=1\n\\1-grams:\n-9 <s> -1\n-1 </s>\n-1 a -1\n"
      "\\2-grams:\n-1 <s> a -1\n\\3-grams:\n-1 a a a\n\\end\\\n";
  EXPECT_NE(refusal(deep).find("line 12: the first 2 words are not among the 2-grams"),
            std::string::npos)
      << refusal(deep);
  EXPECT_THROW(NgramModel::open(directory_ / "missing"), Error);
}

TEST_F(Ngram, MixesOnlyWithItsVocabulary) {
  const auto ngram = read(small);
  const auto tokenizer = testing_support::tokenizer("word", "a b b\n");
  const auto predictor = make_predictor(ngram, *tokenizer);
  const auto neural =
      make_predictor(FrozenModel::freeze(*testing_support::model("[(12,3)]", tokenizer->size())));
  const auto mixed = make_mixture({{neural, 0.5}, {predictor, 0.5}});
  const auto ids = tokenizer->encode_text("a b\n");
  PredictorState a, b, c;
  const std::int32_t eos = tokenizer->eos();
  for (auto& [model, state] : {std::pair{predictor, &a}, {neural, &b}, {mixed, &c}}) {
    model->feed(*state, {&eos, 1});
  }
  const auto p = predictor->nll(a, ids), q = neural->nll(b, ids), both = mixed->nll(c, ids);
  EXPECT_NEAR(p[0], 0.2 * std::numbers::ln10, 1e-6) << "a behind <s>";
  EXPECT_NEAR(p[2], 1.0 * std::numbers::ln10, 1e-6) << "</s> behind b";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_NEAR(std::exp(-both[i]), 0.5 * std::exp(-p[i]) + 0.5 * std::exp(-q[i]), 1e-9);
  }
  const auto said = [&](const std::string& text) {
    try {
      make_predictor(ngram, *testing_support::tokenizer("word", text));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(said("a b c\n").find("'c' is only in the other"), std::string::npos);
  EXPECT_NE(said("a\n").find("'b' is only in the n-gram"), std::string::npos);
}

TEST(MixtureWeightsOf, TheTextsThatTheyAreTunedOn) {
  // Token t was made by model t % 4 == 0 ? 1 : 0: each is sure of its own.
  std::vector<std::vector<double>> nll(2);
  for (int t = 0; t < 400; ++t) {
    nll[0].push_back(t % 4 == 0 ? 800 : 0.1);
    nll[1].push_back(t % 4 == 0 ? 0.1 : 900);
  }
  const MixtureWeights found = tune_mixture(nll);
  EXPECT_NEAR(found.weights[0], 0.75, 1e-6);
  EXPECT_NEAR(found.weights[1], 0.25, 1e-6);
  const double entropy = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25));
  EXPECT_NEAR(found.perplexity, std::exp(0.1 + entropy), 1e-6);

  // Where it is not so clear: no weights nearby do better.
  nll = {{1, 2, 3, 0.5}, {2, 1, 0.7, 3}, {1.5, 1.2, 2, 2}};
  const MixtureWeights best = tune_mixture(nll);
  const auto perplexity = [&](double a, double b) {
    double sum = 0;
    for (std::size_t t = 0; t < 4; ++t) {
      sum -= std::log(a * std::exp(-nll[0][t]) + b * std::exp(-nll[1][t]) +
                      (1 - a - b) * std::exp(-nll[2][t]));
    }
    return std::exp(sum / 4);
  };
  const double a = best.weights[0], b = best.weights[1];
  EXPECT_NEAR(perplexity(a, b), best.perplexity, 1e-4);
  for (const double d : {-0.02, 0.02}) {
    for (const double e : {-0.02, 0.0, 0.02}) {
      const double x = a + d, y = b + e;
      if (x < 0 || y < 0 || x + y > 1) continue;
      EXPECT_GE(perplexity(x, y), best.perplexity - 1e-6);
    }
  }
  EXPECT_THROW(tune_mixture({}), Error);
  nll[1].pop_back();
  EXPECT_THROW(tune_mixture(nll), Error);
}

}  // namespace
}  // namespace sluice
