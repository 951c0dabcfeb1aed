#pragma once
// A graph as an ONNX file.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "sluice/models/graph.hpp"

namespace sluice {

/// Replaces `path` by the graph; weights of more than `most_embedded` bytes go to PATH.weights.
/// Weights are not copied on the way.
void write_onnx(const Graph& graph,
                const std::vector<std::pair<std::string, std::string>>& metadata,
                const std::filesystem::path& path, std::int64_t most_embedded);

}  // namespace sluice
