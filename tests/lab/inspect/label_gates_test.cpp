// What labels open and shut.

#include <cmath>
#include <cstddef>

#include "inspect_support.hpp"

namespace sluice::lab_test {
namespace {

TEST_F(Inspect, LabelsOpenAndShutChannels) {
  ModelConfig config = this->config("[(6,2)]*2", "glu");
  config.labels = {"none", "some"};
  const auto model = make_model(config, 3);
  for (const Parameter& parameter : model->parameters()) {
    if (parameter.name != "layers.1.condition.weight") continue;
    // Of label "some": channel 2 of the gate's half is opened, 4 shut, and the linear half moved.
    float* const row = parameter.variable.value().data<float>() + std::ptrdiff_t{2} * 12;
    row[0] = 9;
    row[6 + 2] = 5;
    row[6 + 4] = -5;
  }
  InspectOptions options;
  options.tokens = 200;
  options.lags = options.context = false;
  const Inspection found = inspect_model(*model, *tokenizer_, *text_, options);
  ASSERT_EQ(found.labels.size(), 4U);  // two labels, two layers
  for (const LabelGates& each : found.labels) {
    EXPECT_EQ(each.gate, "sigmoid(b)");
    if (each.label == "none" || each.layer == "layers.0") {
      EXPECT_TRUE(each.opened.empty() && each.shut.empty()) << each.label << each.layer;
      EXPECT_EQ(each.mean, each.unknown_mean);
      continue;
    }
    ASSERT_EQ(each.opened.size(), 1U);
    EXPECT_EQ(each.opened[0].channel, 2);
    EXPECT_GT(each.opened[0].to, 0.9);
    EXPECT_LT(each.opened[0].from, 0.7);
    ASSERT_EQ(each.shut.size(), 1U);
    EXPECT_EQ(each.shut[0].channel, 4);
    EXPECT_LT(each.shut[0].to, 0.1);
  }
  const Inspection read = parse_inspection(inspection_json(found), "test");
  ASSERT_EQ(read.labels.size(), 4U);
  EXPECT_EQ(read.labels[3].opened[0].channel, 2);
  EXPECT_NE(format_inspection(found).find("some"), std::string::npos);
}

// Gates over documents are the mean of those over each by itself.
TEST_F(Inspect, LabelsAreSeenInEachDocument) {
  ModelConfig config = this->config("[(6,4)]*2", "glu");
  config.labels = {"some"};
  const auto model = make_model(config, 3);
  for (const Parameter& parameter : model->parameters()) {
    if (parameter.name.find("condition") == std::string::npos) continue;
    double i = 0;  // at first labels differ in nothing
    for (float& value : parameter.variable.value().span<float>()) {
      value = static_cast<float>(std::sin(i += 1));
    }
  }
  InspectOptions options;
  options.lags = options.context = false;
  std::vector<TokenId> ids(60);
  text_->read(0, 60, ids.data());
  const auto gates = [&](const TokenShards& text) {
    return inspect_model(*model, *tokenizer_, text, options).labels;
  };
  const auto shards = [&](std::size_t begin, std::size_t end) {
    return TokenShards(std::vector<TokenId>(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                            ids.begin() + static_cast<std::ptrdiff_t>(end)),
                       tokenizer_->eos(), tokenizer_->size());
  };
  const auto first = gates(shards(0, 20)), second = gates(shards(20, 60));
  const auto both = gates(shards(0, 60).in_documents(
      std::make_shared<DocumentEnds>(std::vector<std::int64_t>{20, 60})));
  ASSERT_EQ(both.size(), first.size());
  for (std::size_t i = 0; i < both.size(); ++i) {
    EXPECT_NEAR(both[i].mean, (first[i].mean + 2 * second[i].mean) / 3, 1e-6) << both[i].layer;
    EXPECT_NEAR(both[i].unknown_mean, (first[i].unknown_mean + 2 * second[i].unknown_mean) / 3,
                1e-6);
  }
}

}  // namespace
}  // namespace sluice::lab_test
