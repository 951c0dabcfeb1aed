// The graphs of a model, and what is said beside them.

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "onnx_file.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/architecture.hpp"
#include "sluice/models/export.hpp"
#include "token_graph.hpp"
#include "unconditional.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// What is said of a model, in the order in which it is written.
using Notes = std::vector<std::pair<std::string, std::string>>;

/// A model being drawn.
struct Drawing {
  const ModelConfig& config;
  StackGraph stack;
  TokenGraph tokens;

  Drawing(const LanguageModel& model, bool streaming, bool int8)
      : config(model.config()), stack(model.parameters(), streaming, int8), tokens(config, stack) {}

  Graph& graph() { return stack.graph(); }
  /// What the stack gives for ids [B, T], a value of the graph.
  GraphValue hidden(const GraphValue& ids) {
    stack.set_tokens(ids);
    return config.architecture().draw(config, stack, tokens.embed(ids));
  }
  /// -log_p[b, t, ids[b, t]], [B, T], for log_p [B, T, V].
  GraphValue nll(const GraphValue& log_p, const GraphValue& ids) {
    const GraphValue picked = graph().op("GatherElements", {log_p, graph().unsqueeze(ids, -1)},
                                         {{"axis", std::int64_t{-1}}});
    return graph().op("Neg", {graph().squeeze(picked, -1)});
  }
};

std::vector<GraphDim> dims_of(const StackGraph::State& state) {
  std::vector<GraphDim> dims{"batch"};
  dims.insert(dims.end(), state.dims.begin(), state.dims.end());
  return dims;
}

/// tokens [batch, time] to log_probs [batch, time, V] and nll [batch, time - 1].
Graph whole_graph(const LanguageModel& model, bool int8) {
  Drawing drawing(model, false, int8);
  Graph& graph = drawing.graph();
  graph.add_input({"tokens", true, {"batch", "time"}});
  const GraphValue log_p = drawing.tokens.log_probabilities(drawing.hidden("tokens"));
  graph.named_op("log_probs", "Identity", {log_p});
  // What follows each token; of the last one the first, which is cut off again.
  const GraphValue next =
      graph.concat({graph.slice_from("tokens", 1, 1), graph.slice("tokens", 1, 0, 1)}, 1);
  graph.named_op("nll", "Identity", {graph.slice(drawing.nll(log_p, next), 1, 0, -1)});
  graph.add_output({"log_probs", false, {"batch", "time", drawing.config.vocabulary}});
  graph.add_output({"nll", false, {"batch", "predicted"}});
  return std::move(graph);
}

/// tokens [batch, time] and state.I [batch, ..] to log_probs [batch, time, V] and next.I.
Graph step_graph(const LanguageModel& model, bool int8) {
  Drawing drawing(model, true, int8);
  Graph& graph = drawing.graph();
  graph.add_input({"tokens", true, {"batch", "time"}});
  graph.named_op("log_probs", "Identity",
                 {drawing.tokens.log_probabilities(drawing.hidden("tokens"))});
  graph.add_output({"log_probs", false, {"batch", "time", drawing.config.vocabulary}});
  std::size_t i = 0;
  for (const StackGraph::State& state : drawing.stack.states()) {
    const GraphValue next = fmt::format("next.{}", i++);
    graph.named_op(next, "Identity", {state.after});
    graph.add_input({state.before, false, dims_of(state)});
    graph.add_output({next, false, dims_of(state)});
  }
  return std::move(graph);
}

