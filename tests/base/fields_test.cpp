#include "sluice/base/fields.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <new>
#include <string>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

enum class Colour { red, green };
const EnumNames<Colour>& enum_names(Colour) {
  static const EnumNames<Colour> names("colour", {{Colour::green, "green"}, {Colour::red, "red"}});
  return names;
}

struct Inner {
  std::int64_t n = 1;
  std::string text = "t";
};

struct Outer {
  std::int64_t whole = 3;
  std::uint64_t seed = 1;
  double real = 0.5;
  float single = 0.1F;
  bool yes = false;
  std::string text = "x";
  Colour colour = Colour::red;
  std::vector<std::int64_t> list;
  std::vector<Colour> colours;
  std::optional<double> maybe;
  Inner inner;
  std::vector<Inner> inners;
  std::pair<int, int> size{2, 3};
};

const FieldTable& inner_fields() {
  static const FieldTable table =
      FieldsOf<Inner>().add("n", &Inner::n, {.range = between(1, 9)}).add("text", &Inner::text);
  return table;
}

const FieldTable& outer_fields() {
  static const FieldTable table =
      FieldsOf<Outer>()
          .add("whole", &Outer::whole, {.range = at_least(1), .flag = "--whole"})
          .add("seed", &Outer::seed)
          .add("real", &Outer::real, {.range = from_to_below(0, 1)})
          .add("single", &Outer::single, {.range = above(0)})
          .add("yes", &Outer::yes)
          .add("text", &Outer::text)
          .add("colour", &Outer::colour)
          .add("list", &Outer::list, {.range = at_least(0)})
          .add("colours", &Outer::colours, {.one_for_list = true})
          .add("maybe", &Outer::maybe, {.optional = true})
          .add_struct("inner", &Outer::inner, inner_fields())
          .add_structs("inners", &Outer::inners, inner_fields())
          .add(
              "width", [](auto& o) -> auto& { return o.size; },
              text_codec<std::pair<int, int>>(
                  [](const std::pair<int, int>& p) {
                    return std::to_string(p.first) + "x" + std::to_string(p.second);
                  },
                  [](const std::string& text) {
                    const std::size_t x = text.find('x');
                    if (x == std::string::npos) throw UsageError("there is no x");
                    return std::pair{std::stoi(text.substr(0, x)), std::stoi(text.substr(x + 1))};
                  }))
          .add_alias<bool>(
              "is_green", "colour",
              [](Outer& o, bool green) { o.colour = green ? Colour::green : Colour::red; })
          .add(
              "blue", [](auto& o) -> auto& { return o.size.first; },
              FieldCodec<int>{"", "", [](const Value&, const FieldPlace&) { return 7; },
                              [](const int& n) { return Value(n); }, nullptr})
          .only_if([](const Outer& o) { return o.yes; });
  return table;
}

const FieldPlace place{.where = "thing"};

