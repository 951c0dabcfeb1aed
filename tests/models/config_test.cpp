#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/models/config.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/memory.hpp"

namespace sluice {
namespace {

const FieldPlace config_file{.where = "model config", .origin = FieldPlace::Origin::file};

ModelConfig small() {
  ModelConfig config;
  config.shape<GcnnShape>().layers =
      parse_layers("[(16,3)] + [(4,1,0),(4,3,0),(16,1,3)]*2 + [(20,2,2)]");
  config.vocabulary = 50;
  config.dim = 8;
  config.cutoffs = {10, 30};
  return config;
}

TEST(Config, RefusesEachFieldOutOfRange) {
  EXPECT_NO_THROW(small().validate());
  const std::pair<const char*, std::function<void(ModelConfig&)>> faults[] = {
      {"unknown arch 'lsmt'; did you mean lstm?", [](ModelConfig& c) { c = ModelConfig("lsmt"); }},
      {"'layers'", [](ModelConfig& c) { c.shape<GcnnShape>().layers.clear(); }},
      {"expected channels from 1 to 65536",
       [](ModelConfig& c) { c.shape<GcnnShape>().layers[1].channels = 0; }},
      {"a kernel width from 1 to 64",
       [](ModelConfig& c) { c.shape<GcnnShape>().layers[0].kernel = 65; }},
      {"layer 1 takes at most 1",
       [](ModelConfig& c) { c.shape<GcnnShape>().layers[0].residual = 2; }},
      {"'vocabulary' must be a whole number from 1 to", [](ModelConfig& c) { c.vocabulary = 0; }},
      {"'dim' must be", [](ModelConfig& c) { c.dim = -1; }},
      {"nosuch", [](ModelConfig& c) { c.shape<GcnnShape>().unit = "nosuch"; }},
      {"'dropout' must be a number of at least 0 and below 1, got 1",
       [](ModelConfig& c) { c.dropout = 1; }},
      {"'dropout' must be", [](ModelConfig& c) { c.dropout = std::nanf(""); }},
      {"unknown softmax 'half'", [](ModelConfig& c) { c.softmax = "half"; }},
      {"at least one cutoff", [](ModelConfig& c) { c.cutoffs.clear(); }},
      {"cutoffs 30,10 must ascend",
       [](ModelConfig& c) {
         c.cutoffs = {30, 10};
       }},
      {"cutoffs 50 must ascend", [](ModelConfig& c) { c.cutoffs = {50}; }},
      {"cutoffs 0 must ascend", [](ModelConfig& c) { c.cutoffs = {0}; }},
      {"too many for a last layer of 20",
       [](ModelConfig& c) {
         c.cutoffs = {1, 2, 3};
       }},
      {"takes no cutoffs", [](ModelConfig& c) { c.softmax = "full"; }},
      {"dim 8 and 20 channels", [](ModelConfig& c) { c.tie = true; }},
  };
  for (const auto& [message, damage] : faults) {
    ModelConfig config = small();
    try {
      damage(config);
      config.validate();
      ADD_FAILURE() << "accepted: " << message;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
  }
}

// Groups divide channels in many places: no arithmetic comes before their own check.
TEST(Config, RefusesGroupsThatAreNone) {
  for (const std::string& arch : architecture_names()) {
    for (const std::int64_t groups : {0, -1}) {
      ModelConfig config(arch);
      config.architecture().choose_size(config, TextSize::tiny);
      config.architecture().complete(config, {.tokens = 1, .vocabulary = 50, .context = 8}, {});
      config.vocabulary = 50;
      config.softmax = "full";
      EXPECT_NO_THROW(config.validate()) << arch;
      config.norm = "group";
      config.groups = groups;
      try {
        config.validate();
        ADD_FAILURE() << arch;
      } catch (const UsageError& error) {
        EXPECT_NE(std::string(error.what()).find("'groups' must be"), std::string::npos)
            << error.what();
      }
    }
  }
}

TEST(Config, ParameterCountAgreesWithTheModel) {
  for (const bool weight_norm : {true, false}) {
    for (const char* unit : {"glu", "relu"}) {
      for (const bool adaptive : {true, false}) {
        for (const bool tie : {true, false}) {
          ModelConfig config = small();
          config.norm = weight_norm ? "weight" : "none";
          config.shape<GcnnShape>().unit = unit;
          config.tie = tie;
          if (tie) config.dim = 20;
          if (!adaptive) {
            config.softmax = "full";
            config.cutoffs.clear();
          }
          const auto model = make_model(config, 1);
          EXPECT_EQ(config.parameter_count(), parameter_count(model->parameters()))
              << unit << " weight_norm " << weight_norm << " adaptive " << adaptive << " tie "
              << tie;
        }
      }
    }
  }
}

TEST(Config, ParameterCountByHand) {
  ModelConfig config;
  config.shape<GcnnShape>().layers = {{6, 2, 1}};
  config.vocabulary = 10;
  config.dim = 4;
  config.softmax = "full";
  // Embedding 40; layer 2·4·12 + 12 + 12 = 120; projection 4·6 + 6 + 6 = 36; output 60 + 10.
  EXPECT_EQ(config.parameter_count(), 40 + 120 + 36 + 70);
}

TEST(Config, RoundTrip) {
  ModelConfig config = small();
  config.dropout = 0.1F;
  config.shape<GcnnShape>().unit = "gtu";
  config.norm = "none";
  const Value object = write_model(config);
  EXPECT_EQ(*object.find("dropout"), Value(0.1));
  EXPECT_EQ(*object.find("layers"), Value("[(16,3)] + [(4,1,0),(4,3,0),(16,1,3)]*2 + [(20,2,2)]"));
  const ModelConfig back = read_model(object, config_file);
  EXPECT_EQ(write_model(back), object);
  EXPECT_EQ(back, config);
  EXPECT_EQ(back.shape<GcnnShape>().layers, config.shape<GcnnShape>().layers);
  EXPECT_EQ(back.dropout, config.dropout);
}

TEST(Config, EqualAreThoseThatAFileSaysTheSameOf) {
  ModelConfig config = small();
  config.groups = 2;  // of another norm
  EXPECT_EQ(config, small());
  config.dim = 9;
  EXPECT_NE(config, small());
  EXPECT_NE(ModelConfig("lstm"), ModelConfig("gru"));
}

TEST(Config, ErrorsNameTheField) {
  const Value good = write_model(small());
  for (const auto& [name, value] : *good.as<Value::Object>()) {
    Value::Object missing = *good.as<Value::Object>();
    std::erase_if(missing, [&, &without = name](const auto& f) { return f.first == without; });
    Value wrong = good;
    wrong.set(name, Value::Object{});
    for (const Value& bad : {Value(missing), wrong}) {
      try {
        read_model(bad, config_file);
        ADD_FAILURE() << "accepted " << shown(bad);
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("'" + name + "'"), std::string::npos)
            << error.what();
        EXPECT_EQ(dynamic_cast<const UsageError*>(&error), nullptr);
      }
    }
  }
  for (const Value& number : {Value(2.5), Value(1e30), Value(UINT64_MAX), Value("4")}) {
    Value bad = good;
    bad.set("dim", number);
    EXPECT_THROW(read_model(bad, config_file), Error) << shown(number);
  }
}

TEST(Memory, EstimateGrowsWithEverything) {
  const ModelConfig config = small();
  const std::size_t base = training_memory_estimate(config, 4, 16);
  EXPECT_GE(base, static_cast<std::size_t>(config.parameter_count()) * 4 * sizeof(float));
  EXPECT_GT(training_memory_estimate(config, 8, 16), base);
  EXPECT_GT(training_memory_estimate(config, 4, 32), base);
  EXPECT_LT(training_memory_estimate(config, 4, 16, 1), base);
  EXPECT_LT(training_memory_estimate(config, 4, 16, 2, true), base);
  EXPECT_LT(training_memory_estimate(config, 4, 16), physical_memory());
  EXPECT_NO_THROW(check_training_memory(config, 4, 16));
}

TEST(Memory, AbsurdSizesAreRefusedWithWhatTheyNeed) {
  ModelConfig config = small();
  config.dim = 1'000'000'000;
  config.vocabulary = 33278;
  try {
    check_training_memory(config, 16, 128);
    FAIL();
  } catch (const UsageError& error) {
    // 33390 · 1e9 parameters · 4 copies, 2 · 96 · 1e9 derived weights and 2048 · 3 · 1e9
    // activations, of 4 bytes each.
    EXPECT_NE(std::string(error.what()).find(" 559.6 TB"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(" of memory and there are "), std::string::npos)
        << error.what();
  }
  config.vocabulary = std::numeric_limits<std::int32_t>::max();
  config.dim = std::numeric_limits<std::int32_t>::max();
  config.validate();
  EXPECT_GT(config.parameter_count(), 0);
  EXPECT_EQ(training_memory_estimate(config, 1'000'000'000, 1'000'000'000),
            std::numeric_limits<std::size_t>::max());
}

}  // namespace
}  // namespace sluice