/// sherpa-onnx's offline-rnn-lm: x [N, L] and x_lens [N] to nll [N], that of <s> x </s> but for
/// <s>.
Graph sherpa_graph(const LanguageModel& model, TokenId eos, bool int8) {
  Drawing drawing(model, false, int8);
  Graph& graph = drawing.graph();
  graph.add_input({"x", true, {"N", "L"}});
  graph.add_input({"x_lens", true, {"N"}});
  const GraphValue end = graph.integers({eos});
  const GraphValue column =
      graph.op("Expand", {end, graph.concat({graph.size_of("x", 0), graph.integers({1})}, 0)});
  const GraphValue read = graph.concat({column, "x"}, 1);
  const GraphValue places =
      graph.op("Range", {graph.integer(0), graph.scalar_size_of(read, 1), graph.integer(1)});
  const GraphValue lengths = graph.unsqueeze("x_lens", 1);
  const GraphValue targets = graph.op(
      "Where", {graph.op("Equal", {places, lengths}), end, graph.concat({"x", column}, 1)});
  const GraphValue nll =
      drawing.nll(drawing.tokens.log_probabilities(drawing.hidden(read)), targets);
  const GraphValue counted =
      graph.op("Where", {graph.op("LessOrEqual", {places, lengths}), nll, graph.number(0)});
  graph.named_op("nll", "ReduceSum", {counted, graph.integers({1})},
                 {{"keepdims", std::int64_t{0}}});
  graph.add_output({"nll", false, {"N"}});
  return std::move(graph);
}

/// How states are packed into two tensors [layers, N, width], sherpa-onnx's h0 and c0: pairs of
/// one width as those of an LSTM are; else all of them, one behind the other, into the first.
struct Packing {
  std::vector<std::int64_t> sizes;  // of the states of one text
  bool pairs = false;
  std::int64_t layers = 1, width = 1;

  explicit Packing(const std::vector<StackGraph::State>& states) {
    for (const StackGraph::State& state : states) {
      sizes.push_back(std::accumulate(state.dims.begin(), state.dims.end(), std::int64_t{1},
                                      std::multiplies<>()));
    }
    if (sizes.empty()) return;
    pairs = sizes.size() % 2 == 0 &&
            std::all_of(sizes.begin(), sizes.end(), [&](auto size) { return size == sizes[0]; });
    layers = pairs ? static_cast<std::int64_t>(sizes.size()) / 2 : 1;
    width = pairs ? sizes[0] : std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  }
};

/// Adds what takes the states out of h0 and c0, and what puts them there.
void pack(StackGraph& stack, const Packing& packing) {
  Graph& graph = stack.graph();
  const std::vector<StackGraph::State>& states = stack.states();
  const std::size_t first = graph.nodes().size();
  std::int64_t place = 0;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto layer = packing.pairs ? static_cast<std::int64_t>(i / 2) : 0;
    const GraphValue from = packing.pairs && i % 2 == 1 ? "c0" : "h0";
    GraphValue own = graph.squeeze(graph.slice(from, 0, layer, layer + 1), 0);
    if (!packing.pairs) {
      own = graph.slice(own, 1, place, place + packing.sizes[i]);
      place += packing.sizes[i];
    }
    std::vector<std::int64_t> dims{0};
    dims.insert(dims.end(), states[i].dims.begin(), states[i].dims.end());
    graph.named_op(states[i].before, "Reshape", {own, graph.integers(std::move(dims))});
  }
  graph.to_front(first);
  std::vector<GraphValue> h, c;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const GraphValue flat = graph.reshape(states[i].after, {0, packing.sizes[i]});
    if (packing.pairs) {
      (i % 2 == 0 ? h : c).push_back(graph.unsqueeze(flat, 0));
    } else {
      h.push_back(flat);
    }
  }
  if (packing.pairs || h.empty()) {
    graph.named_op("next_h0", "Identity", {h.empty() ? "h0" : graph.concat(h, 0)});
  } else {
    graph.named_op("next_h0", "Unsqueeze", {graph.concat(h, 1), graph.integers({0})});
  }
  graph.named_op("next_c0", "Identity", {c.empty() ? "c0" : graph.concat(c, 0)});
}

