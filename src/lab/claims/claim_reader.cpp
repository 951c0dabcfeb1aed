#include "claims/claim_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "json_values.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/names.hpp"

namespace sluice {
namespace {

/// A part of a JSON pointer: "~" and "/" escaped (RFC 6901).
std::string escaped(const std::string& key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

/// "~1" and "~0" read back.
std::string unescaped(const std::string& part) {
  std::string out;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '~') {
      out += part[i];
      continue;
    }
    out += part[++i] == '1' ? '/' : '~';
  }
  return out;
}

}  // namespace

void ClaimNode::refuse(const std::string& fault) const {
  throw UsageError(
      fmt::format("claim '{}', {}: {}", file_, path_.empty() ? "as a whole" : path_, fault));
}

void ClaimNode::only(const std::vector<std::string>& known) const {
  for (const auto& [name, value] : object()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    child(value, name).refuse("unknown field; " + suggestion(name, known));
  }
}

ClaimNode ClaimNode::child(const Value& value, const std::string& key) const {
  return {value, file_, path_ + "/" + escaped(key)};
}

std::optional<ClaimNode> ClaimNode::find(const std::string& field) const {
  object();
  const Value* const found = value_->find(field);
  if (found == nullptr) return std::nullopt;
  return child(*found, field);
}

ClaimNode ClaimNode::at(const std::string& field) const {
  if (const auto found = find(field)) return *found;
  static const Value missing;
  child(missing, field).refuse("missing");
}

std::vector<ClaimNode> ClaimNode::elements() const {
  std::vector<ClaimNode> out;
  if (const auto* const list = value_->as<Value::List>()) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      out.push_back(child((*list)[i], std::to_string(i)));
    }
  } else {
    std::map<std::string, const Value*> fields;
    for (const auto& [name, value] : object()) fields[name] = &value;
    for (const auto& [name, value] : fields) out.push_back(child(*value, name));
  }
  if (out.empty()) refuse("expected at least one element");
  return out;
}

std::string ClaimNode::key() const { return unescaped(path_.substr(path_.rfind('/') + 1)); }

std::string ClaimNode::quotation() const { return shown(*value_); }

std::string ClaimNode::text() const {
  const auto* const words = value_->as<std::string>();
  if (words == nullptr || words->empty()) {
    refuse(fmt::format("expected text, got {}", quotation()));
  }
  return *words;
}

double ClaimNode::number() const {
  const std::optional<double> number = number_in(*value_);
  if (!number || !std::isfinite(*number)) {
    refuse(fmt::format("expected a number, got {}", quotation()));
  }
  return *number;
}

std::int64_t ClaimNode::integer(std::int64_t least, std::int64_t most) const {
  const double given = number();
  if (given != std::floor(given) || given < static_cast<double>(least) ||
      given > static_cast<double>(most)) {
    refuse(fmt::format("expected a whole number from {} to {}, got {}", least, most, quotation()));
  }
  return static_cast<std::int64_t>(given);
}

const Value::Object& ClaimNode::object() const {
  const auto* const fields = value_->as<Value::Object>();
  if (fields == nullptr) refuse(fmt::format("expected an object, got {}", kind_of(*value_)));
  return *fields;
}

const Value::List& ClaimNode::list() const {
  const auto* const elements = value_->as<Value::List>();
  if (elements == nullptr) refuse(fmt::format("expected a list, got {}", kind_of(*value_)));
  return *elements;
}

Value parse_claim_json(std::string_view text, const std::string& file) {
  return parse_json(text, {.where = fmt::format("claim '{}'", file)});
}

}  // namespace sluice
