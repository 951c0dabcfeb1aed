#include "nbest_fields.hpp"

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {
namespace {

constexpr std::string_view moses_separator = "|||";
constexpr std::string_view field_blanks = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(field_blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(field_blanks) + 1 - begin);
}

}  // namespace

std::vector<std::string_view> split_fields(std::string_view line, std::string_view separator) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t end = line.find(separator);
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + separator.size());
  }
}

std::vector<std::string_view> moses_fields(std::string_view line, const std::string& where) {
  std::vector<std::string_view> fields = split_fields(line, moses_separator);
  for (std::string_view& field : fields) field = trimmed(field);
  if (fields.size() < 3 || fields[0].empty()) {
    throw Error(
        fmt::format("{}: expected 'id ||| text ||| features', got {}", where, in_quotes(line)));
  }
  return fields;
}

std::string with_moses_feature(std::string_view line, std::string_view name, double value) {
  const std::vector<std::string_view> fields = split_fields(line, moses_separator);
  // Before the blank that stands before the next separator.
  std::string_view features = fields[2];
  const std::size_t last = features.find_last_not_of(field_blanks);
  features = features.substr(0, last == std::string_view::npos ? 0 : last + 1);
  const auto at = static_cast<std::size_t>(fields[2].data() - line.data()) + features.size();
  return fmt::format("{} {}= {:.6f}{}", line.substr(0, at), name, value, line.substr(at));
}

std::string with_moses_total(std::string_view line, double total) {
  const std::vector<std::string_view> fields = split_fields(line, moses_separator);
  if (fields.size() == 3) return fmt::format("{} ||| {:.6f}", line, total);
  const auto at = static_cast<std::size_t>(fields[3].data() - line.data());
  const std::string_view rest = line.substr(at + fields[3].size());
  return fmt::format("{} {:.6f}{}{}", line.substr(0, at), total, rest.empty() ? "" : " ", rest);
}

KaldiFields kaldi_fields(std::string_view line, const std::string& where) {
  const std::string_view all = trimmed(line);
  if (all.empty()) {
    throw Error(
        fmt::format("{}: expected an utterance's name and its text, got an empty line", where));
  }
  const std::size_t end = std::min(all.find_first_of(field_blanks), all.size());
  return {all.substr(0, end), trimmed(all.substr(end))};
}

std::string with_json_fields(std::string_view object, std::string_view fields) {
  const std::string_view open = object.substr(0, object.rfind('}'));
  return fmt::format("{},{}", open.substr(0, open.find_last_not_of(" \t\r\n") + 1),
                     fields.substr(1));
}

}  // namespace sluice
