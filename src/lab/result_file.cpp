#include "result_file.hpp"

#include "sluice/base/detail/json.hpp"

namespace sluice {

Error damaged_result(const std::string& name, const std::string& fault, const ResultFile& file) {
  return Error(
      fmt::format("'{}' is damaged ({}): repeat the {} that wrote it", name, fault, file.work));
}

Value parse_result_value(std::string_view text, const std::string& name, const ResultFile& file) {
  Value value;
  try {
    value = parse_json(text, in_file("no JSON"));
  } catch (const Error& fault) {
    throw damaged_result(name, fault.what(), file);
  }
  const Value* const version = value.find("format_version");
  const auto* const format = version == nullptr ? nullptr : version->as<std::int64_t>();
  if (value.as<Value::Object>() == nullptr) throw damaged_result(name, "no JSON object", file);
  if (format == nullptr || *format < 1) {
    throw damaged_result(name, "'format_version' must be a whole number of at least 1", file);
  }
  if (*format > file.format_version) {
    throw Error(fmt::format(
        "'{}' has format {}, and this version of Sluice reads formats up to {}: read it "
        "with the version that wrote it, or repeat the {}",
        name, *format, file.format_version, file.work));
  }
  return value;
}

}  // namespace sluice
