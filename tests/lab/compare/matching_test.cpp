// Widths that make sizes equal, against counts worked out by hand.

#include "sluice/lab/compare/matching.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/lab/compare/variants.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/training/defaults.hpp"
#include "support/json_documents.hpp"
#include "support/model_configs.hpp"

namespace sluice {
namespace {

using nlohmann::json;

ModelConfig gcnn(const std::string& layers, std::int64_t dim, const std::string& unit,
                 std::int64_t vocabulary = 65) {
  ModelConfig config;
  config.shape<GcnnShape>().layers = parse_layers(layers);
  config.dim = dim;
  config.shape<GcnnShape>().unit = unit;
  config.vocabulary = vocabulary;
  config.softmax = "full";
  return config;
}

// Each layer: K·C·2N weights, 2N biases and 2N lengths of weight normalisation; the embedding V·D;
// the softmax V·N + V. FLOPs: two per scalar of the layers and per weight of the softmax.
TEST(Matching, CountsAreThoseOfTheFormula) {
  const ModelConfig model = gcnn("[(64,4)]*4", 64, "glu");
  const std::int64_t layers = 4 * (4 * 64 * 128 + 2 * 128);
  EXPECT_EQ(match_count(model, MatchBy::parameters), layers + 65 * 64 + 65 * 64 + 65);
  EXPECT_EQ(match_count(model, MatchBy::flops), 2 * (layers + 64 * 65));
  EXPECT_EQ(match_count(model, MatchBy::flops), flops_per_token(model));
  // What is counted is what is built.
  const auto built = make_model(model, std::nullopt);
  EXPECT_EQ(parameter_count(built->parameters()), match_count(model, MatchBy::parameters));
}

TEST(Matching, AdaptiveSoftmaxCountsItsHead) {
  ModelConfig model = gcnn("[(64,4)]*4", 64, "glu", 1000);
  model.softmax = "adaptive";
  model.cutoffs = {100, 400};
  const std::int64_t layers = 4 * (4 * 64 * 128 + 2 * 128);
  EXPECT_EQ(flops_per_token(model), 2 * (layers + 64 * (100 + 2)));
  model.tie = true;
  EXPECT_EQ(flops_per_token(model), 2 * (layers + 64 * (100 + 2)));
}

TEST(Matching, ScalesEveryWidthByOneFactor) {
  const ModelConfig model = gcnn("[(128,5)] + [(32,1,0),(32,5,0),(128,1,3)]*2", 128, "glu");
  const ModelConfig half = scaled(model, 0.5);
  EXPECT_EQ(half.shape<GcnnShape>().layers,
            parse_layers("[(64,5)] + [(16,1,0),(16,5,0),(64,1,3)]*2"));
  EXPECT_EQ(half.dim, 64);
  EXPECT_EQ(half.shape<GcnnShape>().unit, "glu");
  EXPECT_EQ(scaled(model, 1), model);
  EXPECT_EQ(scaled(model, 1e-9).dim, 1);
}

TEST(Matching, BringsUnitsToTheSameSize) {
  const std::int64_t target = match_count(gcnn("[(256,4)]*5", 256, "glu"), MatchBy::parameters);
  for (const char* unit : {"tanh", "relu", "gtu", "glu", "bilinear"}) {
    const Match match = match_model(gcnn("[(256,4)]*5", 256, unit), MatchBy::parameters, target);
    EXPECT_TRUE(match.matched) << unit;
    EXPECT_LE(std::abs(match.error), 0.01) << unit;
    EXPECT_EQ(match.count, match.model.parameter_count()) << unit;
    EXPECT_EQ(match.model.shape<GcnnShape>().unit, unit);
    // An ungated layer has half the weights of a gated one: about √2 as wide.
    const bool gated = unit != std::string("tanh") && unit != std::string("relu");
    EXPECT_NEAR(match.factor, gated ? 1 : std::sqrt(2.0), 0.02) << unit;
  }
}

TEST(Matching, ByFlops) {
  const ModelConfig first = gcnn("[(256,4)]*5", 256, "glu");
  const Match match =
      match_model(gcnn("[(256,4)]*5", 256, "tanh"), MatchBy::flops, flops_per_token(first));
  EXPECT_TRUE(match.matched);
  EXPECT_NEAR(static_cast<double>(flops_per_token(match.model)),
              static_cast<double>(flops_per_token(first)),
              0.01 * static_cast<double>(flops_per_token(first)));
}

// One more channel in every layer of a narrow model is more than 2%: the embedding's width makes up
// for the rest.
TEST(Matching, NarrowModelsAreTunedByTheEmbedding) {
  for (const std::int64_t width : {16, 24, 32, 48, 64}) {
    const std::string layers = "[(" + std::to_string(width) + ",4)]*4";
    const std::int64_t target = match_count(gcnn(layers, width, "glu"), MatchBy::parameters);
    const Match match = match_model(gcnn(layers, width, "tanh"), MatchBy::parameters, target);
    EXPECT_TRUE(match.matched) << width << ": " << match.error;
    const auto built = make_model(match.model, std::nullopt);
    EXPECT_EQ(parameter_count(built->parameters()), match.count);
  }
}

TEST(Matching, LeavesAloneWhatFitsAlready) {
  const ModelConfig model = gcnn("[(256,4)]*5", 256, "glu");
  const std::int64_t count = match_count(model, MatchBy::parameters);
  const Match match = match_model(model, MatchBy::parameters, count + count / 101);
  EXPECT_TRUE(match.matched);
  EXPECT_EQ(match.model, model);
  EXPECT_EQ(match.factor, 1);
  EXPECT_EQ(match_model(model, MatchBy::width, 10 * count).model, model);
}

TEST(Matching, SaysTheNearestWhenThereIsNoMatch) {
  // Tied: no width can be set apart, and the widths around 4 are far from each other.
  ModelConfig model = gcnn("[(4,4)]*2", 4, "tanh", 10);
  model.tie = true;
  std::set<std::int64_t> counts;
  for (int width = 1; width < 20; ++width) {
    counts.insert(match_count(scaled(model, width / 4.0), MatchBy::parameters));
  }
  const std::int64_t below = match_count(scaled(model, 2.0), MatchBy::parameters);
  const std::int64_t above = *counts.upper_bound(below);
  const Match match = match_model(model, MatchBy::parameters, below + (above - below) / 3);
  EXPECT_FALSE(match.matched);
  EXPECT_EQ(match.count, below);
  EXPECT_LT(match.error, -0.01);
}

TEST(Matching, NamesAndNearestNames) {
  for (const char* name : {"width", "parameters", "flops"}) {
    EXPECT_EQ(name_of(parse_enum<MatchBy>(name)), name);
  }
  try {
    parse_enum<MatchBy>("flop");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("flops"), std::string::npos);
  }
  EXPECT_EQ(widths_string(gcnn("[(8,4)]*2", 6, "glu")), "layers [(8,4)]*2, dim 6");
}

ModelRequest model_of(const json& fields) {
  return read_model_request(value_of(fields), {.where = "model config"}, default_architecture());
}

ModelConfig chosen(const json& request) {
  Notes ignored;
  return choose_model(model_of(request), {.tokens = 1'000'000, .vocabulary = 65, .context = 128},
                      ignored);
}

const std::vector<json> every_architecture = {
    {{"arch", "gcnn"}, {"layers", "[(64,4)]*4"}},
    {{"arch", "rnn"}, {"depth", 2}, {"hidden", 128}},
    {{"arch", "lstm"}, {"depth", 2}, {"hidden", 96}},
    {{"arch", "gru"}, {"depth", 2}, {"hidden", 96}, {"norm", "layer"}},
    {{"arch", "indrnn"}, {"depth", 6}, {"hidden", 96}},
    {{"arch", "mut1"}, {"depth", 1}, {"hidden", 96}},
    {{"arch", "transformer"}, {"depth", 2}, {"dim", 64}, {"heads", 4}, {"window", 32}},
};

// Whatever stands between the embedding and the softmax is used once per token; attention is not
// made of parameters.
TEST(Matching, FlopsOfEveryArchitecture) {
  for (const json& request : every_architecture) {
    const ModelConfig config = chosen(request);
    std::int64_t products = config.parameter_count() - 65 * config.dim - 65;
    if (config.arch() == "transformer") products += 2 * 2 * 32 * 64;  // layers, W and D; twice
    EXPECT_EQ(flops_per_token(config), 2 * products) << request.dump();
  }
}

TEST(Matching, EveryArchitectureToEveryOther) {
  for (const json& first : every_architecture) {
    for (const MatchBy by : {MatchBy::parameters, MatchBy::flops}) {
      const std::int64_t target = match_count(chosen(first), by);
      for (const json& second : every_architecture) {
        const Match match = match_model(chosen(second), by, target);
        EXPECT_TRUE(match.matched) << second.dump() << " to " << first.dump() << " by "
                                   << name_of(by) << ": " << match.error;
        EXPECT_EQ(match.count, match_count(match.model, by));
        EXPECT_NO_THROW(match.model.validate());
      }
    }
  }
}

TEST(Matching, FeedForwardUnitsByTheirWidthAlone) {
  json first = every_architecture.back();
  first["ffn"] = "swiglu";
  first["ffn_width"] = 256;
  json second = first;
  second["ffn"] = "gelu";
  const std::int64_t target = match_count(chosen(first), MatchBy::parameters);
  const Match match = match_model(chosen(second), MatchBy::parameters, target);
  EXPECT_TRUE(match.matched);
  EXPECT_EQ(match.model.dim, 64);
  EXPECT_NEAR(static_cast<double>(match.model.shape<TransformerShape>().ffn_width), 1.5 * 256, 3);
}

std::string refusal(const std::string& variation) {
  try {
    parse_variation(variation);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Variations, ReadValuesAsTheFieldsType) {
  EXPECT_EQ(parse_variation("unit=tanh,relu(a)*b").values,
            (std::vector<Value>{"tanh", "relu(a)*b"}));
  EXPECT_EQ(parse_variation("dropout=0,0.1").values, (std::vector<Value>{0, 0.1}));
  EXPECT_EQ(parse_variation("batch=8,1e2").values, (std::vector<Value>{8, 100}));
  EXPECT_EQ(parse_variation("tie=true,false").values, (std::vector<Value>{true, false}));
  EXPECT_EQ(parse_variation("layers=[(64,4)]*4,[(32,4)]*8").values,
            (std::vector<Value>{"[(64,4)]*4", "[(32,4)]*8"}));
}

TEST(Variations, RefuseInOneSentence) {
  EXPECT_NE(refusal("unti=tanh").find("did you mean unit"), std::string::npos);
  EXPECT_NE(refusal("unit=tanh,gluu").find("did you mean glu"), std::string::npos);
  EXPECT_EQ(refusal("positions=none,learned"), "accepted");
  EXPECT_EQ(refusal("groups=4,0"),
            "values of 'groups': expected a whole number of at least 1, got 0");
  EXPECT_NE(refusal("unit").find("FIELD=A,B"), std::string::npos);
  EXPECT_NE(refusal("batch=8,many").find("a whole number from 1 to 16777216, got 'many'"),
            std::string::npos);
  EXPECT_NE(refusal("dropout=0,").find("a value"), std::string::npos);
  EXPECT_NE(refusal("seed=1,2").find("the same seeds"), std::string::npos);
  EXPECT_NE(refusal("tokens=1,2").find("same budget"), std::string::npos);
  EXPECT_NE(refusal("vocabulary=1,2").find("vocabularies"), std::string::npos);
  EXPECT_NE(refusal("unit=tanh,tanh").find("twice"), std::string::npos);
}

TEST(Variations, CombineInOrder) {
  const auto variants =
      all_variants({parse_variation("unit=tanh,glu"), parse_variation("optimizer=adamw,sgd")});
  ASSERT_EQ(variants.size(), 4U);
  EXPECT_EQ(variants[0].name, "unit=tanh optimizer=adamw");
  EXPECT_EQ(variants[1].name, "unit=tanh optimizer=sgd");
  EXPECT_EQ(*variants[2].find("unit"), Value("glu"));
  EXPECT_EQ(*variants[3].find("optimizer"), Value("sgd"));
  EXPECT_EQ(variants[3].find("norm"), nullptr);
  EXPECT_THROW(all_variants({}), UsageError);
  EXPECT_THROW(all_variants({parse_variation("unit=glu")}), UsageError);
  EXPECT_THROW(all_variants({parse_variation("unit=glu"), parse_variation("unit=gtu")}),
               UsageError);
}

VariantSettings asking_for(const json& model) { return {model_of(model), {}}; }

TEST(Variations, DisplaceWhatSaysTheSame) {
  const VariantSettings base = asking_for({{"layers", "[(64,4)]*4"}, {"unit", "glu"}});
  const auto variants = all_variants({parse_variation("preset=tiny,gcnn-8")});
  const VariantSettings settings = apply_variant(base, variants[0]);
  EXPECT_FALSE(settings.model.has("layers"));
  EXPECT_EQ(settings.model.preset, "tiny");
  EXPECT_TRUE(settings.model.has("unit"));
}

TEST(Variations, ArchitecturesTakeTheFieldsTheyHave) {
  const VariantSettings base =
      asking_for({{"layers", "[(64,4)]*4"}, {"hidden", 96}, {"dropout", 0.1}});
  const auto variants = all_variants({parse_variation("arch=gcnn,lstm")});
  const ModelRequest gcnn = apply_variant(base, variants[0]).model;
  const ModelRequest lstm = apply_variant(base, variants[1]).model;
  EXPECT_NO_THROW(gcnn.check());
  EXPECT_NO_THROW(lstm.check());
  EXPECT_TRUE(gcnn.has("layers") && !gcnn.has("hidden"));
  EXPECT_TRUE(lstm.has("hidden") && !lstm.has("layers"));
  EXPECT_EQ(lstm.fields.values.dropout, 0.1F);
  EXPECT_THROW(asking_for({{"hiden", 1}}), UsageError);
  EXPECT_NE(refusal("arhc=lstm").find("arch"), std::string::npos);
  EXPECT_EQ(parse_variation("removed_gates=none,input").values,
            (std::vector<Value>{Value::List{}, Value::List{"input"}}));
}

}  // namespace
}  // namespace sluice
