#include <gtest/gtest.h>

#include <string>

#include "sluice/base/error.hpp"
#include "sluice/models/gcnn.hpp"

namespace sluice {
namespace {

std::string parse_error(std::string_view spec) {
  try {
    parse_layers(spec);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Layers, ParsesThePapersForm) {
  const auto layers = parse_layers("[(512, 5)] + [(128,1,0), (128,5,0),(512,1,3)]*3");
  ASSERT_EQ(layers.size(), 10U);
  EXPECT_EQ(layers[0], (LayerSpec{512, 5, 1}));
  EXPECT_EQ(layers[1], (LayerSpec{128, 1, 0}));
  EXPECT_EQ(layers[2], (LayerSpec{128, 5, 0}));
  EXPECT_EQ(layers[9], (LayerSpec{512, 1, 3}));
}

TEST(Layers, BlanksAndTrailingCommasAreAllowed) {
  EXPECT_EQ(parse_layers("\t[ ( 8 , 2 , 1 ) , ] * 2 "), parse_layers("[(8,2),(8,2)]"));
}

TEST(Layers, ErrorsNameThePosition) {
  EXPECT_EQ(parse_error("[(512,4)*8"),
            "layer spec '[(512,4)*8': expected ',' or ']' at position 8, got '*'; write it like "
            "'[(512,4)]*8'");
  EXPECT_NE(parse_error("").find("expected '[' at position 0, got the end"), std::string::npos);
  EXPECT_NE(parse_error("[]").find("expected '(' at position 1, got ']'"), std::string::npos);
  EXPECT_NE(parse_error("[(512)]").find("expected ',' at position 5, got ')'"), std::string::npos);
  EXPECT_NE(parse_error("[(512,4,1,1)]").find("expected ',' or ')' at position 9, got ','"),
            std::string::npos);
  EXPECT_NE(parse_error("[(-1,4)]").find("expected channels (a whole number) at position 2"),
            std::string::npos);
  EXPECT_NE(parse_error("[(4,4)] [(4,4)]").find("expected '+', '*' or the end at position 8"),
            std::string::npos);
  EXPECT_NE(parse_error("[(4,4)]*").find("expected a repetition (a whole number) at position 8"),
            std::string::npos);
  EXPECT_NE(parse_error("[(4,4é)]").find("got 'é'"), std::string::npos);
}

TEST(Layers, LimitsAreKept) {
  EXPECT_NO_THROW(parse_layers("[(65536,64)]*1000"));
  EXPECT_NE(parse_error("[(65537,4)]").find("expected channels from 1 to 65536 at position 2"),
            std::string::npos);
  EXPECT_NE(parse_error("[(0,4)]").find("expected channels from 1 to 65536"), std::string::npos);
  EXPECT_NE(parse_error("[(4,65)]").find("expected a kernel width from 1 to 64 at position 4"),
            std::string::npos);
  EXPECT_NE(parse_error("[(4,4)]*1001").find("position 8"), std::string::npos);
  EXPECT_NE(parse_error("[(4,4),(4,4)]*501").find("more than 1000 layers at position 14"),
            std::string::npos);
  EXPECT_NE(parse_error("[(4,4)]*0").find("from 1 to 1000"), std::string::npos);
  EXPECT_NE(parse_error("[(99999999999999999999999,4)]").find("got 99999999999999999999999"),
            std::string::npos);
}

TEST(Layers, ResidualsReachNoFurtherThanTheEmbedding) {
  EXPECT_NO_THROW(parse_layers("[(4,2,1),(4,2,2),(4,2,3)]"));
  EXPECT_NE(parse_error("[(4,2,2)]").find("residual 2 at position 6 reaches back before"),
            std::string::npos);
  // Checked at each repetition: only the first one reaches too far back.
  EXPECT_NE(parse_error("[(4,2,0),(4,2,3)]*2").find("layer 2 takes at most 2"), std::string::npos);
  EXPECT_NO_THROW(parse_layers("[(4,2)] + [(4,2,0),(4,2,3)]*2"));
}

TEST(Layers, StringIsTheInverse) {
  for (const char* spec :
       {"[(512,4)]*8", "[(512,5)] + [(128,1,0),(128,5,0),(512,1,3)]*3", "[(4,4),(8,4)]",
        "[(850,6)]*3 + [(850,1)] + [(850,5)]*4 + [(850,1)] + [(850,4)]*3 + [(1024,4),(2048,4)]",
        "[(4,1,0)]"}) {
    EXPECT_EQ(layers_string(parse_layers(spec)), spec);
  }
  for (const Preset& preset : presets()) {
    const auto layers = preset.config.shape<GcnnShape>().layers;
    EXPECT_EQ(parse_layers(layers_string(layers)), layers) << preset.name;
  }
}

// Every prefix of a spec, and every spec with one byte replaced, parses or throws UsageError.
TEST(Layers, DamagedSpecsNeverCrash) {
  const std::string spec = "[(512,5)] + [(128,1,0),(128,5,0),(512,1,3)]*3";
  for (std::size_t i = 0; i < spec.size(); ++i) {
    EXPECT_NO_FATAL_FAILURE(parse_error(spec.substr(0, i)));
    for (int byte = 0; byte < 256; ++byte) {
      std::string damaged = spec;
      damaged[i] = static_cast<char>(byte);
      EXPECT_NO_FATAL_FAILURE(parse_error(damaged));
    }
  }
}

}  // namespace
}  // namespace sluice
