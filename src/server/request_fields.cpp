#include "request_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "sluice/base/numbers.hpp"

namespace sluice::server {
namespace {

constexpr std::size_t most_stops = 16;

bool all_are(const Value::List& list, bool (*is)(const Value&)) {
  return std::all_of(list.begin(), list.end(), is);
}
bool is_text(const Value& value) { return value.as<std::string>() != nullptr; }
bool is_list(const Value& value) { return value.as<Value::List>() != nullptr; }

std::vector<std::int32_t> read_ids(const Value::List& list, const FieldPlace& place) {
  std::vector<std::int32_t> ids;
  ids.reserve(list.size());
  for (const Value& id : list) {
    const auto* number = id.as<std::int64_t>();
    if (number == nullptr || *number < 0 || *number > std::numeric_limits<std::int32_t>::max()) {
      place.element(ids.size()).refuse("a token's number", id);
    }
    ids.push_back(static_cast<std::int32_t>(*number));
  }
  return ids;
}

std::vector<Prompt> read_prompts(const Value& value, const FieldPlace& place) {
  const std::string expected =
      "a text, a list of texts, a list of token numbers or a list of such lists";
  if (const auto* text = value.as<std::string>()) return {{.text = *text, .ids = {}}};
  const auto* list = value.as<Value::List>();
  if (list == nullptr) place.refuse(expected, value);
  if (list->empty()) place.refuse("must not be an empty list");
  std::vector<Prompt> prompts;
  if (all_are(*list, is_text)) {
    for (const Value& text : *list) prompts.push_back({.text = *text.as<std::string>(), .ids = {}});
  } else if (all_are(*list, is_list)) {
    for (const Value& ids : *list) {
      prompts.push_back(
          {.text = {}, .ids = read_ids(*ids.as<Value::List>(), place.element(prompts.size()))});
    }
  } else if (is_text(list->front()) || is_list(list->front())) {
    place.refuse(expected, value);
  } else {
    prompts.push_back({.text = {}, .ids = read_ids(*list, place)});
  }
  return prompts;
}

Value write_prompts(const std::vector<Prompt>& prompts) {
  Value::List list;
  for (const Prompt& prompt : prompts) {
    if (prompt.text) {
      list.emplace_back(*prompt.text);
    } else {
      Value::List ids;
      for (const std::int32_t id : prompt.ids) ids.emplace_back(std::int64_t{id});
      list.emplace_back(std::move(ids));
    }
  }
  return list;
}

std::int32_t token_of_text(const std::string& text, const FieldPlace& place) {
  const auto number = whole_number(text);
  if (!number || *number < 0 || *number > std::numeric_limits<std::int32_t>::max()) {
    place.refuse(fmt::format("must have token numbers as names, got {}", in_quotes(text)));
  }
  return static_cast<std::int32_t>(*number);
}

std::map<std::int32_t, double> read_bias(const Value& value, const FieldPlace& place) {
  std::map<std::int32_t, double> biases;
  const FieldRange range = between(-1000, 1000);
  if (const auto* object = value.as<Value::Object>()) {
    for (const auto& [name, bias] : *object) {
      biases[token_of_text(name, place)] = fields_detail::read_real(bias, range, place.field(name));
    }
    return biases;
  }
  const auto* list = value.as<Value::List>();
  if (list == nullptr) place.refuse("an object of biases by token number", value);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto* pair = (*list)[i].as<Value::List>();
    if (pair == nullptr || pair->size() != 2)
      place.element(i).refuse("[token number, bias]", (*list)[i]);
    const std::int32_t id = read_ids({pair->front()}, place.element(i)).front();
    const auto* ban = pair->back().as<bool>();
    biases[id] = ban != nullptr && !*ban
                     ? -std::numeric_limits<double>::infinity()
                     : fields_detail::read_real(pair->back(), range, place.element(i));
  }
  return biases;
}

}  // namespace

Value schema(const char* type) {
  Value value;
  value.set("type", type);
  return value;
}

Value schema_of_list(Value items) {
  Value value = schema("array");
  value.set("items", std::move(items));
  return value;
}

Value with_range(Value schema, const FieldRange& range) {
  if (std::isfinite(range.least)) {
    schema.set(range.least_excluded ? "exclusiveMinimum" : "minimum", range.least);
  }
  if (std::isfinite(range.most)) {
    schema.set(range.most_excluded ? "exclusiveMaximum" : "maximum", range.most);
  }
  return schema;
}

void read_request(const RequestTable& table, const FieldParts& parts, const Value& body) {
  const auto* object = body.as<Value::Object>();
  if (object == nullptr) {
    throw RequestError(
        400, fmt::format("the request's body must be a JSON object, got {}", kind_of(body)));
  }
  const FieldPlace place{.where = "request"};
  for (const auto& [name, value] : *object) {
    if (value.is_null() && table.fields.find(name) != nullptr) continue;
    try {
      set_field(parts, name, value, place);
    } catch (const UsageError& error) {
      throw RequestError(400, error.what(), name);
    }
  }
  for (const std::string& name : table.required) {
    const Value* given = body.find(name);
    if (given == nullptr || given->is_null()) {
      throw RequestError(400, fmt::format("request: '{}' is missing", name), name);
    }
  }
}

FieldCodec<std::vector<Prompt>> prompts_codec() {
  return {"a text, texts or token numbers", "TEXT", read_prompts, write_prompts,
          [](std::string_view text) { return Value(std::string(text)); }};
}

Value prompts_schema() {
  const Value text = schema("string"), ids = schema_of_list(schema("integer"));
  Value value;
  value.set("oneOf", Value::List{text, schema_of_list(text), ids, schema_of_list(ids)});
  return value;
}

FieldCodec<std::vector<std::string>> stops_codec() {
  FieldCodec<std::vector<std::string>> codec =
      field_codec<std::vector<std::string>>({.one_for_list = true});
  codec.read = [read = codec.read](const Value& value, const FieldPlace& place) {
    std::vector<std::string> stops = read(value, place);
    if (stops.size() > most_stops) {
      place.refuse(fmt::format("must be at most {} texts, got {}", most_stops, stops.size()));
    }
    for (const std::string& stop : stops) {
      if (stop.empty()) place.refuse("must not hold an empty text");
    }
    return stops;
  };
  return codec;
}

Value stops_schema() {
  Value value;
  value.set("oneOf", Value::List{schema("string"), schema_of_list(schema("string"))});
  return value;
}

FieldCodec<std::map<std::int32_t, double>> bias_codec() {
  return {"biases by token number", "BIASES", read_bias,
          [](const std::map<std::int32_t, double>& biases) {
            Value object = Value::Object{};
            for (const auto& [id, bias] : biases) object.set(std::to_string(id), bias);
            return object;
          },
          [](std::string_view text) { return Value(std::string(text)); }};
}

Value bias_schema() {
  Value value = schema("object");
  value.set("additionalProperties", schema("number"));
  return value;
}

FieldCodec<bool> refused_codec(std::string instead) {
  FieldCodec<bool> codec = field_codec<bool>({});
  codec.read = [instead = std::move(instead)](const Value&, const FieldPlace& place) -> bool {
    place.refuse("is not served: " + instead);
  };
  return codec;
}

}  // namespace sluice::server
