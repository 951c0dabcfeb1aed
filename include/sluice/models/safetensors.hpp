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

/// Writes `path` atomically: the tensors in the given order (dtypes F32, F64, BF16, I32), `metadata`
/// under "__metadata__" with a checksum of the data added ("xxh3_64").
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const Metadata& metadata = {});

/// Reads every tensor. Before allocating it validates the header's length, JSON, dtypes, shapes and
/// offsets against the file's size, and the checksum when there is one. Throws Error naming the
/// file and the fault (truncated, not safetensors, damaged data).
NamedTensors read_safetensors(const std::filesystem::path& path, Metadata* metadata = nullptr);

}  // namespace sluice
