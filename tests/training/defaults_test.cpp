#include "sluice/training/defaults.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/architecture.hpp"
#include "sluice/models/recurrent.hpp"
#include "support/json_documents.hpp"
#include "support/model_configs.hpp"

namespace sluice {
namespace {

using nlohmann::json;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

ModelRequest model(const json& fields) {
  return read_model_request(value_of(fields), {.where = "model config"}, default_architecture());
}

/// What is asked for by a config.json that has all fields.
ModelRequest saved_model(const ModelConfig& config) {
  return read_model_request(write_model(config), {.where = "model config"}, default_architecture());
}

Given<TrainConfig> training(const json& fields) {
  Given<TrainConfig> given;
  given.read(value_of(fields), {.where = "training config"});
  return given;
}

Given<TokenizerOptions> tokenizer(const json& fields) {
  Given<TokenizerOptions> given;
  given.read(value_of(fields), {.where = "tokenizer config"});
  return given;
}

ModelTask task(std::int64_t tokens, std::int64_t vocabulary) {
  return {.tokens = tokens, .vocabulary = vocabulary, .context = 128};
}

TextFacts facts_of(const std::string& text) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("sluice-defaults-" + std::to_string(getpid()) + ".txt");
  write_file(path, text);
  TextFacts facts;
  try {
    facts = inspect_text({path});
  } catch (...) {
    std::filesystem::remove(path);
    throw;
  }
  std::filesystem::remove(path);
  return facts;
}

TEST(InspectText, TellsTextThatIsCutIntoWords) {
  const TextFacts cut = facts_of("the <unk> sat , and\nslept .\n");
  EXPECT_TRUE(cut.spaced_punctuation);
  EXPECT_TRUE(cut.has_unk);
  EXPECT_EQ(cut.bytes, 28);
  EXPECT_EQ(cut.characters_per_byte, 1);
  EXPECT_NEAR(facts_of("日本語\n").characters_per_byte, 0.4, 1e-12);
  const TextFacts running = facts_of("The cat sat, and slept.\n");
  EXPECT_FALSE(running.spaced_punctuation);
  EXPECT_FALSE(running.has_unk);
  EXPECT_THROW(facts_of(""), Error);
}

TEST(ChooseTokenizer, FollowsTheText) {
  Notes notes;
  EXPECT_EQ(choose_tokenizer({}, {.bytes = 1'000'000}, notes).kind, "char");
  Notes of_chinese;
  EXPECT_EQ(
      choose_tokenizer({}, {.bytes = 4'000'000, .characters_per_byte = 0.34}, of_chinese).kind,
      "char");
  const TokenizerOptions subwords = choose_tokenizer({}, {.bytes = 5'000'000}, notes);
  EXPECT_EQ(subwords.kind, "bpe");
  EXPECT_EQ(subwords.vocabulary, 4000);
  const TokenizerOptions words = choose_tokenizer(
      {}, {.bytes = 5'000'000, .spaced_punctuation = true, .has_unk = true}, notes);
  EXPECT_EQ(words.kind, "word");
  EXPECT_EQ(words.min_count, 1);
  EXPECT_EQ(notes.size(), 3U);
}

TEST(ChooseTokenizer, FollowsTheCosts) {
  const auto chosen = [](std::int64_t bytes, double subwords) {
    Notes notes;
    const TextFacts facts{.bytes = bytes,
                          .costs = UnitCosts{.subwords = subwords, .characters = 2}};
    return choose_tokenizer({}, facts, notes).kind;
  };
  EXPECT_EQ(chosen(1'000'000, 1.5), "bpe");
  EXPECT_EQ(chosen(1'000'000, 1.9), "char");
  EXPECT_EQ(chosen(2'000'000, 1.9), "bpe");
  EXPECT_EQ(chosen(2'000'000, 2.6), "bpe") << "Japanese";
  EXPECT_EQ(chosen(2'000'000, 3), "char");
}

TEST(ChooseTokenizer, MeasuresWhereItDependsOnIt) {
  std::string text;
  while (text.size() < 600'000)
    text += "The cat sat, and slept. A dog ran; it barked at 1,024 birds.\n";
  for (const std::size_t size : {std::size_t{400'000}, text.size()}) {
    const auto path = std::filesystem::temp_directory_path() /
                      ("sluice-costs-" + std::to_string(getpid()) + ".txt");
    write_file(path, text.substr(0, size));
    TextFacts facts = inspect_text({path});
    measure_costs(facts, {path});
    EXPECT_EQ(facts.costs.has_value(), size > 500'000);
    facts.spaced_punctuation = true;
    facts.costs.reset();
    measure_costs(facts, {path});
    EXPECT_FALSE(facts.costs) << "it is cut into words";
    std::filesystem::remove(path);
  }
}

TEST(ChooseTokenizer, KeepsWhatIsGiven) {
  Notes notes;
  const TokenizerOptions options = choose_tokenizer(
      tokenizer({{"kind", "unigram"}, {"vocabulary", 500}}), {.bytes = 5'000'000}, notes);
  EXPECT_EQ(options.kind, "unigram");
  EXPECT_EQ(options.vocabulary, 500);
  EXPECT_TRUE(notes.empty());
  // Without "<unk>" in the text, nothing would teach the model what an unknown word is like.
  EXPECT_EQ(choose_tokenizer(tokenizer({{"kind", "word"}}), {.bytes = 1000}, notes).min_count, 2);
  EXPECT_EQ(notes.size(), 1U);
}

TEST(ChooseModel, GrowsWithTheText) {
  Notes notes;
  std::int64_t before = 0;
  for (const std::int64_t tokens : {50'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000}) {
    const std::int64_t now =
        choose_model(model(json::object()), task(tokens, 10'000), notes).parameter_count();
    EXPECT_GT(now, before) << tokens;
    before = now;
  }
  EXPECT_EQ(choose_model(model(json::object()), task(1'000'000, 300), notes).softmax, "full");
  EXPECT_EQ(choose_model(model(json::object()), task(1'000'000, 33'278), notes).softmax,
            "adaptive");
}

TEST(ChooseModel, KeepsWhatIsGiven) {
  Notes notes;
  const ModelConfig config = choose_model(model({{"layers", "[(32,3)]*2"},
                                                 {"unit", "gtu"},
                                                 {"dropout", 0.25},
                                                 {"softmax", "full"},
                                                 {"tie", true}}),
                                          task(1000, 9000), notes);
  EXPECT_EQ(config.shape<GcnnShape>().layers.size(), 2U);
  EXPECT_EQ(config.dim, 32);
  EXPECT_EQ(config.shape<GcnnShape>().unit, "gtu");
  EXPECT_EQ(config.dropout, 0.25F);
  EXPECT_EQ(config.softmax, "full");
  EXPECT_TRUE(config.cutoffs.empty());
  EXPECT_TRUE(config.tie);
  EXPECT_TRUE(notes.empty());
  const ModelConfig preset =
      choose_model(model({{"preset", "gcnn-8"}, {"dim", 64}}), task(1000, 9000), notes);
  EXPECT_EQ(preset.shape<GcnnShape>().layers.size(), 8U);
  EXPECT_EQ(preset.dim, 64);
}

// Bands get a quarter of the width each: of what was chosen for the vocabulary, as many as fit.
TEST(ChooseModel, DefaultCutoffsFitTheLastLayer) {
  Notes notes;
  const std::pair<std::int64_t, std::size_t> cases[] = {{1, 0},  {3, 0},  {4, 1},  {15, 1},
                                                        {16, 2}, {63, 2}, {64, 3}, {256, 3}};
  for (const auto& [width, cutoffs] : cases) {
    const std::string layers = "[(" + std::to_string(width) + ",2)]";
    const ModelConfig config =
        choose_model(model({{"layers", layers}}), task(1'000'000, 80'000), notes);
    EXPECT_EQ(config.cutoffs.size(), cutoffs) << width;
    EXPECT_EQ(config.softmax, cutoffs == 0 ? "full" : "adaptive") << width;
    const ModelConfig recurrent =
        choose_model(model({{"arch", "lstm"}, {"hidden", width}}), task(1'000'000, 80'000), notes);
    EXPECT_EQ(recurrent.cutoffs.size(), cutoffs) << width;
  }
  // Those that were asked for are not silently dropped.
  EXPECT_NE(message_of([&] {
              choose_model(model({{"layers", "[(63,2)]"}, {"cutoffs", {4000, 20'000, 60'000}}}),
                           task(1'000'000, 80'000), notes);
            }).find("3 cutoffs are too many"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              choose_model(model({{"layers", "[(3,2)]"}, {"softmax", "adaptive"}}),
                           task(1'000'000, 80'000), notes);
            }).find("full softmax"),
            std::string::npos);
}

TEST(ChooseModel, IndRnnsBoundFollowsTheContext) {
  Notes notes;
  const ModelTask short_context{.tokens = 1'000'000, .vocabulary = 100, .context = 16};
  const auto bound = [&](const json& given, const ModelTask& task) {
    return choose_model(model(given), task, notes).shape<RecurrentShape>().bound;
  };
  const json given = {{"arch", "indrnn"}};
  EXPECT_FLOAT_EQ(bound(given, short_context), std::exp2(-1 / 16.0F));
  EXPECT_FLOAT_EQ(bound(given, task(1'000'000, 100)), std::exp2(-1 / 128.0F));
  EXPECT_EQ(bound({{"arch", "indrnn"}, {"bound", 1}}, short_context), 1);
  EXPECT_EQ(choose_model(model(given), short_context, notes).norm, "layer");
  // Deep ones start at a part of their weights, unless asked otherwise or shallow.
  const auto scale = [&](const json& more) {
    json all = {{"arch", "indrnn"}, {"residual", true}};
    all.update(more);
    return choose_model(model(all), task(1'000'000, 100), notes).init_scale;
  };
  EXPECT_EQ(scale({{"depth", 100}}), 0.01F);
  EXPECT_EQ(scale({{"depth", 100}, {"init_scale", 0.5}}), 0.5F);
  EXPECT_EQ(scale({{"depth", 100}, {"residual", false}}), 1);
  EXPECT_EQ(scale({{"depth", 23}}), 1);
  // What a run was trained with stays, whatever the context is now.
  const ModelConfig saved = choose_model(model(given), task(1'000'000, 100), notes);
  EXPECT_EQ(choose_model(saved_model(saved), short_context, notes), saved);
}

TEST(ChooseModel, AConfigItGaveComesBackUnchanged) {
  Notes notes;
  const ModelConfig config = choose_model(model(json::object()), task(1'000'000, 33'278), notes);
  notes.clear();
  EXPECT_EQ(choose_model(saved_model(config), task(77, 33'278), notes), config);
  EXPECT_TRUE(notes.empty());
}

TEST(ChooseModel, RefusesWithTheNearestNames) {
  EXPECT_NE(message_of([] { model({{"unit", "gul"}}); }).find("glu"), std::string::npos);
  EXPECT_NE(message_of([] { model({{"preset", "gcnn8"}}); }).find("gcnn-8"), std::string::npos);
  EXPECT_NE(message_of([] { model({{"layer", "[(4,4)]"}}); }).find("layers"), std::string::npos);
  EXPECT_NE(message_of([] { model({{"layers", 7}}); }).find("layers"), std::string::npos);
  Notes notes;
  EXPECT_NE(message_of([&] {
              choose_model(model({{"dim", 2.5}}), task(1000, 100), notes);
            }).find("dim"),
            std::string::npos);
}

TEST(ChooseTraining, FollowsTheTextAndTheOptimizer) {
  Notes notes;
  const TrainConfig large = choose_training({}, 2'000'000, notes);
  EXPECT_EQ(large.batch, 16);
  EXPECT_EQ(large.context, 128);
  EXPECT_EQ(large.epochs, 10);
  EXPECT_EQ(large.optimizer.kind, OptimizerKind::adamw);
  EXPECT_EQ(large.schedule.lr, default_learning_rate(OptimizerKind::adamw));
  EXPECT_EQ(choose_training({}, 1'000'000'000, notes).epochs, 1);
  const TrainConfig small = choose_training({}, 5'000, notes);
  EXPECT_GE(5'000 / (small.batch * small.context), 50);

  const TrainConfig adam = choose_training(training({{"optimizer", "adam"}}), 2'000'000, notes);
  EXPECT_EQ(adam.schedule.lr, default_learning_rate(OptimizerKind::adam));
  EXPECT_EQ(adam.clip, default_clip(OptimizerKind::adam));
  notes.clear();
  const TrainConfig given = choose_training(
      training(
          {{"optimizer", "adam"}, {"lr", 0.5}, {"batch", 3}, {"context", 7}, {"minutes", 2.5}}),
      2'000'000, notes);
  EXPECT_EQ(given.schedule.lr, 0.5);
  EXPECT_EQ(given.batch, 3);
  EXPECT_EQ(given.epochs, 0);
  EXPECT_TRUE(notes.empty());
}

TEST(ChooseTraining, ABudgetOfNothingIsRefused) {
  Notes notes;
  for (const char* field : {"steps", "epochs", "tokens", "minutes"}) {
    const std::string message = message_of([&] {
      choose_training(training({{field, 0}}), 2'000'000, notes);
    });
    EXPECT_NE(message.find("a budget of 0 trains nothing"), std::string::npos) << message;
  }
  // As config.json has them all.
  EXPECT_EQ(choose_training(training({{"steps", 0}, {"epochs", 3}}), 2'000'000, notes).epochs, 3);
}

TEST(ChooseModel, FieldsOfAnArchitectureWaitForIt) {
  const ModelRequest hidden = model({{"hidden", 96}});
  EXPECT_NE(message_of([&] {
              hidden.check();
            }).find("'hidden' is not a choice of arch gcnn (it is of rnn)"),
            std::string::npos);
  const FieldPlace place{.where = "model config"};
  ModelRequest lstm = hidden;
  lstm.overlay(model({{"arch", "lstm"}}), place);
  EXPECT_NO_THROW(lstm.check());
  EXPECT_EQ(lstm.fields.values.shape<RecurrentShape>().hidden, 96);
  // The other way round: what was given is not dropped in silence.
  ModelRequest layers = model({{"layers", "[(8,2)]"}});
  EXPECT_NE(message_of([&] {
              layers.overlay(model({{"arch", "lstm"}}), place);
            }).find("'layers' is not a choice of arch lstm"),
            std::string::npos);
  // Unless asked to.
  layers.adapt(find_architecture("lstm"));
  EXPECT_EQ(layers.architecture().name(), "lstm");
  EXPECT_FALSE(layers.has("layers"));
}

TEST(ChooseModel, GroupsOfNothingAreRefused) {
  for (const char* arch : {"gcnn", "lstm", "transformer"}) {
    const std::string message = message_of([&] {
      model({{"arch", arch}, {"norm", "group"}, {"groups", 0}});
    });
    EXPECT_NE(message.find("'groups' must be a whole number of at least 1, got 0"),
              std::string::npos)
        << message;
  }
}

}  // namespace
}  // namespace sluice
