#pragma once
// A value as a file, a flag or a caller gives it, before a field table (base/fields.hpp) has
// checked it and a struct holds it.

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/one_of.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What JSON can say. Whole numbers that int64 does not hold but uint64 does are uint64; all others
/// with a fraction or an exponent are double.
struct Value {
  using List = std::vector<Value>;
  /// In the order of the file.
  using Object = std::vector<std::pair<std::string, Value>>;

  Value() = default;
  template <std::same_as<bool> B>                         // no pointers
  Value(B value) : data(value) {}                         // NOLINT(*-explicit-*)
  Value(int value) : data(std::int64_t{value}) {}         // NOLINT(*-explicit-*)
  Value(std::int64_t value) : data(value) {}              // NOLINT(*-explicit-*)
  Value(std::uint64_t value);                             // NOLINT(*-explicit-*)
  Value(double value) : data(value) {}                    // NOLINT(*-explicit-*)
  Value(std::string value) : data(std::move(value)) {}    // NOLINT(*-explicit-*)
  Value(const char* value) : data(std::string(value)) {}  // NOLINT(*-explicit-*)
  Value(List value) : data(std::move(value)) {}           // NOLINT(*-explicit-*)
  Value(Object value) : data(std::move(value)) {}         // NOLINT(*-explicit-*)

  /// As T, or null when it holds something else.
  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  bool is_null() const { return data.index() == 0; }
  /// The field of an object; null when there is none, and when it is no object.
  const Value* find(std::string_view name) const;
  /// Adds a field to an object (null becomes one), or replaces it.
  void set(std::string name, Value value);

  bool operator==(const Value&) const = default;

  OneOf<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, List, Object> data;
};

/// "null", "an object", "a number": what kind of value it is.
std::string kind_of(const Value& value);

/// The value as JSON on one line, at most 80 characters of it, control characters made visible: how
/// messages quote what was given.
std::string shown(const Value& value);

}  // namespace sluice
SLUICE_API_END
