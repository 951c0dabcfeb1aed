// Weights that follow their tokens into another vocabulary.

#include "sluice/models/detail/changed_vocabulary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "sluice/base/error.hpp"
#include "sluice/models/gcnn.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class ChangedVocabulary : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sluice-vocabulary-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  /// A model of ten words, or of those that `words` are.
  static ModelConfig config_of(bool adaptive, bool tie) {
    ModelConfig config("gcnn");
    config.vocabulary = 10;
    config.dim = 16;
    config.shape<GcnnShape>().layers = parse_layers("[(16,2)]");
    config.softmax = adaptive ? "adaptive" : "full";
    if (adaptive) config.cutoffs = {4, 7};
    config.tie = tie;
    return config;
  }

  fs::path directory_;
};

TEST_F(ChangedVocabulary, RowsFollowTheirTokens) {
  const auto before =
      make_word_tokenizer({"<eos>", "a", "<unk>", "b", "c", "d", "e", "f", "g", "h"});
  // Without b, d and g, and with a new word.
  const auto now = make_word_tokenizer({"<eos>", "a", "<unk>", "c", "e", "f", "h", "new"});
  for (const bool adaptive : {false, true}) {
    for (const bool tie : {false, true}) {
      const auto model = make_model(config_of(adaptive, tie), 3);
      ModelDirectory(directory_).save(*model, *before);
      ModelConfig config = config_of(adaptive, tie);
      config.cutoffs = changed_cutoffs(config, *before, *now);
      if (adaptive) {
        EXPECT_EQ(config.cutoffs, (std::vector<std::int64_t>{3, 5}));
      }
      config.vocabulary = 8;
      const auto changed = make_model(config, std::nullopt);
      load_for_vocabulary(ModelDirectory(directory_), *now, *changed);

      const std::vector<std::int32_t> old_ids{0, 1, 2, 4, 6, 7, 9}, ids{0, 1, 2, 3, 4, 5, 6};
      const auto old_tokens = model->freeze_tokens({}), tokens = changed->freeze_tokens({});
      const Tensor expected = old_tokens->embed(old_ids), got = tokens->embed(ids);
      for (std::int64_t i = 0; i < got.elements(); ++i) {
        ASSERT_NEAR(got.data<float>()[i], expected.data<float>()[i], 1e-6) << adaptive << tie;
      }
      if (!adaptive) {
        // A new word begins as what it was read as.
        const std::vector<std::int32_t> added{7}, unknown{2};
        const Tensor vector = tokens->embed(added), source = old_tokens->embed(unknown);
        for (std::int64_t i = 0; i < vector.elements(); ++i) {
          ASSERT_EQ(vector.data<float>()[i], source.data<float>()[i]);
        }
      }
      // Of two words of one band one is as much more likely than the other as it was.
      Tensor h(Shape{1, 16});
      for (std::int64_t i = 0; i < 16; ++i) h.data<float>()[i] = static_cast<float>(i % 5) - 2;
      const Tensor old_p = old_tokens->log_probabilities(h), p = tokens->log_probabilities(h);
      EXPECT_NEAR(p.data<float>()[0] - p.data<float>()[1],
                  old_p.data<float>()[0] - old_p.data<float>()[1], 1e-5);
      EXPECT_NEAR(p.data<float>()[3] - p.data<float>()[4],
                  old_p.data<float>()[4] - old_p.data<float>()[6], 1e-5);
      // And so is a band, beside a word in front of it.
      const auto of_band = [](const Tensor& logs, std::int64_t begin, std::int64_t end) {
        double sum = 0;
        for (std::int64_t v = begin; v < end; ++v) sum += std::exp(logs.data<float>()[v]);
        return std::log(sum) - static_cast<double>(logs.data<float>()[0]);
      };
      if (adaptive) {
        EXPECT_NEAR(of_band(p, 3, 5), of_band(old_p, 4, 7), 1e-5) << tie;
        EXPECT_NEAR(of_band(p, 5, 8), of_band(old_p, 7, 10), 1e-5) << tie;
      }
      // What is behind the tokens' rows is still there.
      std::map<std::string, Tensor> theirs;
      for (const Parameter& parameter : model->parameters()) {
        theirs[parameter.name] = parameter.variable.value();
      }
      for (const Parameter& parameter : changed->parameters()) {
        if (!parameter.name.starts_with("layers.")) continue;
        const Tensor& value = parameter.variable.value();
        for (std::int64_t i = 0; i < value.elements(); ++i) {
          ASSERT_EQ(value.data<float>()[i], theirs[parameter.name].data<float>()[i]);
        }
      }
    }
  }
}

TEST_F(ChangedVocabulary, RefusesToEmptyABand) {
  const auto before =
      make_word_tokenizer({"<eos>", "a", "<unk>", "b", "c", "d", "e", "f", "g", "h"});
  const auto now = make_word_tokenizer({"<eos>", "a", "<unk>", "b", "f"});
  EXPECT_THROW(changed_cutoffs(config_of(true, false), *before, *now), Error);
}

}  // namespace
}  // namespace sluice
