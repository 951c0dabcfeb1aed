#include "sluice/base/names.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

std::string near(const std::string& name, std::size_t most = 3) {
  static const std::vector<std::string> known = {"glu",      "gtu",           "reglu",
                                                 "bilinear", "reglu_sigmoid", "swiglu"};
  return nearest_names(name, known, most);
}

TEST(Names, NearestNamesBestFirst) {
  EXPECT_EQ(near("glu"), "glu or gtu");
  EXPECT_EQ(near("gu"), "glu or gtu");
  EXPECT_EQ(near("regul"), "reglu");  // two letters swapped
  EXPECT_EQ(near("bilinaer"), "bilinear");
  EXPECT_EQ(near("swigluu"), "swiglu");
}

TEST(Names, NearestNamesOfAWordCutShort) { EXPECT_EQ(near("bil"), "bilinear"); }

TEST(Names, NearestNamesAtMost) {
  EXPECT_EQ(near("gu", 1), "glu");
  EXPECT_EQ(near("gu", 0), "");
}

TEST(Names, NearestNamesNoneNear) {
  EXPECT_EQ(near("convolution"), "");
  EXPECT_EQ(near(""), "");
  EXPECT_EQ(nearest_names("glu", {}), "");
}

TEST(Names, SuggestionsAreTheNearestOrAll) {
  const std::vector<std::string> known = {"glu", "gtu", "relu"};
  EXPECT_EQ(suggestion("glv", known), "did you mean glu?");
  EXPECT_EQ(suggestion("convolution", known), "known are glu, gtu, relu");
  EXPECT_EQ(parse_name("unit", "gtu", known), 1U);
  try {
    parse_name("unit", "rleu", known);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "unknown unit 'rleu'; did you mean relu?");
  }
}

TEST(Names, QuotesShowControlCharactersAndLittle) {
  EXPECT_EQ(in_quotes("a\nb\x1b"), "'a\\nb\\x1b'");
  EXPECT_EQ(in_quotes("x", '"'), "\"x\"");
  EXPECT_EQ(in_quotes(std::string(80, 'x')), "'" + std::string(80, 'x') + "'");
  EXPECT_EQ(in_quotes(std::string(81, 'x')), "'" + std::string(80, 'x') + "...'");
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ä";
  EXPECT_EQ(in_quotes(umlauts), "'" + umlauts.substr(0, 160) + "...'");
}

enum class Shade { light, dark };
const EnumNames<Shade>& enum_names(Shade) {
  static const EnumNames<Shade> names("shade", {{Shade::dark, "dark"}, {Shade::light, "light"}});
  return names;
}

TEST(Names, EnumerationsHaveOneList) {
  EXPECT_EQ(name_of(Shade::light), "light");
  EXPECT_EQ(name_of(Shade::dark), "dark");
  EXPECT_EQ(parse_enum<Shade>("light"), Shade::light);
  EXPECT_EQ(parse_enum<Shade>("dark"), Shade::dark);
  EXPECT_EQ(enum_names(Shade{}).names(), (std::vector<std::string>{"dark", "light"}));
  try {
    parse_enum<Shade>("lihgt");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "unknown shade 'lihgt'; did you mean light?");
  }
}

TEST(Error, UsageErrorIsAnError) {
  try {
    throw UsageError("what, why, how.");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "what, why, how.");
  }
}

}  // namespace
}  // namespace sluice
