#pragma once
// Safetensors files (https://github.com/huggingface/safetensors), checked before allocation.

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sluice/tensor/tensor.hpp"

namespace sluice {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using Metadata = std::map<std::string, std::string>;

/// Writes `path` atomically: the tensors in the given order (dtypes F32, F64, BF16, I32) and
/// `metadata` under "__metadata__", with two checksums (XXH3, 64 bits, hexadecimal) added to it:
/// "xxh3_64" of the data, and "header_xxh3_64" of the header with sixteen zeros in its own place.
/// The data begins at a multiple of 64 bytes, the header padded with blanks. Throws Error for a
/// name that is empty, used twice or "__metadata__", and when the file cannot be written.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const Metadata& metadata = {});

/// Reads every tensor, in the order of their data, and the metadata without the checksums. Before
/// allocating it validates the header's length, JSON, dtypes, shapes and offsets against the file's
/// size, and the checksums when there are any. Throws Error naming the file and the fault
/// (truncated, not safetensors, damaged data).
NamedTensors read_safetensors(const std::filesystem::path& path, Metadata* metadata = nullptr);

}  // namespace sluice
