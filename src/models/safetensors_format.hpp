#pragma once
// What the writer and the reader of safetensors files must agree on.

#include <bit>
#include <cstddef>
#include <string>
#include <string_view>

#include "sluice/tensor/tensor.hpp"

namespace sluice::safetensors {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

/// Bytes of the header's length, before the header.
inline constexpr std::size_t length_size = 8;
inline constexpr std::size_t alignment = 64;
inline constexpr std::string_view metadata_key = "__metadata__";
inline constexpr std::string_view data_checksum = "xxh3_64";
inline constexpr std::string_view header_checksum = "header_xxh3_64";
inline constexpr std::string_view no_checksum = "0000000000000000";

/// "F32", "F64", "BF16" or "I32".
std::string_view dtype_code(DType dtype);

/// Where the value of the header's own checksum begins, or npos.
std::size_t header_checksum_position(std::string_view header);

}  // namespace sluice::safetensors
