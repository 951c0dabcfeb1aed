#pragma once
// The fields of lines that others' programs write and read.

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// The parts of `line` between separators, at least one.
std::vector<std::string_view> split_fields(std::string_view line, std::string_view separator);

/// "id ||| text ||| features [||| ...]": its fields without the blanks around them, at least three.
/// Throws Error, beginning with `where`, for another line.
std::vector<std::string_view> moses_fields(std::string_view line, const std::string& where);
/// The line with " NAME= VALUE" behind its features.
std::string with_moses_feature(std::string_view line, std::string_view name, double value);

/// The line with `total` as its fourth field, which is added where it is missing.
std::string with_moses_total(std::string_view line, double total);

/// "id rest": the first word, and what comes after the blanks behind it.
struct KaldiFields {
  std::string_view id, rest;
};
/// Throws Error, beginning with `where`, for a line without a word.
KaldiFields kaldi_fields(std::string_view line, const std::string& where);

/// A JSON object with the fields of another behind its own; both as their texts, neither empty.
std::string with_json_fields(std::string_view object, std::string_view fields);

}  // namespace sluice
