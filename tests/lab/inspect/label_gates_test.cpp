// What labels open and shut.

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

}  // namespace
}  // namespace sluice::lab_test