/// sherpa-onnx's online-rnn-lm: x [N, L], h0 and c0 to log_softmax [N, V] of what follows x, and
/// the states behind it.
Graph sherpa_streaming_graph(const LanguageModel& model, bool int8, Notes& metadata) {
  Drawing drawing(model, true, int8);
  Graph& graph = drawing.graph();
  graph.add_input({"x", true, {"N", "L"}});
  const GraphValue last = graph.slice_from(drawing.hidden("x"), 1, -1);
  graph.named_op("log_softmax", "Squeeze",
                 {drawing.tokens.log_probabilities(last), graph.integers({1})});
  graph.add_output({"log_softmax", false, {"N", drawing.config.vocabulary}});
  const Packing packing(drawing.stack.states());
  pack(drawing.stack, packing);
  const std::vector<GraphDim> dims{packing.layers, "N", packing.width};
  for (const char* name : {"h0", "c0"}) graph.add_input({name, false, dims});
  for (const char* name : {"next_h0", "next_c0"}) graph.add_output({name, false, dims});
  metadata.emplace_back("num_layers", std::to_string(packing.layers));
  metadata.emplace_back("hidden_size", std::to_string(packing.width));
  return std::move(graph);
}

std::vector<std::string> names_of(const Tokenizer& tokenizer) {
  std::vector<std::string> names;
  for (std::int64_t id = 0; id < tokenizer.size(); ++id) {
    names.push_back(tokenizer.token(static_cast<TokenId>(id)));
  }
  return names;
}

Notes describe(const LoadedModel& model, const std::vector<std::string>& tokens, bool int8) {
  const ModelConfig& config = model.model->config();
  const Tokenizer& tokenizer = *model.tokenizer;
  return {{"model_type", "sluice"},
          {"architecture", config.arch()},
          {"precision", int8 ? "int8" : "f32"},
          {"config", json_text(write_model(config))},
          {"parameters", std::to_string(config.parameter_count())},
          {"vocab_size", std::to_string(config.vocabulary)},
          {"sos_id", std::to_string(tokenizer.eos())},
          {"eos_id", std::to_string(tokenizer.eos())},
          {"unk_id", std::to_string(tokenizer.unk())},
          {"vocabulary", json_text(Value::List(tokens.begin(), tokens.end()))}};
}

}  // namespace

const EnumNames<OnnxLayout>& enum_names(OnnxLayout) {
  static const EnumNames<OnnxLayout> names(
      "layout", {{OnnxLayout::plain, "plain"}, {OnnxLayout::sherpa, "sherpa"}});
  return names;
}

std::vector<std::string> export_onnx(const LoadedModel& model, const OnnxOptions& options,
                                     const fs::path& out) {
  require_unconditional(model.model->config());
  fs::create_directories(out);
  const std::vector<std::string> tokens = names_of(*model.tokenizer);
  std::vector<std::string> files;
  const auto write = [&](const char* name, const Graph& graph, const Notes& metadata) {
    write_onnx(graph, metadata, out / name, options.most_embedded);
    files.emplace_back(name);
  };
  const Notes metadata = describe(model, tokens, options.int8);
  if (options.layout == OnnxLayout::plain) {
    write("whole.onnx", whole_graph(*model.model, options.int8), metadata);
    write("step.onnx", step_graph(*model.model, options.int8), metadata);
  } else {
    write("lm.onnx", sherpa_graph(*model.model, model.tokenizer->eos(), options.int8), metadata);
    Notes more = metadata;
    const Graph streaming = sherpa_streaming_graph(*model.model, options.int8, more);
    write("lm-streaming.onnx", streaming, more);
  }
  for (std::string& file : write_tokens(*model.tokenizer, out)) files.push_back(std::move(file));
  return files;
}

namespace {

/// A token's name without blanks and control characters, which become "<0x20>" and so on: what
/// reads lines of words can read it.
std::string one_word(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte != 0x7F) {
      out += c;
    } else {
      out += fmt::format("<0x{:02X}>", byte);
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> write_tokens(const Tokenizer& tokenizer, const fs::path& out) {
  std::string list;
  std::int64_t id = 0;
  for (const std::string& name : names_of(tokenizer))
    list += fmt::format("{} {}\n", one_word(name), id++);
  write_file(out / "tokens.txt", list);
  tokenizer.save(out);
  return {"tokens.txt", std::string(tokenizer.file_name())};
}

}  // namespace sluice
