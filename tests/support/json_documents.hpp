#pragma once
// Values as nlohmann's documents, which tests alter and compare.

#include <nlohmann/json.hpp>

#include "sluice/base/detail/json.hpp"

namespace sluice {

inline Value value_of(const nlohmann::json& document) {
  return parse_json(document.dump(), {.where = "a document"});
}

inline nlohmann::json document_of(const Value& value) {
  return nlohmann::json::parse(json_text(value));
}

}  // namespace sluice
