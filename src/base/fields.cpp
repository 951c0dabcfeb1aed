#include "sluice/base/fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <system_error>

#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"

namespace sluice {
namespace {

/// A bound as messages have it: 4096 and 0.5, not 4096.0.
std::string bound_text(double bound) {
  return bound == std::floor(bound) ? fmt::format("{:.0f}", bound) : fmt::format("{}", bound);
}

struct Found {
  const FieldPart* part;
  const Field* field;
};

std::optional<Found> find_field(const FieldParts& parts, std::string_view name) {
  for (const FieldPart& part : parts) {
    if (const Field* const field = part.table().find(name)) return Found{&part, field};
  }
  return std::nullopt;
}

Found known_field(const FieldParts& parts, std::string_view name, const FieldPlace& place) {
  if (const auto found = find_field(parts, name)) return *found;
  place.refuse("unknown field " + in_quotes(name) + "; " + suggestion(name, field_names(parts)));
}

/// Where one of the fields stands: a flag is the field's own place.
FieldPlace place_of(const FieldPlace& place, const Field& field) {
  return place.origin == FieldPlace::Origin::flag ? place : place.field(field.name);
}

bool applies(const FieldPart& part, const Field& field) {
  return !field.applies || field.applies(part.object());
}

const std::string& real_name(const Field& field) {
  return field.stands_for.empty() ? field.name : field.stands_for;
}

}  // namespace

FieldPlace FieldPlace::field(std::string_view name) const {
  FieldPlace place = *this;
  if (!place.path.empty()) place.path += '.';
  place.path += name;
  return place;
}

FieldPlace FieldPlace::element(std::size_t index) const {
  FieldPlace place = *this;
  // Of a flag, the message shows the element.
  if (origin != Origin::flag) place.path += fmt::format("[{}]", index);
  return place;
}

void FieldPlace::refuse(const std::string& fault) const {
  std::string message = path.empty() ? fault : fmt::format("'{}': {}", path, fault);
  if (!where.empty()) message.insert(0, where + ": ");
  if (origin == Origin::file) throw Error(message);
  throw UsageError(message);
}

void FieldPlace::refuse(const std::string& expected, const Value& got) const {
  const auto* text = got.as<std::string>();
  const std::string quotation =
      origin == Origin::flag && text != nullptr ? in_quotes(*text) : shown(got);
  std::string message = path.empty()
                            ? fmt::format("expected {}, got {}", expected, quotation)
                            : fmt::format("'{}' must be {}, got {}", path, expected, quotation);
  if (!where.empty()) message.insert(0, where + ": ");
  if (origin == Origin::file) throw Error(message);
  throw UsageError(message);
}

bool FieldRange::holds(double value) const {
  return (least_excluded ? value > least : value >= least) &&
         (most_excluded ? value < most : value <= most);
}

std::string FieldRange::text(const std::string& kind) const {
  const bool lower = std::isfinite(least);
  const bool upper = std::isfinite(most);
  if (lower && upper && !least_excluded && !most_excluded) {
    return fmt::format("{} from {} to {}{}", kind, bound_text(least), bound_text(most), remedy);
  }
  std::string text = kind;
  if (lower)
    text += fmt::format(" {} {}", least_excluded ? "above" : "of at least", bound_text(least));
  if (upper) {
    text += fmt::format("{} {} {}", lower ? " and" : "", most_excluded ? "below" : "at most",
                        bound_text(most));
  }
  return text + remedy;
}

FieldRange at_least(double least) { return {.least = least}; }
FieldRange above(double bound) { return {.least = bound, .least_excluded = true}; }
FieldRange between(double least, double most) { return {.least = least, .most = most}; }
FieldRange above_zero_or_left_out(double least) {
  return {.least = least,
          .least_excluded = least == 0,
          .remedy = " (to set no such limit, leave it out)"};
}
FieldRange from_to_below(double least, double bound) {
  return {.least = least, .most = bound, .most_excluded = true};
}

const Field* FieldTable::find(std::string_view name) const {
  const auto found = std::find_if(fields_.begin(), fields_.end(),
                                  [&](const Field& field) { return field.name == name; });
  return found == fields_.end() ? nullptr : &*found;
}

std::vector<std::string> field_names(const FieldParts& parts) {
  std::vector<std::string> names;
  for (const FieldPart& part : parts) {
    for (const Field& field : part.table().fields()) {
      if (field.stands_for.empty()) names.push_back(field.name);
    }
  }
  return names;
}

std::vector<std::string> read_fields(const FieldParts& parts, const Value& object,
                                     const FieldPlace& place, Reading reading) {
  const auto* fields = object.as<Value::Object>();
  if (fields == nullptr) place.refuse("expected an object, got " + kind_of(object));
  for (const auto& [name, value] : *fields) known_field(parts, name, place);
  std::vector<std::string> given;
  // In the order of the tables, so that the same fault is named whatever the order in the file; a
  // field itself after what stands for it.
  for (const bool others : {true, false}) {
    for (const FieldPart& part : parts) {
      for (const Field& field : part.table().fields()) {
        if (field.stands_for.empty() == others) continue;
        const Value* const value = object.find(field.name);
        if (value == nullptr) continue;
        field.set(part.writable(), *value, place.field(field.name));
        const std::string& name = real_name(field);
        if (std::find(given.begin(), given.end(), name) == given.end()) given.push_back(name);
      }
    }
  }
  if (reading == Reading::partial) return given;
  for (const FieldPart& part : parts) {
    for (const Field& field : part.table().fields()) {
      if (field.spec.optional || !field.stands_for.empty() || !applies(part, field)) continue;
      if (std::find(given.begin(), given.end(), field.name) != given.end()) continue;
      place.field(field.name).refuse("missing");
    }
  }
  return given;
}

Value write_fields(const FieldParts& parts) {
  Value object = Value::Object{};
  for (const FieldPart& part : parts) {
    for (const Field& field : part.table().fields()) {
      if (!field.stands_for.empty() || !applies(part, field)) continue;
      Value value = field.get(part.object());
      if (!value.is_null() || !field.spec.optional) object.set(field.name, std::move(value));
    }
  }
  return object;
}

std::vector<std::string> present_fields(const FieldParts& parts) {
  std::vector<std::string> names;
  const Value object = write_fields(parts);
  for (const auto& [name, value] : *object.as<Value::Object>()) names.push_back(name);
  return names;
}

Value write_fields(const FieldParts& parts, const std::vector<std::string>& names) {
  Value object = Value::Object{};
  for (const std::string& name : names) {
    const auto found = find_field(parts, name);
    assert(found);
    object.set(name, found->field->get(found->part->object()));
  }
  return object;
}

bool same_fields(const FieldParts& a, const FieldParts& b) {
  return write_fields(a) == write_fields(b);
}

void copy_fields(const FieldParts& to, const FieldParts& from,
                 const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto target = find_field(to, name);
    const auto source = find_field(from, name);
    assert(target && source && target->field == source->field);
    target->field->copy(target->part->writable(), source->part->object());
  }
}

