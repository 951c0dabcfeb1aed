// Published trainings: what they set, and what wins over them.

#include "sluice/training/recipes.hpp"

#include <gtest/gtest.h>

#include "sluice/base/error.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/training/defaults.hpp"

namespace sluice {
namespace {

TEST(Recipes, AreWholeTrainingsWithTheirSources) {
  ASSERT_EQ(recipes().size(), 2U);
  for (const Recipe& recipe : recipes()) {
    SCOPED_TRACE(recipe.name);
    EXPECT_NE(recipe.source.find("Dauphin"), std::string::npos);
    const Settings settings = recipe_settings(recipe.name);
    Notes notes;
    const TrainConfig training = choose_training(settings.training, 100'000'000, notes);
    EXPECT_EQ(training.optimizer.kind, OptimizerKind::nesterov);
    EXPECT_FLOAT_EQ(static_cast<float>(training.optimizer.momentum), 0.99F);
    EXPECT_EQ(training.clip, 0.1);
    EXPECT_EQ(training.schedule.kind, ScheduleKind::plateau);
    const ModelConfig model = choose_model(settings.model, {100'000'000, 267'735, 1024}, notes);
    EXPECT_EQ(model.norm, "weight");
    EXPECT_EQ(model.shape<GcnnShape>().unit, "glu");
    EXPECT_TRUE(model.shape<GcnnShape>().input_projection);
  }
}

TEST(Recipes, WikiText103IsThatOfFairseq) {
  const Settings settings = recipe_settings("dauphin-wikitext103");
  EXPECT_EQ(settings.training.values.optimizer.weight_decay, 5e-6);
  EXPECT_EQ(settings.training.values.epochs, 35);
  EXPECT_EQ(settings.training.values.context, 1024);
  EXPECT_EQ(settings.training.values.schedule.factor, 0.5);
  EXPECT_FALSE(settings.training.values.carry);
  EXPECT_FLOAT_EQ(settings.model.fields.values.dropout, 0.2F);
  EXPECT_EQ(settings.model.preset, "gcnn-14");
}

// What an author of the paper told of it (fairseq's issue 734).
TEST(Recipes, GoogleBillionWordIsNotRegularised) {
  const Settings settings = recipe_settings("dauphin-gbw");
  EXPECT_EQ(settings.model.fields.values.dropout, 0.0F);
  EXPECT_EQ(settings.training.values.optimizer.weight_decay, 0);
  EXPECT_EQ(settings.training.values.schedule.lr, 1);
  EXPECT_EQ(settings.training.values.clip, 0.1);
}

TEST(Recipes, WhatIsGivenWins) {
  Settings settings = recipe_settings("dauphin-gbw");
  Settings given;
  given.training.set("lr", Value(0.5), {.where = "test"});
  given.model = read_model_request({{"preset", Value("tiny"), {.where = "test"}}},
                                   settings.model.architecture());
  Notes notes;
  settings.overlay(given, notes);
  EXPECT_EQ(settings.training.values.schedule.lr, 0.5);
  EXPECT_EQ(settings.training.values.clip, 0.1);
  EXPECT_EQ(settings.model.preset, "tiny");
  EXPECT_THROW(recipe_settings("dauphin"), UsageError);
}

}  // namespace
}  // namespace sluice
