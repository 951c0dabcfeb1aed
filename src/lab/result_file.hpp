#pragma once
// Reading the laboratory's result files, with every field checked.

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "codecs.hpp"
#include "sluice/base/error.hpp"

namespace sluice {

/// A kind of file: its newest format, and what writes it: "comparison".
struct ResultFile {
  std::int64_t format_version;
  const char* work;
};

/// Parses `text`. Throws Error when it is no JSON object or has an unsupported format; `name` is
/// what messages call the file.
Value parse_result_value(std::string_view text, const std::string& name, const ResultFile& file);

/// The Error about a file that is not as documented.
Error damaged_result(const std::string& name, const std::string& fault, const ResultFile& file);

/// Reads `text` as a struct, by `codec`. Throws Error as parse_result_value() does, and naming the
/// field that is not as documented.
template <class S>
S parse_result(std::string_view text, const std::string& name, const ResultFile& file,
               const FieldCodec<S>& codec) {
  const Value value = parse_result_value(text, name, file);
  try {
    return codec.read(value, in_file(""));
  } catch (const Error& fault) {
    throw damaged_result(name, fault.what(), file);
  }
}

}  // namespace sluice
