// JSON texts written. Without nlohmann's documents, which end the program where memory runs out:
// their destructors allocate, and a list that could not be made is destroyed all the same.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "sluice/base/detail/json.hpp"

namespace sluice {
namespace {

/// Whether it stands in a JSON text as it is.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

class Writer {
 public:
  Writer(int indent, JsonNames names) : indent_(indent), names_(names) {}

  std::string take() { return std::move(text_); }

  void put(const Value& value) {
    std::visit([this](const auto& held) { put(held); }, value.data);
  }

 private:
  using Field = Value::Object::value_type;

  void put(std::monostate) { text_ += "null"; }
  void put(bool value) { text_ += value ? "true" : "false"; }
  void put(std::int64_t value) { text_ += std::to_string(value); }
  void put(std::uint64_t value) { text_ += std::to_string(value); }
  void put(double value) { text_ += nlohmann::json(value).dump(); }
  void put(const std::string& value) {
    if (is_plain(value)) {
      text_ += '"';
      text_ += value;
      text_ += '"';
    } else {
      using nlohmann::json;
      text_ += json(value).dump(-1, ' ', false, json::error_handler_t::replace);
    }
  }
  void put(const Value::List& list) {
    put_all(list, '[', ']', [this](const Value& element) { put(element); });
  }
  void put(const Value::Object& object) {
    if (names_ == JsonNames::as_given) {
      put_all(object, '{', '}', [this](const Field& field) { put(field); });
      return;
    }
    std::vector<const Field*> fields;
    fields.reserve(object.size());
    for (const Field& field : object) fields.push_back(&field);
    std::sort(fields.begin(), fields.end(),
              [](const Field* a, const Field* b) { return a->first < b->first; });
    put_all(fields, '{', '}', [this](const Field* field) { put(*field); });
  }
  void put(const Field& field) {
    put(field.first);
    text_ += indent_ < 0 ? ":" : ": ";
    put(field.second);
  }

  template <class Parts, class Put>
  void put_all(const Parts& parts, char open, char close, Put&& put_part) {
    text_ += open;
    ++level_;
    bool first = true;
    for (const auto& part : parts) {
      if (!first) text_ += ',';
      first = false;
      new_line();
      put_part(part);
    }
    --level_;
    if (!first) new_line();
    text_ += close;
  }
  void new_line() {
    if (indent_ < 0) return;
    text_ += '\n';
    text_.append(static_cast<std::size_t>(indent_) * level_, ' ');
  }

  int indent_;
  JsonNames names_;
  std::size_t level_ = 0;
  std::string text_;
};

}  // namespace

std::string json_text(const Value& value, int indent, JsonNames names) {
  Writer writer(indent, names);
  writer.put(value);
  return writer.take();
}

}  // namespace sluice
