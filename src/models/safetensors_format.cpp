#include "safetensors_format.hpp"

#include <fmt/format.h>

namespace sluice::safetensors {

std::string_view dtype_code(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "F64";
    case DType::bf16:
      return "BF16";
    case DType::i32:
      return "I32";
    case DType::i8:
      return "I8";
    case DType::f32:
      break;
  }
  return "F32";
}

std::size_t header_checksum_position(std::string_view header) {
  const std::string start = fmt::format("\"{}\":\"", header_checksum);
  const std::size_t found = header.find(start);
  if (found == std::string_view::npos) return found;
  const std::size_t value = found + start.size();
  const bool whole =
      value + no_checksum.size() < header.size() && header[value + no_checksum.size()] == '"';
  return whole ? value : std::string_view::npos;
}

}  // namespace sluice::safetensors
