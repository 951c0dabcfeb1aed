#pragma once
// Codecs for field tables (base/fields.hpp) that the laboratory's files need.

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/fields.hpp"

namespace sluice {

/// A place in a file, for error messages.
inline FieldPlace in_file(std::string where) {
  return {std::move(where), FieldPlace::Origin::file, ""};
}

/// A value that is kept as the file has it.
inline FieldCodec<Value> any_value() {
  return {"a value", "VALUE", [](const Value& value, const FieldPlace&) { return value; },
          [](const Value& value) { return value; },
          [](std::string_view text) { return Value(std::string(text)); }};
}

/// A struct with a table, all of whose fields must be there.
template <class S>
FieldCodec<S> complete(const FieldTable& table) {
  return {"an object", "OBJECT",
          [&table](const Value& value, const FieldPlace& place) {
            S object{};
            read_fields({{table, object}}, value, place, Reading::complete);
            return object;
          },
          [&table](const S& object) {
            return write_fields({{table, object}});
          },
          [](std::string_view text) { return Value(std::string(text)); }};
}

/// What `codec` reads, or nothing for null.
template <class T>
FieldCodec<std::optional<T>> optional_of(FieldCodec<T> codec) {
  return {codec.expected + " or null", codec.value,
          [codec](const Value& value, const FieldPlace& place) {
            return value.is_null() ? std::optional<T>() : codec.read(value, place);
          },
          [codec](const std::optional<T>& held) { return held ? codec.write(*held) : Value(); },
          codec.from_text};
}

/// A list of what `codec` reads.
template <class T>
FieldCodec<std::vector<T>> list_of(FieldCodec<T> codec) {
  return {"a list", "LIST",
          [codec](const Value& value, const FieldPlace& place) {
            std::vector<T> list;
            for (const Value& element : fields_detail::read_list(value, place)) {
              list.push_back(codec.read(element, place.element(list.size())));
            }
            return list;
          },
          [codec](const std::vector<T>& list) {
            Value::List values;
            for (const T& element : list) values.push_back(codec.write(element));
            return Value(std::move(values));
          },
          [](std::string_view text) { return Value(std::string(text)); }};
}

/// What `codec` reads, refused by `check` where its fields do not agree.
template <class T>
FieldCodec<T> checked(FieldCodec<T> codec, std::function<void(const T&, const FieldPlace&)> check) {
  const auto read = codec.read;
  codec.read = [read, check](const Value& value, const FieldPlace& place) {
    T object = read(value, place);
    check(object, place);
    return object;
  };
  return codec;
}

/// Refuses lists that belong together and differ in length.
inline void require_same_length(const FieldPlace& place,
                                std::initializer_list<std::pair<const char*, std::size_t>> lists) {
  const auto& first = *lists.begin();
  for (const auto& list : lists) {
    if (list.second == first.second) continue;
    place.field(list.first)
        .refuse("has " + std::to_string(list.second) + " elements, and '" + first.first + "' has " +
                std::to_string(first.second) + ": expected as many in both");
  }
}

}  // namespace sluice
