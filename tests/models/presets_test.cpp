#include <gtest/gtest.h>

#include <set>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/models/gcnn.hpp"

namespace sluice {
namespace {

std::int64_t receptive_field(const Preset& preset) {
  std::int64_t field = 1;
  for (const LayerSpec& layer : preset.config.shape<GcnnShape>().layers) field += layer.kernel - 1;
  return field;
}

TEST(Presets, AreValidForAnyVocabulary) {
  std::set<std::string> names;
  for (const Preset& preset : presets()) {
    EXPECT_TRUE(names.insert(preset.name).second) << preset.name;
    EXPECT_FALSE(preset.description.empty());
    for (const std::int64_t vocabulary : {2, 2000, 2001, 33278, 800000}) {
      EXPECT_NO_THROW(preset_config(preset, vocabulary).validate()) << preset.name << vocabulary;
    }
  }
}

// Layers and receptive fields counted by hand from the published tables.
TEST(Presets, PublishedShapes) {
  struct Published {
    const char* name;
    std::size_t layers;
    std::int64_t last_channels;
    std::int64_t field;
    std::int64_t dim;
    bool projection;
  };
  for (const Published& published :
       {Published{"gcnn-8", 8, 900, 25, 280, false}, Published{"gcnn-8b", 22, 2048, 25, 128, false},
        Published{"gcnn-9", 9, 807, 28, 128, false}, Published{"gcnn-13", 13, 1268, 40, 128, true},
        Published{"gcnn-14", 14, 2048, 47, 280, true},
        Published{"gcnn-14b", 40, 4096, 57, 128, true}}) {
    const Preset preset = find_preset(published.name);
    const auto& layers = preset.config.shape<GcnnShape>().layers;
    EXPECT_EQ(layers.size(), published.layers) << published.name;
    EXPECT_EQ(layers.back().channels, published.last_channels) << published.name;
    EXPECT_EQ(receptive_field(preset), published.field) << published.name;
    EXPECT_EQ(preset.config.dim, published.dim) << published.name;
    EXPECT_EQ(preset.config.shape<GcnnShape>().input_projection, published.projection)
        << published.name;
  }
}

// Dauphin et al. 2017, section 4.1; fairseq's model of that name ends the second band at 50,000.
TEST(Presets, TheBottleneckModelHasThePapersBands) {
  EXPECT_EQ(preset_config(find_preset("gcnn-14b"), 793471).cutoffs,
            (std::vector<std::int64_t>{10000, 40000, 200000}));
}

TEST(Presets, CutoffsBeyondTheVocabularyAreDropped) {
  const ModelConfig some = preset_config(find_preset("gcnn-14"), 33278);
  EXPECT_EQ(some.cutoffs, (std::vector<std::int64_t>{10000, 20000}));
  EXPECT_EQ(some.softmax, "adaptive");
  const ModelConfig none = preset_config(find_preset("gcnn-14"), 10000);
  EXPECT_TRUE(none.cutoffs.empty());
  EXPECT_EQ(none.softmax, "full");
}

TEST(Presets, UnknownNamesSuggestTheNearest) {
  try {
    find_preset("gcnn14");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("gcnn-14"), std::string::npos) << error.what();
  }
  EXPECT_THROW(find_preset(""), UsageError);
}

}  // namespace
}  // namespace sluice
