#pragma once
// Where tokens enter and leave a graph.

#include "sluice/models/config.hpp"
#include "sluice/models/graph.hpp"

namespace sluice {

/// The token layers of a model (nn/token_layers.hpp).
class TokenGraph {
 public:
  TokenGraph(const ModelConfig& config, StackGraph& stack);

  /// Vectors [B, T, D] of ids [B, T].
  GraphValue embed(const GraphValue& ids);
  /// log p of all tokens, [B, T, V], for what the stack gives, [B, T, H].
  GraphValue log_probabilities(const GraphValue& h);

 private:
  GraphValue log_softmax(const GraphValue& logits);
  /// Vectors of tokens whose bands have tables and widths of their own.
  GraphValue embed_bands(const GraphValue& ids);

  StackGraph& stack_;
  Graph& graph_;
  bool tied_;
  std::vector<std::int64_t> ends_;  // of the bands of an adaptive softmax
  std::vector<GraphTable> tables_;  // of token vectors, one for each band where they are tied
};

}  // namespace sluice
