#include "sluice/base/detail/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "json_scan.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"

namespace sluice {
namespace {

using nlohmann::json;

/// What the library's parser tells of as it reads.
class Builder {
 public:
  Builder(std::string_view text, const FieldPlace& place, const JsonLimits& limits)
      : all_(text), place_(place), limits_(limits), fault_(scan_json(text, limits.text)) {
    text_ = fault_ ? text.substr(0, fault_->token) : text;
  }

  /// What the parser is to read: all of it, or what stands before a fault.
  std::string_view text() const { return text_; }

  Value take() {
    if (fault_) refuse_fault();
    return std::move(root_);
  }

  bool null() { return put({}); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(json::number_integer_t value) { return put(std::int64_t{value}); }
  bool number_unsigned(json::number_unsigned_t value) { return put(std::uint64_t{value}); }
  bool number_float(json::number_float_t value, const std::string& text) {
    // The parser takes 1e-400 for 0.
    if (!real_number(text)) {
      place_.refuse("the number " + in_quotes(text) + " is too small to be told from 0");
    }
    return put(value);
  }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Value::Object{}); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(Value::List{}); }
  bool end_array() { return close(); }

  bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
    // The text was cut before what it must not have.
    if (fault_ && position > text_.size()) refuse_fault();
    const FieldPlace at = place_of(std::max<std::size_t>(position, 1) - 1);
    // What the parser says behind its own account of the place, without all it read last.
    std::string fault = error.what();
    // The only fault that is none of the syntax.
    if (dynamic_cast<const json::out_of_range*>(&error) != nullptr) {
      const std::size_t begin = std::min(fault.find('\''), fault.size() - 1) + 1;
      const std::string number = fault.substr(begin, fault.rfind('\'') - begin);
      at.refuse(fmt::format("the number {} is too large for a double", in_quotes(number)));
    }
    if (const std::size_t colon = fault.find(": "); colon != std::string::npos) {
      fault = fault.substr(colon + 2);
    }
    const std::string_view last = "; last read: '";
    if (const std::size_t read = fault.find(last); read != std::string::npos) {
      const std::size_t begin = read + last.size();
      const std::size_t end = fault.rfind('\'');
      if (end > begin) {
        fault = fault.substr(0, begin - 1) + in_quotes(fault.substr(begin, end - begin)) +
                fault.substr(end + 1);
      }
    }
    at.refuse(fault);
  }

 private:
  /// The place of a byte of the text.
  FieldPlace place_of(std::size_t byte) const {
    const std::string_view before = all_.substr(0, byte);
    const std::size_t start = before.rfind('\n');
    const std::size_t column =
        before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1;
    FieldPlace at = place_;
    if (!limits_.one_line) {
      at.where += fmt::format(", line {}", 1 + std::count(before.begin(), before.end(), '\n'));
    }
    at.where += fmt::format(", column {}", column);
    return at;
  }
  [[noreturn]] void refuse_fault() const { place_of(fault_->byte).refuse(fault_->what); }

  Value* add(Value value) {
    if (++values_ > limits_.values) {
      place_.refuse(
          fmt::format("more than {} values", grouped(static_cast<std::int64_t>(limits_.values))));
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (auto* list = std::get_if<Value::List>(&open_.back()->data)) {
      list->push_back(std::move(value));
      return &list->back();
    }
    auto& object = std::get<Value::Object>(open_.back()->data);
    object.emplace_back(std::move(key_), std::move(value));
    return &object.back().second;
  }
  bool put(Value value) {
    add(std::move(value));
    return true;
  }
  bool open(Value value) {
    if (open_.size() >= static_cast<std::size_t>(limits_.levels)) {
      place_.refuse(fmt::format("nested deeper than {} levels", limits_.levels));
    }
    open_.push_back(add(std::move(value)));
    return true;
  }
  bool close() {
    if (auto* object = std::get_if<Value::Object>(&open_.back()->data)) keep_last(*object);
    open_.pop_back();
    return true;
  }
  /// Of several fields of one name the last counts.
  void keep_last(Value::Object& object) const {
    std::unordered_set<std::string_view> seen;
    std::vector<bool> doubled(object.size(), false);
    bool any = false;
    for (std::size_t i = object.size(); i-- > 0;) {
      doubled[i] = !seen.insert(object[i].first).second;
      any = any || doubled[i];
    }
    if (!any) return;
    if (!limits_.repeated_fields) {
      const auto again = std::find(doubled.begin(), doubled.end(), true) - doubled.begin();
      place_.refuse(fmt::format("it names {} twice",
                                in_quotes(object[static_cast<std::size_t>(again)].first)));
    }
    Value::Object kept;
    for (std::size_t i = 0; i < object.size(); ++i) {
      if (!doubled[i]) kept.push_back(object[i]);
    }
    object = std::move(kept);
  }

  std::string_view all_, text_;
  const FieldPlace& place_;
  JsonLimits limits_;
  std::optional<JsonFault> fault_;
  std::size_t values_ = 0;
  Value root_;
  /// Lists and objects that are not complete, each within the one before. An element is complete
  /// before the next is added, so that none of these moves.
  std::vector<Value*> open_;
  std::string key_;
};

}  // namespace

Value parse_json(std::string_view text, const FieldPlace& place, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    place.refuse(fmt::format("{} bytes of JSON are too many, expected at most {}",
                             grouped(static_cast<std::int64_t>(text.size())),
                             grouped(static_cast<std::int64_t>(limits.bytes))));
  }
  Builder builder(text, place, limits);
  json::sax_parse(builder.text(), &builder);
  return builder.take();
}

}  // namespace sluice
