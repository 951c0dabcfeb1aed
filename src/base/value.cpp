#include "sluice/base/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "sluice/base/names.hpp"

namespace sluice {
namespace {

constexpr std::size_t most_shown = 80;

/// Appends as much of the value as is shown, and no more: a value may be large.
void append(std::string& out, const Value& value);

template <class List, class Item>
void append_all(std::string& out, const List& list, Item&& item) {
  bool first = true;
  for (const auto& element : list) {
    if (!first) out += ',';
    first = false;
    item(element);
    if (out.size() > most_shown) return;
  }
}

struct Appender {
  std::string& out;
  void operator()(std::monostate) const { out += "null"; }
  void operator()(bool value) const { out += value ? "true" : "false"; }
  void operator()(std::int64_t value) const { out += std::to_string(value); }
  void operator()(std::uint64_t value) const { out += std::to_string(value); }
  void operator()(double value) const { out += fmt::format("{}", value); }
  void operator()(const std::string& value) const { out += in_quotes(value, '"'); }
  void operator()(const Value::List& list) const {
    out += '[';
    append_all(out, list, [&](const Value& element) { append(out, element); });
    out += ']';
  }
  void operator()(const Value::Object& object) const {
    out += '{';
    append_all(out, object, [&](const auto& field) {
      out += in_quotes(field.first, '"') + ':';
      append(out, field.second);
    });
    out += '}';
  }
};

void append(std::string& out, const Value& value) { std::visit(Appender{out}, value.data); }

}  // namespace

Value::Value(std::uint64_t value) {
  if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    data = static_cast<std::int64_t>(value);
  } else {
    data = value;
  }
}

const Value* Value::find(std::string_view name) const {
  const auto* object = as<Object>();
  if (object == nullptr) return nullptr;
  const auto found = std::find_if(object->begin(), object->end(),
                                  [&](const auto& field) { return field.first == name; });
  return found == object->end() ? nullptr : &found->second;
}

void Value::set(std::string name, Value value) {
  if (is_null()) data = Object{};
  auto& object = std::get<Object>(data);
  const auto found = std::find_if(object.begin(), object.end(),
                                  [&](const auto& field) { return field.first == name; });
  if (found == object.end()) {
    object.emplace_back(std::move(name), std::move(value));
  } else {
    found->second = std::move(value);
  }
}

std::string kind_of(const Value& value) {
  constexpr const char* kinds[] = {"null",     "true or false", "a whole number", "a whole number",
                                   "a number", "text",          "a list",         "an object"};
  return kinds[value.data.index()];
}

std::string shown(const Value& value) {
  std::string out;
  append(out, value);
  if (out.size() <= most_shown + 2) return out;
  // Cut between characters, not within one.
  std::size_t end = most_shown;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0U) == 0x80U) --end;
  return out.substr(0, end) + "...";
}

}  // namespace sluice
