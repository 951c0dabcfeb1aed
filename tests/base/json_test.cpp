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
  EXPECT_EQ(refusal("{x", json_line, {.where = "'x.jsonl', line 3"})
                .find("'x.jsonl', line 3, column 2: "),
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

// Before the parser sees it, which copies each several times over.
TEST(Json, LengthsAreLimited) {
  const auto longer = [](const char* what, const char* most) {
    return std::string("config 'x.json', line 2, column 6: ") + what + " is longer than " + most +
           " characters";
  };
  const auto within = [](const std::string& token) { return "[1,\n  2, " + token + "]"; };
  EXPECT_EQ(refusal(within(std::string(1000, '1'))).find("is longer"), std::string::npos);
  EXPECT_EQ(refusal(within("0." + std::string(998, '1'))), "");
  EXPECT_EQ(refusal(within("0." + std::string(999, '1'))), longer("a number", "1,000"));
  const JsonLimits few{.text = 100'000};
  for (const std::string& text : {std::string(100'000, 'a'), std::string(50'000, '\\')}) {
    const std::string most = text + text.substr(0, 100'000 - text.size());
    EXPECT_EQ(refusal(within('"' + most + '"'), few), "");
    EXPECT_EQ(refusal(within('"' + most + "aa\""), few), longer("a string", "100,000"));
    EXPECT_EQ(refusal(within('"' + most + "aa"), few), longer("a string", "100,000"));
  }
  EXPECT_EQ(refusal("{\"" + std::string(100'001, 'a') + "\":1}", few).find("line 1, column 2: "),
            std::string("config 'x.json', ").size());
  EXPECT_EQ(refusal(within(std::string(1'000'000, ' ') + "1")), "");
  EXPECT_NE(refusal("1" + std::string(2'000'000, '\n')).find("white space is longer"),
            std::string::npos);
  // What is wrong before it is named first.
  EXPECT_NE(refusal("[1,,2, " + std::string(2000, '1')).find("line 1, column 4: "),
            std::string::npos);
  EXPECT_NE(refusal("{} " + std::string(2000, '1')).find("a number is longer"), std::string::npos);
}

TEST(Json, LongStringsHaveWhatShortOnesMayHave) {
  const std::string filler(70'000, 'a');
  const auto said = [&](const std::string& what) {
    const std::string message = refusal("{\"a\": \"" + filler + what + "\"}");
    const std::string place = "config 'x.json', line 1, column 70008: ";
    return message.starts_with(place) ? message.substr(place.size()) : message;
  };
  EXPECT_EQ(said(R"(\n\"\\\/\u00e4\ud83d\ude00)"), "");
  EXPECT_EQ(said("\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80\x7f"), "");
  const std::string control = "a string has a control character, which must be escaped";
  EXPECT_EQ(said("\n"), control);
  EXPECT_EQ(said(std::string(1, '\0')), control);
  EXPECT_EQ(said("\\x"), "a string has no such escape");
  EXPECT_EQ(said("\\u12g4"), "a string has no such escape");
  for (const char* bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb8"}) {
    EXPECT_EQ(said(bad), "a string is not UTF-8");
  }
  EXPECT_NE(refusal("[\"" + filler).find("a string has no end"), std::string::npos);
  EXPECT_NE(refusal("[\"" + filler + "\\\"").find("a string has no end"), std::string::npos);
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
