// Vectors of words, in and out.

#include "sluice/models/word_vectors.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/gcnn.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class WordVectors : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sluice-vectors-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    tokenizer_ = make_word_tokenizer({"<eos>", "the", "<unk>", "cat", "Tre"});
  }
  void TearDown() override { fs::remove_all(directory_); }

  static std::unique_ptr<LanguageModel> model(bool bands = false) {
    ModelConfig config("gcnn");
    config.vocabulary = 5;
    config.dim = bands ? 8 : 3;
    config.shape<GcnnShape>().layers = parse_layers("[(8,2)]");
    config.softmax = bands ? "adaptive" : "full";
    if (bands) config.cutoffs = {2};
    config.tie = bands;
    return make_model(config, 3);
  }
  fs::path file(const std::string& text) const {
    write_file(directory_ / "vectors", text);
    return directory_ / "vectors";
  }
  std::string refusal(const std::string& text) const {
    const auto made = model();
    try {
      read_word_vectors(file(text), *tokenizer_, *made);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  static float value(const LanguageModel& model, std::int64_t token, std::int64_t i) {
    return model.parameters().front().variable.value().data<float>()[token * 3 + i];
  }

  fs::path directory_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(WordVectors, GloveAndWord2vecAreRead) {
  const std::string lines =
      "cat 1 -2.5 3e-2\nof the 7 7 7\nzebra 4 5 6 \r\n\nthe\t0.5\t0.25\t1\ncat 9 9 9\n";
  for (const std::string& text : {lines, "5 3\n" + lines, lines.substr(0, lines.size() - 1)}) {
    const auto made = model();
    const auto untouched = value(*made, 0, 0);
    EXPECT_EQ(word_vector_width(file(text)), 3);
    EXPECT_EQ(read_word_vectors(file(text), *tokenizer_, *made), 2);
    EXPECT_EQ(value(*made, 3, 1), -2.5F);
    EXPECT_EQ(value(*made, 3, 2), 3e-2F);
    EXPECT_EQ(value(*made, 1, 0), 0.5F);
    EXPECT_EQ(value(*made, 0, 0), untouched);
  }
}

TEST_F(WordVectors, WhatIsWrittenIsRead) {
  const auto first = model();
  EXPECT_EQ(write_word_vectors(directory_ / "out", *tokenizer_, *first), 5);
  const auto second = model();
  for (float& element : second->parameters().front().variable.value().span<float>()) element = 0;
  EXPECT_EQ(read_word_vectors(directory_ / "out", *tokenizer_, *second), 5);
  for (std::int64_t i = 0; i < 15; ++i) EXPECT_EQ(value(*first, 0, i), value(*second, 0, i));
}

TEST_F(WordVectors, RefusesWhatIsNone) {
  EXPECT_NE(refusal("cat 1 2 3\ndog 1 2\n").find("line 2: expected a word and 3 numbers"),
            std::string::npos);
  EXPECT_NE(refusal("cat 1 2 3\ndog 1 nan 2\n").find("line 2: expected 3 numbers"),
            std::string::npos);
  EXPECT_NE(refusal("cat 1 2 3\ndog 1 1e99 2\n").find("line 2"), std::string::npos);
  EXPECT_NE(refusal("").find("no vectors"), std::string::npos);
  EXPECT_NE(refusal("cat 1 2\n")
                .find("have 2 numbers each, the model's 3; let the model's setting "
                      "dim be 2"),
            std::string::npos);
  EXPECT_NE(refusal("1 3\n" + std::string(3'000'000, 'x')).find("more than"), std::string::npos);
  const auto bands = model(true);
  EXPECT_THROW(write_word_vectors(directory_ / "out", *tokenizer_, *bands), UsageError);
  EXPECT_FALSE(fs::exists(directory_ / "out"));
}

}  // namespace
}  // namespace sluice
