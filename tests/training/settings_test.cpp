#include "sluice/training/settings.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "support/json_documents.hpp"

namespace sluice {
namespace {

using nlohmann::json;

Settings settings(const json& config) { return read_settings(config.dump(), {.where = "config"}); }

Settings merged(const json& base, const json& given) {
  Notes notes;
  Settings all = settings(base);
  all.overlay(settings(given), notes);
  return all;
}

std::string refusal(const json& config) {
  try {
    settings(config);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

json written(const Value& value) { return document_of(value); }

TEST(Settings, FlagsWinOverTheFileFieldByField) {
  const Settings all =
      merged({{"model", {{"unit", "gtu"}, {"dim", 8}}}, {"training", {{"lr", 1}}}, {"threads", 3}},
             {{"model", {{"dim", 16}}}, {"data", {{"train", {"a", "b"}}}}, {"out", "m"}});
  EXPECT_EQ(written(all.model.write()), json({{"unit", "gtu"}, {"dim", 16}}));
  EXPECT_EQ(written(all.training.write()), json({{"lr", 1}}));
  EXPECT_EQ(all.threads, 3);
  EXPECT_EQ(all.out, "m");
  ASSERT_EQ(all.data.values.train.size(), 2U);
  EXPECT_EQ(all.data.values.train[1], "b");
  EXPECT_EQ(all.data.values.valid_fraction, 0.05);
}

TEST(Settings, AFlagDisplacesWhatSaysTheSameInAnotherWay) {
  const json base = {
      {"model", {{"layers", "[(4,4)]"}, {"dim", 4}, {"cutoffs", {5}}, {"unit", "gtu"}}},
      {"data", {{"valid", {"v"}}, {"train", {"t"}}}}};
  const Settings preset = merged(base, {{"model", {{"preset", "tiny"}}}});
  EXPECT_EQ(written(preset.model.write()), json({{"preset", "tiny"}, {"unit", "gtu"}}));
  const Settings fraction = merged(base, {{"data", {{"valid_fraction", 0.1}}}});
  EXPECT_TRUE(fraction.data.values.valid.empty());
  EXPECT_EQ(fraction.data.values.train.size(), 1U);
  EXPECT_EQ(fraction.data.values.valid_fraction, 0.1);
  const Settings layers =
      merged({{"model", {{"preset", "tiny"}}}}, {{"model", {{"layers", "[(8,2)]"}}}});
  EXPECT_EQ(written(layers.model.write()), json({{"layers", "[(8,2)]"}}));
}

TEST(Settings, AnotherTextDisplacesTheFilesThatTheOldOneWasValidatedOn) {
  const json base = {{"data", {{"train", {"old"}}, {"valid", {"old.valid"}}}}};
  const auto merge = [&](const json& data, Notes& notes) {
    Settings all = settings(base);
    all.overlay(settings({{"data", data}}), notes);
    return all.data.values;
  };
  Notes notes;
  EXPECT_TRUE(merge({{"train", {"new"}}}, notes).valid.empty());
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("'old.valid'"), std::string::npos) << notes[0];
  notes.clear();
  EXPECT_EQ(merge({{"train", {"new"}}, {"valid", {"new.valid"}}}, notes).valid.front(),
            "new.valid");
  EXPECT_EQ(merge({{"train", {"old"}}}, notes).valid.front(), "old.valid");
  EXPECT_EQ(merge({{"valid", {"new.valid"}}}, notes).train.front(), "old");
  EXPECT_TRUE(notes.empty());
}

TEST(Settings, WhatIsSavedReadsBackToTheSame) {
  const Settings once = settings(
      {{"model", {{"dim", 8}}}, {"data", {{"train", "one"}, {"valid", {"v"}}}}, {"threads", 2}});
  const Settings again = read_settings(once.text(), {.where = "config"});
  EXPECT_EQ(again.text(), once.text());
  EXPECT_EQ(again.data.values.train, once.data.values.train);
  EXPECT_EQ(again.data.values.valid, once.data.values.valid);
  const json text = json::parse(once.text());
  EXPECT_EQ(text["format_version"], 1);
  EXPECT_EQ(text["data"]["valid_fraction"], 0.05);
}

TEST(Settings, RefusesWhatIsWrong) {
  EXPECT_EQ(refusal({{"modle", json::object()}}),
            "config: unknown field 'modle'; did you mean model?");
  EXPECT_NE(refusal({{"model", nullptr}}).find("object"), std::string::npos);
  EXPECT_NE(refusal({{"data", {{"trian", "x"}}}}).find("train"), std::string::npos);
  EXPECT_NE(refusal({{"data", {{"train", {1}}}}}).find("data.train"), std::string::npos);
  EXPECT_EQ(refusal({{"threads", 0}}),
            "config: 'threads' must be a whole number from 1 to 4096, got 0");
  EXPECT_NE(refusal({{"out", 7}}).find("out"), std::string::npos);
  EXPECT_NE(refusal(json::array()).find("object"), std::string::npos);
  EXPECT_EQ(refusal({{"training", {{"batch", 0}}}}),
            "config: 'training.batch' must be a whole number from 1 to 16777216, got 0");
  EXPECT_NE(refusal({{"training", {{"optimizer", "adma"}}}}).find("adam"), std::string::npos);
  EXPECT_NE(refusal({{"tokenizer", {{"kind", "wrod"}}}}).find("word"), std::string::npos);
  EXPECT_NE(refusal({{"format_version", 1000}}).find("format_version"), std::string::npos);
}

TEST(Settings, DeepJsonIsOneSentence) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += R"({"model":)";
  try {
    read_settings(text, {.where = "config"});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "config: nested deeper than 64 levels");
  }
}

TEST(Settings, AResumedRunKeepsItsTokenizer) {
  const FieldPlace place{.where = "tokenizer"};
  Given<TokenizerOptions> resumed;
  resumed.read(Value::Object{{"kind", "word"}, {"vocabulary", 0}}, place);
  EXPECT_NO_THROW(check_resumed_tokenizer(resumed, resumed));
  EXPECT_NO_THROW(check_resumed_tokenizer(resumed, {}));
  Given<TokenizerOptions> other;
  other.set("vocabulary", 9, place);
  EXPECT_THROW(check_resumed_tokenizer(resumed, other), Error);
}

}  // namespace
}  // namespace sluice
