#pragma once
// The fields of requests: one table from which bodies are checked and /openapi.json is made.

#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/names.hpp"

namespace sluice::server {

/// What /openapi.json says of a field's type.
Value schema(const char* type);
Value schema_of_list(Value items);
/// Adds the bounds of a number.
Value with_range(Value schema, const FieldRange& range);

/// The schema of a type that field_codec() knows.
template <class M>
Value schema_of(const FieldSpec& spec) {
  if constexpr (std::is_same_v<M, bool>) {
    return schema("boolean");
  } else if constexpr (std::is_integral_v<M>) {
    return with_range(schema("integer"), spec.range);
  } else if constexpr (std::is_floating_point_v<M>) {
    return with_range(schema("number"), spec.range);
  } else if constexpr (std::is_same_v<M, std::string>) {
    return schema("string");
  } else if constexpr (fields_detail::IsOptional<M>::value) {
    return schema_of<typename M::value_type>(spec);
  } else {
    return schema_of_list(schema_of<typename M::value_type>(spec));
  }
}

/// The fields of one kind of request.
struct RequestTable {
  FieldTable fields;
  /// In the order of `fields`.
  std::vector<Value> schemas;
  std::vector<std::string> required;
  /// The object of a request that gives none of them: their defaults.
  Value defaults;
};

/// Builds the table of struct S, as FieldsOf does.
template <class S>
class RequestOf {
 public:
  template <class Access>
  RequestOf& add(const std::string& name, Access access, FieldSpec spec) {
    schemas_.push_back(schema_of<typename FieldsOf<S>::template Member<Access>>(spec));
    fields_.add(name, access, std::move(spec));
    return *this;
  }
  /// A field with a codec of its own.
  template <class Access>
  RequestOf& add(const std::string& name, Access access,
                 FieldCodec<typename FieldsOf<S>::template Member<Access>> codec, Value type,
                 FieldSpec spec) {
    schemas_.push_back(std::move(type));
    fields_.add(name, access, std::move(codec), std::move(spec));
    return *this;
  }
  /// The fields of a part of the struct, as if they were its own.
  template <class Access>
  RequestOf& add_all(Access access, const RequestTable& table) {
    schemas_.insert(schemas_.end(), table.schemas.begin(), table.schemas.end());
    fields_.add_all(access, table.fields);
    return *this;
  }
  RequestOf& require(std::string name) {
    required_.push_back(std::move(name));
    return *this;
  }

  operator RequestTable() const {  // NOLINT(*-explicit-*)
    RequestTable table{fields_, schemas_, required_, {}};
    const S defaults{};
    table.defaults = write_fields({{table.fields, defaults}});
    return table;
  }

 private:
  FieldsOf<S> fields_;
  std::vector<Value> schemas_;
  std::vector<std::string> required_;
};

/// Sets the fields of a request that `body` has; null stands for one that was left out. Throws
/// RequestError (400) naming the field that is unknown, missing or wrong.
void read_request(const RequestTable& table, const FieldParts& parts, const Value& body);

template <class S>
S read_request(const RequestTable& table, const Value& body) {
  S request{};
  read_request(table, {{table.fields, request}}, body);
  return request;
}

/// A text or its tokens.
struct Prompt {
  std::optional<std::string> text;
  std::vector<std::int32_t> ids;
};

/// A text, a list of texts, ids, or a list of lists of ids.
FieldCodec<std::vector<Prompt>> prompts_codec();
Value prompts_schema();
/// A text or a list of texts, none of them empty.
FieldCodec<std::vector<std::string>> stops_codec();
Value stops_schema();
/// {"id": bias}, or llama.cpp's [[id, bias], ...] with false for a ban.
FieldCodec<std::map<std::int32_t, double>> bias_codec();
Value bias_schema();
/// A field that is known and not served; `instead` says why, or what to use.
FieldCodec<bool> refused_codec(std::string instead);

}  // namespace sluice::server
