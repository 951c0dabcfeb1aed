#include "sluice/base/detail/json.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

const FieldPlace request{.where = "config 'x.json'"};

std::string refusal(const std::string& text, const JsonLimits& limits = {},
                    const FieldPlace& place = request) {
  try {
    parse_json(text, place, limits);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Json, ReadsWhatItWrites) {
  const std::string text =
      R"({"a":[1,-2,2.5,true,null],"b":{"c":"x\ny"},"d":18446744073709551615,"e":0.1})";
  const Value value = parse_json(text, request);
  EXPECT_EQ(json_text(value), text);
  EXPECT_EQ(parse_json(json_text(value, 2), request), value);
}

TEST(Json, NamesAreWrittenInOrder) {
  EXPECT_EQ(json_text(Value::Object{{"b", 1}, {"a", 2}}), R"({"a":2,"b":1})");
}

TEST(Json, TextsAreThoseOfTheLibrary) {
  const std::string odd = "\xff\n\t\x7f\xe4\xb8\xad" + std::string(1, '\0');
  const double none = std::numeric_limits<double>::quiet_NaN();
  const Value value = Value::Object{
      {"z", Value::List{}},
      {"a", Value::List{Value::Object{}, 1.0, 1e300, -0.0, 1e-7, Value::List{1, "x", true}}},
      {"\xc3\xa4\"\\/", odd},
      {"n", none}};
  using nlohmann::json;
  const json document = {
      {"z", json::array()},
      {"a", {json::object(), 1.0, 1e300, -0.0, 1e-7, json::array({1, "x", true})}},
      {"\xc3\xa4\"\\/", odd},
      {"n", none}};
  for (const int indent : {-1, 0, 2}) {
    EXPECT_EQ(json_text(value, indent),
              document.dump(indent, ' ', false, json::error_handler_t::replace));
  }
  EXPECT_EQ(json_text(Value::Object{{"b", 1}, {"a", Value()}}, -1, JsonNames::as_given),
            R"({"b":1,"a":null})");
}

TEST(Json, TheLastOfTwoFieldsCounts) {
  const Value value = parse_json(R"({"a":1,"b":2,"a":3})", request);
  EXPECT_EQ(*value.find("a"), Value(3));
  EXPECT_EQ(value.as<Value::Object>()->size(), 2U);
}

TEST(Json, FaultsAreNamedWithTheirPlace) {
  EXPECT_EQ(refusal("{\n  \"a\": }").find("config 'x.json', line 2, column 8: "), 0U)
      << refusal("{\n  \"a\": }");
  EXPECT_NE(refusal("").find("line 1, column 1: "), std::string::npos);
  EXPECT_NE(refusal(R"({"a": 1e400})").find("column 11: the number '1e400' is too large for"),
            std::string::npos)
      << refusal(R"({"a": 1e400})");
  // Of one line of a file the column alone is left to say.
  EXPECT_EQ(refusal("{x", {}, {.where = "'x.jsonl', line 3"}).find("'x.jsonl', line 3, column 2: "),
            0U);
  EXPECT_NE(refusal(R"({"a": 1e-400})").find("'1e-400' is too small to be told from 0"),
            std::string::npos);
  EXPECT_EQ(refusal(R"({"a": 1e-300, "b": 0.0, "c": 0e9})"), "");
}

TEST(Json, AFaultQuotesLittle) {
  const std::string message = refusal("{\"a\": \"" + std::string(100000, 'x') + "\x01");
  EXPECT_NE(message, "");
  EXPECT_LT(message.size(), 400U);
  EXPECT_EQ(message.find('\x01'), std::string::npos);
}

TEST(Json, DepthIsLimited) {
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_EQ(refusal(nested(64)), "");
  EXPECT_EQ(refusal(nested(65)), "config 'x.json': nested deeper than 64 levels");
  EXPECT_EQ(refusal(nested(1'000'000)), "config 'x.json': nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  EXPECT_EQ(refusal(objects), "config 'x.json': nested deeper than 64 levels");
}

TEST(Json, SizeIsLimited) {
  EXPECT_EQ(refusal("[1, 2]", {.bytes = 6}), "");
  EXPECT_NE(refusal("[1, 2, 3]", {.bytes = 6}).find("9 bytes"), std::string::npos);
}

TEST(Json, WhoseFaultItIsDecidesTheKindOfError) {
  const FieldPlace file{.where = "config.json", .origin = FieldPlace::Origin::file};
  try {
    parse_json("{", file);
    FAIL();
  } catch (const UsageError&) {
    FAIL();
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace sluice
