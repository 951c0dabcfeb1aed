// Texts that begin alike, read as a tree.
#include <algorithm>
#include <numeric>

#include "sluice/inference/rescore.hpp"

namespace sluice {
namespace {

using Text = std::vector<std::int32_t>;

/// Texts [begin, end) of the sorted ones, alike up to `length`, which `state` has read.
struct Branch {
  std::size_t begin = 0, end = 0, length = 0;
  double log_probability = 0;
  PredictorState state;
};

/// An edge of the tree: what the texts of a branch go on with, up to where they differ.
struct Edge {
  Branch to;
  Predictor::Ids ids;
};

class PrefixTree {
 public:
  PrefixTree(const Predictor& predictor, std::span<const Text> texts)
      : predictor_(predictor), texts_(texts), order_(texts.size()), sums_(texts.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::sort(order_.begin(), order_.end(),
              [&](std::size_t a, std::size_t b) { return texts_[a] < texts_[b]; });
  }

  std::vector<double> read(const PredictorState& start) {
    std::vector<Branch> level;
    level.push_back({0, order_.size(), 0, 0, start});
    while (!level.empty()) {
      std::vector<Edge> inner;
      for (const Branch& branch : level) split(branch, inner);
      follow(inner, Predictor::Reading::whole);
      level.clear();
      for (Edge& edge : inner) level.push_back(std::move(edge.to));
    }
    // What only one text has is read last, all at once.
    follow(leaves_, Predictor::Reading::lazy);
    for (const Edge& leaf : leaves_) settle(leaf.to);
    return std::move(sums_);
  }

 private:
  const Text& text(std::size_t place) const { return texts_[order_[place]]; }

  void settle(const Branch& branch) {
    for (std::size_t place = branch.begin; place < branch.end; ++place) {
      sums_[order_[place]] = branch.log_probability;
    }
  }

  /// The edges that leave a branch: those to others go to `inner`, the others to the leaves.
  void split(const Branch& branch, std::vector<Edge>& inner) {
    std::size_t begin = branch.begin;
    for (; begin < branch.end && text(begin).size() == branch.length; ++begin) {
      sums_[order_[begin]] = branch.log_probability;
    }
    while (begin < branch.end) {
      const std::int32_t id = text(begin)[branch.length];
      std::size_t end = begin + 1;
      while (end < branch.end && text(end)[branch.length] == id) ++end;
      // Sorted texts have in common what the first and the last have.
      const Text& first = text(begin);
      const Text& last = text(end - 1);
      const auto differ = std::mismatch(first.begin(), first.end(), last.begin(), last.end());
      const auto length = static_cast<std::size_t>(differ.first - first.begin());
      Edge edge{branch, Predictor::Ids(first).subspan(branch.length, length - branch.length)};
      edge.to.begin = begin;
      edge.to.end = end;
      edge.to.length = length;
      (last.size() == length ? leaves_ : inner).push_back(std::move(edge));
      begin = end;
    }
  }

  void follow(std::vector<Edge>& edges, Predictor::Reading reading) const {
    if (edges.empty()) return;
    std::vector<PredictorState*> states;
    std::vector<Predictor::Ids> ids;
    for (Edge& edge : edges) {
      states.push_back(&edge.to.state);
      ids.push_back(edge.ids);
    }
    const std::vector<double> nll = predictor_.nll(states, ids, reading);
    auto next = nll.begin();
    for (Edge& edge : edges) {
      for (std::size_t t = 0; t < edge.ids.size(); ++t) edge.to.log_probability -= *next++;
    }
  }

  const Predictor& predictor_;
  std::span<const Text> texts_;
  std::vector<std::size_t> order_;
  std::vector<double> sums_;
  std::vector<Edge> leaves_;
};

}  // namespace

std::vector<double> score_sharing_prefixes(const Predictor& predictor, const PredictorState& start,
                                           std::span<const Text> texts) {
  return PrefixTree(predictor, texts).read(start);
}

}  // namespace sluice
