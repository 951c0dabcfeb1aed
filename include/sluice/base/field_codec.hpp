#pragma once
// How the value of a field is read, checked, written and understood from a text.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/value.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Where a value stands, for what is said of it when it is wrong.
struct FieldPlace {
  /// Whose fault it is, and how the place is named.
  enum class Origin {
    file,     // something that was written before: Error
    request,  // what somebody asks for now: UsageError
    flag      // the same from the command line, `where` being the flag: UsageError
  };
  /// "training config", "claim 'x.json'", "--batch".
  std::string where;
  Origin origin = Origin::request;
  /// Of fields from `where` on: "data.train"; empty: `where` itself.
  std::string path = {};

  FieldPlace field(std::string_view name) const;
  FieldPlace element(std::size_t index) const;
  /// Throws "WHERE: 'PATH' FAULT" or "WHERE: FAULT".
  [[noreturn]] void refuse(const std::string& fault) const;
  /// Throws "WHERE: 'PATH' must be EXPECTED, got GOT", or "WHERE: expected EXPECTED, got GOT".
  [[noreturn]] void refuse(const std::string& expected, const Value& got) const;
};

/// Numbers that a field takes. Bounds of whole numbers must be below 2^53 in magnitude.
struct FieldRange {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  /// The bound itself is not in the range.
  bool least_excluded = false, most_excluded = false;
  /// Said after the range: what to do instead of what is out of it.
  const char* remedy = "";

  bool holds(double value) const;
  /// "a whole number" with " from 1 to 9", " of at least 1", " above 0", ...
  std::string text(const std::string& kind) const;
};
FieldRange at_least(double least);
FieldRange above(double bound);
FieldRange between(double least, double most);
/// least <= x < bound.
FieldRange from_to_below(double least, double bound);

/// What a FieldSpec::asked says of a field that 0 turns off.
FieldRange above_zero_or_left_out(double least);

/// What a table says of a field besides its name and its place in the struct.
struct FieldSpec {
  FieldRange range = {};
  /// What a flag may ask for, where that is less: of a field that 0 turns off, say.
  std::optional<FieldRange> asked = std::nullopt;
  /// The flag that sets it ("" for none), the heading of --help it stands under, what --help calls
  /// its value ("": by its type), and what it says.
  std::string flag = {}, group = {}, value = {}, help = {};
  /// Of a yes or no: the flag that sets it to false. Without `flag` it has only this one.
  std::string off_flag = {}, off_help = {};
  /// A complete object may lack it.
  bool optional = false;
  /// Of a list: one element may stand for the list of itself.
  bool one_for_list = false;
  /// Of a list: the flag takes any number of values, rather than one with commas.
  bool many_values = false;
};

/// How fields of type M are read from a value, written, and understood from a text.
template <class M>
struct FieldCodec {
  std::string expected;
  std::string value;  // what --help calls it
  std::function<M(const Value&, const FieldPlace&)> read;
  std::function<Value(const M&)> write;
  std::function<Value(std::string_view)> from_text;
};

namespace fields_detail {

std::int64_t read_whole(const Value& value, const FieldRange& range, const FieldPlace& place);
std::uint64_t read_unsigned(const Value& value, const FieldPlace& place);
double read_real(const Value& value, const FieldRange& range, const FieldPlace& place);
float read_float(const Value& value, const FieldRange& range, const FieldPlace& place);
bool read_bool(const Value& value, const FieldPlace& place);
std::string read_text(const Value& value, const FieldPlace& place,
                      const std::string& expected = "text");
const Value::List& read_list(const Value& value, const FieldPlace& place);

/// 0.1F as 0.1 rather than 0.10000000149.
double shortest(float value);

Value whole_of_text(std::string_view text);
Value unsigned_of_text(std::string_view text);
Value real_of_text(std::string_view text);
Value bool_of_text(std::string_view text);
/// What commas separate, perhaps in brackets and quotes as JSON has lists; none for "" and "none".
std::vector<std::string> parts_of(std::string_view text);

/// `read()`; an Error or a std::logic_error (std::stoi() has such) that it throws becomes a fault
/// of `place`. What else it throws, for want of memory, say, is none of it.
template <class Read>
auto read_at(const FieldPlace& place, Read&& read) {
  try {
    return read();
  } catch (const Error& error) {
    place.refuse(std::string(error.what()));
  } catch (const std::logic_error&) {
    place.refuse("it cannot be understood");
  }
}

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

}  // namespace fields_detail

