// The Transformer's layers as a graph. Carried are the keys and values of the window - 1 positions
// before, not yet turned, and how many positions were read.

#include "transformer_export.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace sluice {
namespace {

class BlocksGraph {
 public:
  BlocksGraph(const TransformerOptions& options, StackGraph& stack)
      : options_(options),
        stack_(stack),
        graph_(stack.graph()),
        width_(options.dim / options.heads),
        past_(stack.streaming() ? options.window - 1 : 0) {
    const bool counts = stack.streaming() && (past_ > 0 || learned());
    if (counts) read_ = stack.state({1});
    time_ = graph_.scalar_size_of(stack.tokens(), 1);
    places_ = range(time_);
    if (counts) count_on();
    make_mask();
    if (options.positions == Positions::rotary) make_turns();
  }

  GraphValue draw(GraphValue x) {
    if (learned()) x = with_positions(x);
    for (std::int64_t i = 0; i < options_.depth; ++i) {
      x = block(x, fmt::format("blocks.{}.", i));
    }
    return norm(x, "norm.");
  }

 private:
  bool learned() const { return options_.positions == Positions::learned; }
  GraphValue norm(const GraphValue& x, const std::string& prefix) {
    return stack_.norm(x, options_.norm, options_.groups, prefix);
  }
  GraphValue add(const GraphValue& a, const GraphValue& b) { return graph_.op("Add", {a, b}); }
  /// 0, 1, .. count - 1 in float32.
  GraphValue range(const GraphValue& count) {
    return graph_.to_float(graph_.op("Range", {graph_.integer(0), count, graph_.integer(1)}));
  }

  /// Carries the number of positions read to the next call, kept below twice the window: beyond one
  /// window, only the remainder matters.
  void count_on() {
    const GraphValue window = graph_.number(static_cast<double>(options_.window));
    const GraphValue sum = add(read_, graph_.to_float(time_));
    const GraphValue rest = graph_.op("Mod", {sum, window}, {{"fmod", std::int64_t{1}}});
    const GraphValue twice = graph_.number(2 * static_cast<double>(options_.window));
    stack_.carry(graph_.op("Where", {graph_.op("Less", {sum, twice}), sum, add(rest, window)}));
  }

  /// What is added to scores [B, heads, T, S]: nothing where a position sees another, else as good
  /// as -Inf. Key s is position s - past.
  void make_mask() {
    const GraphValue queries = graph_.unsqueeze(places_, 1);  // [T, 1]
    keys_ = range(past_ == 0 ? time_ : graph_.op("Add", {time_, graph_.integer(past_)}));
    const GraphValue later = add(queries, graph_.number(static_cast<double>(past_) + 0.5));
    const GraphValue earlier =
        add(queries, graph_.number(static_cast<double>(past_ - options_.window) + 0.5));
    GraphValue seen = graph_.op("And", {graph_.op("Less", {keys_, later}),
                                        graph_.op("Greater", {keys_, earlier})});  // [T, S]
    if (past_ > 0) {
      // Before the text there is nothing: [B, 1] against [S].
      const GraphValue first =
          graph_.op("Sub", {graph_.number(static_cast<double>(past_) - 0.5), read_});
      const GraphValue within = graph_.op("Greater", {keys_, first});  // [B, S]
      seen = graph_.op("And", {graph_.unsqueeze(graph_.unsqueeze(within, 1), 1), seen});
    }
    mask_ = graph_.op("Where", {seen, graph_.number(0), graph_.number(-1e30)});
  }

