#include "token_graph.hpp"

#include <fmt/format.h>

#include <utility>

#include "sluice/models/architecture.hpp"

namespace sluice {

TokenGraph::TokenGraph(const ModelConfig& config, StackGraph& stack)
    : stack_(stack), graph_(stack.graph()), tied_(config.tie) {
  ends_ = token_layers_options(config).cutoffs;
  const bool adaptive = !ends_.empty();
  if (adaptive) ends_.push_back(config.vocabulary);
  if (!adaptive || !tied_) {
    tables_.push_back(stack.table(stack.weight("embedding.weight")));
    return;
  }
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    tables_.push_back(stack.table(stack.weight(fmt::format("embedding.bands.{}.weight", i))));
  }
}

GraphValue TokenGraph::embed(const GraphValue& ids) {
  return tables_.size() == 1 ? stack_.pick(tables_.front(), ids) : embed_bands(ids);
}

GraphValue TokenGraph::embed_bands(const GraphValue& ids) {
  GraphValue all;
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const std::int64_t first = i == 0 ? 0 : ends_[i - 1];
    const GraphValue within =
        graph_.op("Min", {graph_.op("Max", {graph_.op("Sub", {ids, graph_.integers({first})}),
                                            graph_.integers({0})}),
                          graph_.integers({ends_[i] - first - 1})});
    GraphValue rows = stack_.pick(tables_[i], within);
    if (i == 0) {
      all = rows;
      continue;
    }
    // [d, D] as it is kept: rows times it, not its transpose.
    const Tensor projection = stack_.weight(fmt::format("embedding.bands.{}.projection.weight", i));
    rows = graph_.op("MatMul", {rows, graph_.constant(projection)});
    const GraphValue ours = graph_.op("GreaterOrEqual", {ids, graph_.integers({first})});
    all = graph_.op("Where", {graph_.unsqueeze(ours, -1), rows, all});
  }
  return all;
}

GraphValue TokenGraph::log_softmax(const GraphValue& logits) {
  return graph_.op("LogSoftmax", {logits}, {{"axis", std::int64_t{-1}}});
}

GraphValue TokenGraph::log_probabilities(const GraphValue& h) {
  const auto with_bias = [&](const GraphValue& logits, const char* name) {
    return graph_.op("Add", {logits, stack_.constant(name)});
  };
  if (ends_.empty()) {
    const GraphValue logits = tied_ ? stack_.product(h, tables_.front())
                                    : stack_.product(h, stack_.weight("softmax.weight"));
    return log_softmax(with_bias(logits, "softmax.bias"));
  }
  const GraphValue logits =
      tied_ ? graph_.concat({stack_.product(h, tables_.front()),
                             stack_.product(h, stack_.weight("softmax.clusters.weight"))},
                            -1)
            : stack_.product(h, stack_.weight("softmax.head.weight"));
  const GraphValue head = log_softmax(with_bias(logits, "softmax.head.bias"));
  std::vector<GraphValue> bands{graph_.slice(head, -1, 0, ends_.front())};
  for (std::size_t i = 0; i + 1 < ends_.size(); ++i) {
    const std::string own =
        tied_ ? fmt::format("embedding.bands.{}.", i + 1) : fmt::format("softmax.tails.{}.", i);
    const GraphValue narrow = stack_.product(h, stack_.weight(own + "projection.weight"));
    const GraphValue tail = tied_ ? stack_.product(narrow, tables_[i + 1])
                                  : stack_.product(narrow, stack_.weight(own + "output.weight"));
    const std::int64_t cluster = ends_.front() + static_cast<std::int64_t>(i);
    bands.push_back(
        graph_.op("Add", {log_softmax(tail), graph_.slice(head, -1, cluster, cluster + 1)}));
  }
  return graph_.concat(std::move(bands), -1);
}

}  // namespace sluice
