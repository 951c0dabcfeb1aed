#pragma once
// JSON values that know their path, so that errors can name it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/value.hpp"

namespace sluice {

/// A value within a claim's file.
class ClaimNode {
 public:
  ClaimNode(const Value& value, std::string file, std::string path = "")
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

  const Value& value() const { return *value_; }

  /// Throws UsageError: "claim 'FILE', PATH: FAULT".
  [[noreturn]] void refuse(const std::string& fault) const;
  /// Calls `check`, and adds this place to a UsageError that it throws.
  template <class Check>
  auto checked(const Check& check) const {
    try {
      return check();
    } catch (const UsageError& error) {
      refuse(error.what());
    }
  }

  /// Throws unless it is an object whose fields are all in `known`; suggests the nearest name.
  void only(const std::vector<std::string>& known) const;
  /// A field of an object: one that must be there, or none.
  ClaimNode at(const std::string& field) const;
  std::optional<ClaimNode> find(const std::string& field) const;
  /// Elements of a list, or fields of an object in the order of their names. Throws when it is
  /// neither or empty.
  std::vector<ClaimNode> elements() const;
  /// The last part of its path.
  std::string key() const;

  std::string text() const;
  double number() const;
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  const Value::Object& object() const;
  /// Throws unless it is a list.
  const Value::List& list() const;

 private:
  /// The value as messages quote it.
  std::string quotation() const;
  ClaimNode child(const Value& value, const std::string& key) const;

  const Value* value_;
  std::string file_;
  std::string path_;
};

/// Throws UsageError with the line and column of a syntax error.
Value parse_claim_json(std::string_view text, const std::string& file);

/// Claim::design of a claim that has been read without a fault.
std::string claim_design(const Value& claim);

}  // namespace sluice