/// A field that stands in files as a text which `parse` reads (its UsageError says what is wrong)
/// and `print` writes.
template <class M>
FieldCodec<M> text_codec(std::function<std::string(const M&)> print,
                         std::function<M(const std::string&)> parse,
                         const std::string& expected = "text", const std::string& value = "TEXT") {
  return {expected, value,
          [parse, expected](const Value& given, const FieldPlace& place) {
            const std::string text = fields_detail::read_text(given, place, expected);
            return fields_detail::read_at(place, [&] { return parse(text); });
          },
          [print](const M& held) { return Value(print(held)); },
          [](std::string_view text) { return Value(std::string(text)); }};
}

/// The codec of a type: numbers, bool, text, paths, enumerations with names, lists of these,
/// optional ones (null stands for none).
template <class M>
FieldCodec<M> field_codec(const FieldSpec& spec) {
  namespace detail = fields_detail;
  const FieldRange range = spec.range;
  const auto range_at = [range, asked = spec.asked.value_or(range)](const FieldPlace& place) {
    return place.origin == FieldPlace::Origin::flag ? asked : range;
  };
  if constexpr (std::is_same_v<M, bool>) {
    return {"true or false", "", detail::read_bool, [](const bool& v) { return Value(v); },
            detail::bool_of_text};
  } else if constexpr (std::is_same_v<M, std::int64_t>) {
    return {range.text("a whole number"), "N",
            [range_at](const Value& v, const FieldPlace& p) {
              return detail::read_whole(v, range_at(p), p);
            },
            [](const M& v) { return Value(v); }, detail::whole_of_text};
  } else if constexpr (std::is_same_v<M, std::uint64_t>) {
    return {"a whole number that is not negative", "N", detail::read_unsigned,
            [](const M& v) { return Value(v); }, detail::unsigned_of_text};
  } else if constexpr (std::is_same_v<M, double>) {
    return {range.text("a number"), "X",
            [range_at](const Value& v, const FieldPlace& p) {
              return detail::read_real(v, range_at(p), p);
            },
            [](const M& v) { return Value(v); }, detail::real_of_text};
  } else if constexpr (std::is_same_v<M, float>) {
    return {range.text("a number"), "X",
            [range_at](const Value& v, const FieldPlace& p) {
              return detail::read_float(v, range_at(p), p);
            },
            [](const M& v) { return Value(detail::shortest(v)); }, detail::real_of_text};
  } else if constexpr (std::is_same_v<M, std::string>) {
    return text_codec<M>([](const M& v) { return v; }, [](const std::string& v) { return v; });
  } else if constexpr (std::is_same_v<M, std::filesystem::path>) {
    return text_codec<M>([](const M& v) { return v.string(); },
                         [](const std::string& v) { return std::filesystem::path(v); }, "a path",
                         "PATH");
  } else if constexpr (NamedEnum<M>) {
    return text_codec<M>([](const M& v) { return name_of(v); },
                         [](const std::string& v) { return parse_enum<M>(v); }, "a name in quotes",
                         "NAME");
  } else if constexpr (detail::IsOptional<M>::value) {
    const auto inner = field_codec<typename M::value_type>(spec);
    return {inner.expected, inner.value,
            [inner](const Value& v, const FieldPlace& p) {
              return v.is_null() ? M() : M(inner.read(v, p));
            },
            [inner](const M& v) { return v ? inner.write(*v) : Value(); }, inner.from_text};
  } else {
    static_assert(detail::IsVector<M>::value, "no codec for this type: give one");
    const auto inner = field_codec<typename M::value_type>(spec);
    return {"a list", "A,B,..",
            [inner, one = spec.one_for_list](const Value& v, const FieldPlace& p) {
              M list;
              if (one && v.as<Value::List>() == nullptr) {
                list.push_back(inner.read(v, p));
                return list;
              }
              const Value::List& elements = detail::read_list(v, p);
              list.reserve(elements.size());
              for (const Value& element : elements) {
                try {
                  list.push_back(inner.read(element, p));
                } catch (const Error&) {  // again, to say which it is
                  (void)inner.read(element, p.element(list.size()));
                  throw;
                }
              }
              return list;
            },
            [inner](const M& list) {
              Value::List values;
              for (const auto& element : list) values.push_back(inner.write(element));
              return Value(std::move(values));
            },
            [inner](std::string_view text) {
              Value::List values;
              for (const std::string& part : detail::parts_of(text)) {
                values.push_back(inner.from_text(part));
              }
              return Value(std::move(values));
            }};
  }
}

/// A number for which null stands where it is not finite: JSON has no infinities. Read as
/// +infinity.
FieldCodec<double> number_or_null();

}  // namespace sluice
SLUICE_API_END