void check_fields(const FieldParts& parts, const FieldPlace& place) {
  for (const FieldPart& part : parts) {
    for (const Field& field : part.table().fields()) {
      if (!field.stands_for.empty() || !applies(part, field)) continue;
      field.check(field.get(part.object()), place.field(field.name));
    }
  }
}

std::string set_field(const FieldParts& parts, std::string_view name, const Value& value,
                      const FieldPlace& place) {
  const Found found = known_field(parts, name, place);
  found.field->set(found.part->writable(), value, place_of(place, *found.field));
  return real_name(*found.field);
}

namespace fields_detail {
namespace {

constexpr double most_exact = 9007199254740992.0;  // 2^53

}  // namespace

std::int64_t read_whole(const Value& value, const FieldRange& range, const FieldPlace& place) {
  std::optional<std::int64_t> whole;
  if (const auto* given = value.as<std::int64_t>()) whole = *given;
  if (const auto* real = value.as<double>()) {  // 1e6
    if (*real == std::floor(*real) && std::abs(*real) <= most_exact) {
      whole = static_cast<std::int64_t>(*real);
    }
  }
  if (!whole || !range.holds(static_cast<double>(*whole))) {
    place.refuse(range.text("a whole number"), value);
  }
  return *whole;
}

std::uint64_t read_unsigned(const Value& value, const FieldPlace& place) {
  if (const auto* large = value.as<std::uint64_t>()) return *large;
  const auto* whole = value.as<std::int64_t>();
  if (whole == nullptr || *whole < 0) place.refuse("a whole number that is not negative", value);
  return static_cast<std::uint64_t>(*whole);
}

double read_real(const Value& value, const FieldRange& range, const FieldPlace& place) {
  double number = std::numeric_limits<double>::quiet_NaN();
  if (const auto* real = value.as<double>()) number = *real;
  if (const auto* whole = value.as<std::int64_t>()) number = static_cast<double>(*whole);
  if (const auto* large = value.as<std::uint64_t>()) number = static_cast<double>(*large);
  if (!std::isfinite(number) || !range.holds(number)) place.refuse(range.text("a number"), value);
  return number;
}

float read_float(const Value& value, const FieldRange& range, const FieldPlace& place) {
  const double number = read_real(value, range, place);
  const auto rounded = static_cast<float>(number);
  if (!std::isfinite(rounded) || (rounded == 0 && number != 0) ||
      !range.holds(static_cast<double>(rounded))) {
    place.refuse(range.text("a number") + " as a float has it", value);
  }
  return rounded;
}

bool read_bool(const Value& value, const FieldPlace& place) {
  const auto* given = value.as<bool>();
  if (given == nullptr) place.refuse("true or false", value);
  return *given;
}

std::string read_text(const Value& value, const FieldPlace& place, const std::string& expected) {
  const auto* text = value.as<std::string>();
  if (text == nullptr) place.refuse(expected, value);
  return *text;
}

const Value::List& read_list(const Value& value, const FieldPlace& place) {
  const auto* list = value.as<Value::List>();
  if (list == nullptr) place.refuse("a list", value);
  return *list;
}

double shortest(float value) {
  return std::isfinite(value) ? *real_number(fmt::format("{}", value)) : static_cast<double>(value);
}

Value whole_of_text(std::string_view text) {
  const auto whole = whole_number(text);
  return whole ? Value(*whole) : Value(std::string(text));
}

Value unsigned_of_text(std::string_view text) {
  std::uint64_t large = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, large);
  if (error == std::errc() && stop == end) return large;
  return whole_of_text(text);
}

