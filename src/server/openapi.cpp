#include <cctype>
#include <string>

#include "routes.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/version.hpp"

namespace sluice::server {
namespace {

Value object_of(std::initializer_list<std::pair<std::string, Value>> fields) {
  Value object;
  for (const auto& [name, value] : fields) object.set(name, value);
  return object;
}

Value schema_of_fields(const RequestTable& table) {
  Value properties = Value::Object{};
  const auto& fields = table.fields.fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    Value property = table.schemas[i];
    property.set("description", fields[i].spec.help);
    const Value* standard = table.defaults.find(fields[i].name);
    if (standard != nullptr && !standard->is_null()) property.set("default", *standard);
    properties.set(fields[i].name, std::move(property));
  }
  Value::List required;
  for (const std::string& name : table.required) required.emplace_back(name);
  return object_of({{"type", "object"},
                    {"additionalProperties", false},
                    {"properties", std::move(properties)},
                    {"required", std::move(required)}});
}

Value body_of(const RequestTable& table) {
  const Value media = object_of({{"schema", schema_of_fields(table)}});
  return object_of({{"required", true}, {"content", object_of({{"application/json", media}})}});
}

/// "post_v1_completions".
std::string operation_id(const Route& route) {
  std::string id;
  for (const char byte : std::string(route.method) + route.path) {
    const auto letter = static_cast<unsigned char>(byte);
    if (std::isalnum(letter) != 0) {
      id += static_cast<char>(std::tolower(letter));
    } else if (!id.empty() && id.back() != '_') {
      id += '_';
    }
  }
  while (id.ends_with('_')) id.pop_back();
  return id;
}

Value operation_of(const Route& route) {
  const Value error = object_of({{"$ref", "#/components/responses/Error"}});
  Value operation = object_of(
      {{"summary", route.summary},
       {"operationId", operation_id(route)},
       {"responses",
        object_of({{"200", object_of({{"description", "The answer"},
                                      {"content", object_of({{route.type, Value::Object{}}})}})},
                   {"default", error}})}});
  if (route.request != nullptr) operation.set("requestBody", body_of(*route.request()));
  if (route.message != nullptr) operation.set("x-messages", schema_of_fields(*route.message()));
  if (route.access == Access::open) operation.set("security", Value::List{});
  const std::string path = route.path;
  if (const std::size_t brace = path.find('{'); brace != std::string::npos) {
    operation.set("parameters",
                  Value::List{object_of({{"name", path.substr(brace + 1, path.size() - brace - 2)},
                                         {"in", "path"},
                                         {"required", true},
                                         {"schema", schema("string")}})});
  }
  return operation;
}

Value error_response_description() {
  const Value text = schema("string");
  const Value fields = object_of(
      {{"type", "object"},
       {"properties",
        object_of({{"message", text}, {"type", text}, {"param", text}, {"code", text}})}});
  const Value body =
      object_of({{"type", "object"}, {"properties", object_of({{"error", fields}})}});
  return object_of({{"description", "What is wrong"},
                    {"content", object_of({{"application/json", object_of({{"schema", body}})}})}});
}

std::string lower(std::string text) {
  for (char& letter : text)
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return text;
}

std::string make_document() {
  Value paths = Value::Object{};
  for (const Route& route : routes()) {
    const Value* before = paths.find(route.path);
    Value path = before ? *before : Value(Value::Object{});
    path.set(lower(route.method), operation_of(route));
    paths.set(route.path, std::move(path));
  }
  const Value bearer = object_of({{"type", "http"}, {"scheme", "bearer"}});
  return json_text(object_of(
      {{"openapi", "3.1.0"},
       {"info", object_of({{"title", "Sluice"}, {"version", std::string(library_version())}})},
       {"paths", std::move(paths)},
       {"security", Value::List{object_of({{"key", Value::List{}}})}},
       {"components",
        object_of({{"securitySchemes", object_of({{"key", bearer}})},
                   {"responses", object_of({{"Error", error_response_description()}})}})}}));
}

}  // namespace

std::string openapi_document() {
  static const std::string document = make_document();
  return document;
}

}  // namespace sluice::server