std::string refusal(const Value& object, Reading reading = Reading::partial) {
  Outer outer;
  try {
    read_fields({{outer_fields(), outer}}, object, place, reading);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

/// Sets a field from a text, as a command does with the flag of that field.
void set_from_text(const FieldPart& part, std::string_view name, std::string_view text,
                   const FieldPlace& at) {
  const Field* const field = part.table().find(name);
  ASSERT_NE(field, nullptr) << name;
  set_field({part}, name, field->from_text(text), at);
}

std::string flag_refusal(std::string_view name, std::string_view text) {
  Outer outer;
  try {
    set_from_text({outer_fields(), outer}, name, text,
                  {.where = "--it", .origin = FieldPlace::Origin::flag});
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Fields, WhatIsWrittenReadsBack) {
  Outer outer;
  outer.whole = INT64_MAX;
  outer.seed = UINT64_MAX;
  outer.real = 0.1;
  outer.single = 0.3F;
  outer.colour = Colour::green;
  outer.list = {1, 2};
  outer.colours = {Colour::red, Colour::green};
  outer.maybe = 2.0;
  outer.inner.n = 4;
  outer.inners = {{2, "a"}, {3, "b"}};
  outer.size = {7, 8};
  outer.yes = true;
  const Value written = write_fields({{outer_fields(), outer}});
  EXPECT_EQ(*written.find("single"), Value(0.3));
  EXPECT_EQ(*written.find("colours"), Value(Value::List{"red", "green"}));
  EXPECT_EQ(written.find("is_green"), nullptr);
  Outer back;
  read_fields({{outer_fields(), back}}, written, place, Reading::complete);
  EXPECT_EQ(write_fields({{outer_fields(), back}}), written);
  EXPECT_EQ(back.single, 0.3F);
  EXPECT_EQ(back.seed, UINT64_MAX);
  EXPECT_EQ(back.inners[1].text, "b");
}

TEST(Fields, WhatIsMissingKeepsItsValueUnlessAllIsAsked) {
  Outer outer;
  outer.text = "kept";
  const auto given = read_fields({{outer_fields(), outer}}, Value::Object{{"whole", 7}}, place);
  EXPECT_EQ(given, std::vector<std::string>{"whole"});
  EXPECT_EQ(outer.whole, 7);
  EXPECT_EQ(outer.text, "kept");
  EXPECT_EQ(refusal(Value::Object{{"whole", 7}}, Reading::complete), "thing: 'seed': missing");
}

TEST(Fields, AFieldThatDoesNotApplyIsNeitherWrittenNorMissed) {
  Outer outer;
  Value written = write_fields({{outer_fields(), outer}});
  EXPECT_EQ(written.find("blue"), nullptr);
  EXPECT_EQ(refusal(written, Reading::complete), "");
  written.set("yes", true);
  EXPECT_EQ(refusal(written, Reading::complete), "thing: 'blue': missing");
}

TEST(Fields, AnAliasStandsForItsField) {
  Outer outer;
  Value object = Value::Object{{"is_green", true}};
  EXPECT_EQ(read_fields({{outer_fields(), outer}}, object, place),
            std::vector<std::string>{"colour"});
  EXPECT_EQ(outer.colour, Colour::green);
  object.set("colour", "red");  // the field itself wins
  read_fields({{outer_fields(), outer}}, object, place);
  EXPECT_EQ(outer.colour, Colour::red);
}

TEST(Fields, RefusesWhatIsWrongByName) {
  const auto of = [](const char* name, Value value) {
    return refusal(Value::Object{{name, std::move(value)}});
  };
  EXPECT_EQ(of("whoel", 1), "thing: unknown field 'whoel'; did you mean whole?");
  EXPECT_EQ(of("whole", 2.7), "thing: 'whole' must be a whole number of at least 1, got 2.7");
  EXPECT_EQ(of("whole", 0), "thing: 'whole' must be a whole number of at least 1, got 0");
  EXPECT_EQ(of("whole", UINT64_MAX),
            "thing: 'whole' must be a whole number of at least 1, got 18446744073709551615");
  EXPECT_NE(of("whole", 1e300), "");
  EXPECT_NE(of("whole", Value()), "");
  EXPECT_EQ(of("whole", 1e6), "");
  EXPECT_NE(of("seed", -1), "");
  EXPECT_EQ(of("real", 1), "thing: 'real' must be a number of at least 0 and below 1, got 1");
  EXPECT_NE(of("real", NAN), "");
  EXPECT_NE(of("single", 1e-60), "");  // 0 as a float
  EXPECT_NE(of("single", 1e60), "");
  EXPECT_EQ(of("yes", 1), "thing: 'yes' must be true or false, got 1");
  EXPECT_EQ(of("text", Value::List{}), "thing: 'text' must be text, got []");
  EXPECT_EQ(of("colour", "gren"), "thing: 'colour': unknown colour 'gren'; did you mean green?");
  EXPECT_EQ(of("list", "x"), "thing: 'list' must be a list, got \"x\"");
  EXPECT_EQ(of("list", Value::List{1, -1}),
            "thing: 'list[1]' must be a whole number of at least 0, got -1");
  EXPECT_EQ(of("colours", "red"), "");
  EXPECT_EQ(of("inner", Value::Object{{"n", 10}}),
            "thing: 'inner.n' must be a whole number from 1 to 9, got 10");
  EXPECT_EQ(of("inner", Value::Object{{"m", 10}}),
            "thing: 'inner': unknown field 'm'; did you mean n?");
  EXPECT_EQ(of("inners", Value::List{Value::Object{{"n", 1}}}), "thing: 'inners[0].text': missing");
  EXPECT_EQ(of("width", "2by3"), "thing: 'width': there is no x");
  // What the standard library throws is ours, too, but not what it says.
  EXPECT_EQ(of("width", "axb"), "thing: 'width': it cannot be understood");
  EXPECT_EQ(refusal(3), "thing: expected an object, got a whole number");
}

TEST(Fields, MessagesQuoteLittleAndNoControlCharacters) {
  const std::string long_text(100'000, 'x');
  for (const Value& value : {Value(long_text + "\x1b"), Value(Value::List(1000, Value("\x1b[2J"))),
                             Value(Value::Object{{"\x1b" + long_text, long_text}})}) {
    for (const std::string& message :
         {refusal(Value::Object{{"whole", value}}), refusal(value),
          refusal(Value::Object{{"\x1b" + long_text, 1}}), flag_refusal("whole", long_text)}) {
      EXPECT_LT(message.size(), 300U) << message;
      EXPECT_EQ(message.find('\x1b'), std::string::npos);
    }
  }
}

TEST(Fields, FlagsAreNamedByThemselves) {
  EXPECT_EQ(flag_refusal("whole", "0"), "--it: expected a whole number of at least 1, got 0");
  EXPECT_EQ(flag_refusal("whole", "abc"), "--it: expected a whole number of at least 1, got 'abc'");
  EXPECT_EQ(flag_refusal("real", "1e-400"),
            "--it: expected a number of at least 0 and below 1, got '1e-400'");
  EXPECT_EQ(flag_refusal("colour", "gren"), "--it: unknown colour 'gren'; did you mean green?");
  EXPECT_EQ(flag_refusal("list", "1,,2"), "--it: expected a whole number of at least 0, got ''");
}

TEST(Fields, TextsBecomeValues) {
  Outer outer;
  const auto set = [&](std::string_view name, std::string_view text) {
    set_from_text({outer_fields(), outer}, name, text, place);
  };
  set("whole", "1e4");
  EXPECT_EQ(outer.whole, 10'000);
  set("seed", "18446744073709551615");
  EXPECT_EQ(outer.seed, UINT64_MAX);
  set("list", "3,4");
  EXPECT_EQ(outer.list, (std::vector<std::int64_t>{3, 4}));
  set("list", "none");
  EXPECT_TRUE(outer.list.empty());
  set("colours", "green,red");
  EXPECT_EQ(outer.colours, (std::vector<Colour>{Colour::green, Colour::red}));
  set("maybe", "2.5");
  EXPECT_EQ(outer.maybe, 2.5);
  set("yes", "true");
  EXPECT_TRUE(outer.yes);
  set("width", "4x5");
  EXPECT_EQ(outer.size.second, 5);
}

TEST(Fields, StructsAreCheckedAsTheyAre) {
  Outer outer;
  EXPECT_NO_THROW(check_fields({{outer_fields(), outer}}, place));
  outer.inner.n = 0;
  EXPECT_THROW(check_fields({{outer_fields(), outer}}, place), UsageError);
  outer.inner.n = 1;
  outer.real = NAN;
  EXPECT_THROW(check_fields({{outer_fields(), outer}}, place), UsageError);
}

struct Extra {
  std::int64_t depth = 2;
};

TEST(Fields, TablesAreJoinedWhereTheyAreUsed) {
  static const FieldTable extra_fields =
      FieldsOf<Extra>().add("depth", &Extra::depth, {.range = between(1, 4)});
  Inner inner;
  Extra extra;
  const FieldParts parts = {{inner_fields(), inner}, {extra_fields, extra}};
  read_fields(parts, Value::Object{{"depth", 3}, {"n", 5}, {"text", "u"}}, place,
              Reading::complete);
  EXPECT_EQ(extra.depth, 3);
  EXPECT_EQ(inner.n, 5);
  EXPECT_EQ(field_names(parts), (std::vector<std::string>{"n", "text", "depth"}));
  EXPECT_EQ(write_fields(parts), Value(Value::Object{{"n", 5}, {"text", "u"}, {"depth", 3}}));
  try {
    read_fields(parts, Value::Object{{"dept", 3}}, place);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "thing: unknown field 'dept'; did you mean depth?");
  }
}

FieldParts field_parts(Inner& inner) { return {{inner_fields(), inner}}; }
FieldParts field_parts(const Inner& inner) { return {{inner_fields(), inner}}; }

TEST(Fields, WhatWasGivenIsRememberedAndMerged) {
  Given<Inner> base;
  base.read(Value::Object{{"n", 2}, {"text", "a"}}, place);
  Given<Inner> over;
  over.set("n", 5, place);
  EXPECT_TRUE(over.has("n"));
  EXPECT_FALSE(over.has("text"));
  EXPECT_TRUE(over.has_any({"text", "n"}));
  base.overlay(over);
  EXPECT_EQ(base.values.n, 5);
  EXPECT_EQ(base.values.text, "a");
  EXPECT_EQ(over.write(), Value(Value::Object{{"n", 5}}));
  Inner defaults{7, "default"};
  over.apply(defaults);
  EXPECT_EQ(defaults.n, 5);
  EXPECT_EQ(defaults.text, "default");
  over.become({3, "all"});
  EXPECT_EQ(over.write(), Value(Value::Object{{"n", 3}, {"text", "all"}}));
}

struct Both {
  Inner first, second;
};

TEST(Fields, APartsFieldsMayStandBesideOthers) {
  static const FieldTable table = FieldsOf<Both>().add_all(&Both::second, inner_fields());
  Both both;
  read_fields({{table, both}}, Value::Object{{"n", 4}}, place);
  EXPECT_EQ(both.first.n, 1);
  EXPECT_EQ(both.second.n, 4);
  const Both copy = both;
  EXPECT_EQ(write_fields({{table, copy}}), Value(Value::Object{{"n", 4}, {"text", "t"}}));
}

TEST(Fields, AFlagMayAskForLessThanAFile) {
  struct Budget {
    std::int64_t steps = 0;
  };
  static const FieldTable table = FieldsOf<Budget>().add(
      "steps", &Budget::steps, {.range = at_least(0), .asked = above_zero_or_left_out(1)});
  Budget budget;
  set_from_text({table, budget}, "steps", "0", place);
  try {
    set_from_text({table, budget}, "steps", "0",
                  {.where = "--steps", .origin = FieldPlace::Origin::flag});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "--steps: expected a whole number of at least 1 (to set no such limit, leave it "
                 "out), got 0");
  }
}

TEST(Fields, WhatIsNotWrittenMakesNoDifference) {
  static const FieldTable table = FieldsOf<Inner>()
                                      .add("n", &Inner::n)
                                      .add("text", &Inner::text)
                                      .only_if([](const Inner& inner) { return inner.n > 1; });
  const Inner one, other{.text = "other"}, two{.n = 2}, another{.n = 2, .text = "other"};
  EXPECT_TRUE(same_fields({{table, one}}, {{table, other}}));
  EXPECT_FALSE(same_fields({{table, one}}, {{table, two}}));
  EXPECT_FALSE(same_fields({{table, two}}, {{table, another}}));
}

TEST(Fields, MemoryThatRunsOutIsNoFaultOfAField) {
  const auto codec = text_codec<int>([](const int&) { return std::string(); },
                                     [](const std::string& text) -> int {
                                       if (text == "wrong") throw UsageError("it is wrong");
                                       throw std::bad_alloc();
                                     });
  EXPECT_THROW(codec.read(Value("wrong"), {.where = "x"}), UsageError);
  EXPECT_THROW(codec.read(Value("right"), {.where = "x"}), std::bad_alloc);
}

TEST(Fields, AFaultOfAFileIsNoFaultOfTheRequest) {
  Inner inner;
  try {
    read_fields({{inner_fields(), inner}}, Value::Object{{"n", 0}},
                {.where = "x.json", .origin = FieldPlace::Origin::file});
    FAIL();
  } catch (const UsageError&) {
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "x.json: 'n' must be a whole number from 1 to 9, got 0");
  }
}

}  // namespace
}  // namespace sluice