Value real_of_text(std::string_view text) {
  // A whole number as it was written: 1, not 1.0.
  if (text.find_first_not_of("+-0123456789") == std::string_view::npos) {
    return whole_of_text(text);
  }
  const auto real = real_number(text);
  return real ? Value(*real) : Value(std::string(text));
}

Value bool_of_text(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::string(text);
}

std::vector<std::string> parts_of(std::string_view text) {
  std::vector<std::string> parts;
  // As JSON has them, too.
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  if (text.empty() || text == "none") return parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    std::string_view part = text.substr(start, comma - start);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (part.size() > 1 && part.front() == '"' && part.back() == '"') {
      part = part.substr(1, part.size() - 2);
    }
    parts.emplace_back(part);
    start = comma + 1;
  }
  return parts;
}

}  // namespace fields_detail

FieldCodec<double> number_or_null() {
  FieldCodec<double> codec = field_codec<double>({});
  codec.read = [read = codec.read](const Value& value, const FieldPlace& place) {
    if (value.is_null()) return std::numeric_limits<double>::infinity();
    if (!value.as<std::int64_t>() && !value.as<std::uint64_t>() && !value.as<double>()) {
      place.refuse("a number or null", value);
    }
    return read(value, place);
  };
  codec.write = [](const double& value) { return std::isfinite(value) ? Value(value) : Value(); };
  return codec;
}

}  // namespace sluice
