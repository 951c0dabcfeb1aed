#include "claims/claim_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/names.hpp"

namespace sluice {
namespace {

using nlohmann::json;

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
  for (const auto& item : object().items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    child(item.value(), item.key()).refuse("unknown field; " + suggestion(item.key(), known));
  }
}

ClaimNode ClaimNode::child(const json& value, const std::string& key) const {
  return {value, file_, path_ + "/" + escaped(key)};
}

std::optional<ClaimNode> ClaimNode::find(const std::string& field) const {
  const auto found = object().find(field);
  if (found == object().end()) return std::nullopt;
  return child(*found, field);
}

ClaimNode ClaimNode::at(const std::string& field) const {
  if (const auto found = find(field)) return *found;
  static const json missing;
  child(missing, field).refuse("missing");
}

std::vector<ClaimNode> ClaimNode::elements() const {
  std::vector<ClaimNode> out;
  if (value_->is_array()) {
    for (std::size_t i = 0; i < value_->size(); ++i) {
      out.push_back(child((*value_)[i], std::to_string(i)));
    }
  } else {
    for (const auto& item : object().items()) out.push_back(child(item.value(), item.key()));
  }
  if (out.empty()) refuse("expected at least one element");
  return out;
}

std::string ClaimNode::key() const { return unescaped(path_.substr(path_.rfind('/') + 1)); }

std::string ClaimNode::quotation() const { return shown(value_of(*value_)); }

std::string ClaimNode::text() const {
  if (!value_->is_string() || value_->get_ref<const std::string&>().empty()) {
    refuse(fmt::format("expected text, got {}", quotation()));
  }
  return value_->get<std::string>();
}

double ClaimNode::number() const {
  if (!value_->is_number() || !std::isfinite(value_->get<double>())) {
    refuse(fmt::format("expected a number, got {}", quotation()));
  }
  return value_->get<double>();
}

std::int64_t ClaimNode::integer(std::int64_t least, std::int64_t most) const {
  const double given = number();
  if (given != std::floor(given) || given < static_cast<double>(least) ||
      given > static_cast<double>(most)) {
    refuse(fmt::format("expected a whole number from {} to {}, got {}", least, most, quotation()));
  }
  return static_cast<std::int64_t>(given);
}

const json& ClaimNode::object() const {
  if (!value_->is_object()) refuse(fmt::format("expected an object, got {}", value_->type_name()));
  return *value_;
}

json parse_claim_json(std::string_view text, const std::string& file) {
  return parse_json_document(text, {.where = fmt::format("claim '{}'", file)});
}

}  // namespace sluice
