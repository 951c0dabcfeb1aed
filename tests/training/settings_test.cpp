#include "sluice/training/settings.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

using nlohmann::json;

std::string refusal(const json& base, const json& given = json::object()) {
  try {
    merge_settings(base, given);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Settings, FlagsWinOverTheFileFieldByField) {
  const Settings merged = merge_settings(
      {{"model", {{"unit", "gtu"}, {"dim", 8}}}, {"training", {{"lr", 1}}}, {"threads", 3}},
      {{"model", {{"dim", 16}}}, {"data", {{"train", {"a", "b"}}}}, {"out", "m"}});
  EXPECT_EQ(merged.model, json({{"unit", "gtu"}, {"dim", 16}}));
  EXPECT_EQ(merged.training, json({{"lr", 1}}));
  EXPECT_EQ(merged.threads, 3);
  EXPECT_EQ(merged.out, "m");
  ASSERT_EQ(merged.train_files.size(), 2U);
  EXPECT_EQ(merged.train_files[1], "b");
  EXPECT_EQ(merged.valid_fraction, 0.05);
}

TEST(Settings, AFlagDisplacesWhatSaysTheSameInAnotherWay) {
  const json base = {
      {"model", {{"layers", "[(4,4)]"}, {"dim", 4}, {"cutoffs", {5}}, {"unit", "gtu"}}},
      {"data", {{"valid", {"v"}}, {"train", {"t"}}}}};
  const Settings preset = merge_settings(base, {{"model", {{"preset", "tiny"}}}});
  EXPECT_EQ(preset.model, json({{"preset", "tiny"}, {"unit", "gtu"}}));
  const Settings fraction = merge_settings(base, {{"data", {{"valid_fraction", 0.1}}}});
  EXPECT_TRUE(fraction.valid_files.empty());
  EXPECT_EQ(fraction.train_files.size(), 1U);
  EXPECT_EQ(fraction.valid_fraction, 0.1);
  const Settings layers =
      merge_settings({{"model", {{"preset", "tiny"}}}}, {{"model", {{"layers", "[(8,2)]"}}}});
  EXPECT_EQ(layers.model, json({{"layers", "[(8,2)]"}}));
}

TEST(Settings, WhatIsSavedReadsBackToTheSame) {
  const Settings settings = merge_settings(
      {{"model", {{"dim", 8}}}, {"data", {{"train", "one"}, {"valid", {"v"}}}}, {"threads", 2}},
      json::object());
  const Settings again = merge_settings(json::parse(settings.text()), json::object());
  EXPECT_EQ(again.text(), settings.text());
  EXPECT_EQ(again.train_files, settings.train_files);
  EXPECT_EQ(again.valid_files, settings.valid_files);
}

TEST(Settings, RefusesWhatIsWrong) {
  EXPECT_NE(refusal({{"modle", json::object()}}).find("model"), std::string::npos);
  EXPECT_NE(refusal({{"model", nullptr}}).find("object"), std::string::npos);
  EXPECT_NE(refusal({{"data", {{"trian", "x"}}}}).find("train"), std::string::npos);
  EXPECT_NE(refusal({{"data", {{"train", {1}}}}}).find("data.train"), std::string::npos);
  EXPECT_NE(refusal({{"threads", 0}}).find("threads"), std::string::npos);
  EXPECT_NE(refusal({{"out", 7}}).find("out"), std::string::npos);
  EXPECT_NE(refusal(json::array()).find("object"), std::string::npos);
}

TEST(Settings, AResumedRunKeepsItsTokenizer) {
  const json base = {{"tokenizer", {{"kind", "word"}, {"vocabulary", 0}}}};
  EXPECT_NO_THROW(check_resumed_tokenizer(base, base));
  EXPECT_NO_THROW(check_resumed_tokenizer(base, json::object()));
  EXPECT_THROW(check_resumed_tokenizer(base, {{"tokenizer", {{"vocabulary", 9}}}}), Error);
}

}  // namespace
}  // namespace sluice
