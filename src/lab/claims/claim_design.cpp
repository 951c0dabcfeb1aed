// What of a claim's file its verdict hangs on.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "claims/claim_reader.hpp"
#include "json_values.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

/// Words, what is said of the claim, and "quick", whose fields are in the others' place by now.
constexpr std::array<std::string_view, 8> of_the_claim = {
    "format_version", "title", "statement", "plain", "source", "limits", "minutes", "quick"};

/// The same text for the same JSON, in whatever order its fields stand and however its numbers are
/// written.
std::string ordered(const Value& value) {
  if (const auto number = number_in(value)) return fmt::format("{}", *number);
  if (const auto* const list = value.as<Value::List>()) {
    std::string text = "[";
    for (const Value& each : *list) text += ordered(each) + ",";
    return text + "]";
  }
  const auto* const object = value.as<Value::Object>();
  if (object == nullptr) return json_text(value);
  Value::Object fields = *object;
  std::sort(fields.begin(), fields.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text = "{";
  for (const auto& [name, field] : fields) text += json_text(name) + ":" + ordered(field) + ",";
  return text + "}";
}

}  // namespace

std::string claim_design(const Value& claim) {
  Value design = Value::Object();
  for (const auto& [name, field] : *claim.as<Value::Object>()) {
    if (std::find(of_the_claim.begin(), of_the_claim.end(), name) != of_the_claim.end()) continue;
    design.set(name, field);
  }
  Value::List parts;
  for (const Value& part : *claim.find("parts")->as<Value::List>()) {
    Value terms = Value::Object();
    for (const auto& [name, field] : *part.as<Value::Object>()) {
      if (name != "statement") terms.set(name, field);
    }
    parts.push_back(std::move(terms));
  }
  design.set("parts", std::move(parts));
  const std::string text = ordered(design);
  return checksum_hex(text.data(), text.size());
}

}  // namespace sluice