  /// Cosine and sine of position · 10000^(-2i/d), [S, d/2]. The angle is counted in turns, its
  /// whole ones dropped where nothing is rounded yet: a frequency's first 11 bits times positions
  /// below 8192 are exact in float32.
  void make_turns() {
    const std::int64_t pairs = width_ / 2;
    Tensor coarse(Shape{1, pairs}), fine(Shape{1, pairs});
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double frequency =
          std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs)) /
          (2 * std::numbers::pi);
      int exponent = 0;
      constexpr int bits = 11;
      const double mantissa = std::frexp(frequency, &exponent);
      const double first = std::ldexp(std::floor(std::ldexp(mantissa, bits)), exponent - bits);
      coarse.data<float>()[i] = static_cast<float>(first);
      fine.data<float>()[i] = static_cast<float>(frequency - first);
    }
    const GraphValue places = graph_.unsqueeze(keys_, 1);
    const GraphValue turns = graph_.op("Mul", {places, graph_.constant(coarse)});
    const GraphValue rest = graph_.op("Sub", {turns, graph_.op("Floor", {turns})});
    const GraphValue angle =
        graph_.op("Mul", {add(rest, graph_.op("Mul", {places, graph_.constant(fine)})),
                          graph_.number(2 * std::numbers::pi)});
    cosine_ = graph_.op("Cos", {angle});
    sine_ = graph_.op("Sin", {angle});
  }

  /// x plus the vectors of its positions, counted modulo the window.
  GraphValue with_positions(const GraphValue& x) {
    const GraphValue places = read_.empty() ? places_ : add(read_, places_);
    const GraphValue index =
        graph_.op("Mod", {graph_.to_integers(places), graph_.integers({options_.window})});
    return add(x, graph_.op("Gather", {stack_.constant("positions.weight"), index}));
  }

  /// x [B, S, D] as [B, heads, S, d].
  GraphValue by_heads(const GraphValue& x) {
    return graph_.transpose(graph_.reshape(x, {0, 0, options_.heads, width_}), {0, 2, 1, 3});
  }

  /// Elements i and i + d/2 of each head turned by their positions' angles.
  GraphValue turned(const GraphValue& x, const GraphValue& cosine, const GraphValue& sine) {
    if (options_.positions != Positions::rotary) return x;
    const auto halves = graph_.split(x, 2, width_ / 2);
    const auto times = [&](const GraphValue& a, const GraphValue& b) {
      return graph_.op("Mul", {a, b});
    };
    return graph_.concat({graph_.op("Sub", {times(halves[0], cosine), times(halves[1], sine)}),
                          add(times(halves[1], cosine), times(halves[0], sine))},
                         -1);
  }
  /// Of the queries' positions, the last T of the keys'.
  GraphValue of_queries(const GraphValue& table) {
    return past_ == 0 || table.empty() ? table : graph_.slice_from(table, 0, past_);
  }

  /// Rows of this chunk behind those that were carried, [B, past + T, D].
  GraphValue behind_past(const GraphValue& rows) {
    if (past_ == 0) return rows;
    GraphValue all = graph_.concat({stack_.state({past_, options_.dim}), rows}, 1);
    stack_.carry(graph_.slice_from(all, 1, -past_));
    return all;
  }

  GraphValue attention(const GraphValue& x, const std::string& prefix) {
    const auto parts = graph_.split(stack_.linear(x, prefix + "qkv."), 3, options_.dim);
    const GraphValue q = turned(by_heads(parts[0]), of_queries(cosine_), of_queries(sine_));
    const GraphValue k = turned(by_heads(behind_past(parts[1])), cosine_, sine_);
    const GraphValue v = by_heads(behind_past(parts[2]));
    const GraphValue scores =
        graph_.op("Mul", {graph_.op("MatMul", {q, graph_.transpose(k, {0, 1, 3, 2})}),
                          graph_.number(1 / std::sqrt(static_cast<double>(width_)))});
    const GraphValue shares =
        graph_.op("Softmax", {add(scores, mask_)}, {{"axis", std::int64_t{-1}}});
    const GraphValue seen = graph_.transpose(graph_.op("MatMul", {shares, v}), {0, 2, 1, 3});
    return stack_.linear(graph_.reshape(seen, {0, 0, options_.dim}), prefix + "out.");
  }

  GraphValue block(const GraphValue& x, const std::string& prefix) {
    const GraphValue middle =
        add(x, attention(norm(x, prefix + "attention_norm."), prefix + "attention."));
    const std::string ffn = prefix + "ffn.";
    const std::int64_t inner = stack_.weight(ffn + "out.weight").dim(1);
    const GraphValue projected = stack_.linear(norm(middle, prefix + "ffn_norm."), ffn + "in.");
    const GraphValue given = stack_.unit(projected, options_.ffn, inner, ffn + "unit.");
    return add(middle, stack_.linear(given, ffn + "out."));
  }

  TransformerOptions options_;
  StackGraph& stack_;
  Graph& graph_;
  std::int64_t width_, past_;  // channels of a head, positions carried
  GraphValue read_, time_, places_, keys_, mask_, cosine_, sine_;
};

}  // namespace

GraphValue draw_transformer(const TransformerOptions& options, StackGraph& stack,
                            const GraphValue& x) {
  return BlocksGraph(options, stack).draw(x);
}

}  // namespace sluice
