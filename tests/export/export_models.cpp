// Writes exports of small models of every architecture, and what the models themselves say of some
// texts: for onnx_test.mjs and torch_test.py. usage: export_models DIR

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/random.hpp"
#include "sluice/models/export.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "support/model_configs.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t vocabulary = 50;
constexpr std::int64_t batch = 3, time_steps = 13;

struct Case {
  std::string name;
  ModelConfig config;
  /// Whether streaming, sherpa's layout and int8 are looked at, too.
  bool all = true;
  /// Whether the weights are beside the graph.
  bool outside = false;
};

ModelConfig common(std::string_view arch) {
  ModelConfig config(arch);
  config.vocabulary = vocabulary;
  config.dim = 16;
  config.softmax = "full";
  config.groups = 2;
  return config;
}

ModelConfig adaptive(ModelConfig config, bool tie) {
  config.softmax = "adaptive";
  config.cutoffs = {10, 30};
  config.tie = tie;
  return config;
}

ModelConfig gcnn(const char* layers, const std::string& unit = "glu",
                 const std::string& norm = "weight") {
  ModelConfig config = common("gcnn");
  config.shape<GcnnShape>().layers = parse_layers(layers);
  config.shape<GcnnShape>().unit = unit;
  config.norm = norm;
  return config;
}

ModelConfig recurrent(std::string_view arch, std::int64_t hidden, const std::string& norm,
                      const std::function<void(RecurrentShape&)>& change = {}) {
  ModelConfig config = common(arch);
  config.norm = norm;
  config.shape<RecurrentShape>().depth = 2;
  config.shape<RecurrentShape>().hidden = hidden;
  if (change) change(config.shape<RecurrentShape>());
  return config;
}

ModelConfig transformer(const std::string& positions, const std::string& norm,
                        std::int64_t window) {
  ModelConfig config = common("transformer");
  config.norm = norm;
  config.shape<TransformerShape>() = {.depth = 2,
                                      .heads = 2,
                                      .window = window,
                                      .positions = positions,
                                      .ffn = "swiglu",
                                      .ffn_width = 24};
  return config;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](std::string name, ModelConfig config) {
    all.push_back({std::move(name), std::move(config)});
  };
  add("gcnn", adaptive(gcnn("[(16,4)] + [(8,1,0),(8,5,0),(16,1,3)]*2"), false));
  add("gcnn-tied-bands", adaptive(gcnn("[(24,3),(16,2,2)]", "gtu", "layer"), true));
  add("gcnn-batch", gcnn("[(16,3),(16,1)]", "swish", "batch"));
  ModelConfig projected = gcnn("[(20,3)]*2", "bilinear", "group");
  projected.shape<GcnnShape>().input_projection = true;
  add("gcnn-projected", projected);
  add("gcnn-no-context", gcnn("[(16,1)]", "maxout(3)", "none"));
  add("rnn", recurrent("rnn", 16, "none"));
  add("rnn-relu", recurrent("rnn", 12, "rms", [](auto& shape) {
        shape.unit = "relu";
        shape.residual = true;
      }));
  add("rnn-sigmoid",
      recurrent("rnn", 12, "none", [](auto& shape) { shape.unit = "hardsigmoid(0.2)"; }));
  add("lstm", adaptive(recurrent("lstm", 20, "none"), false));
  add("lstm-ablated", recurrent("lstm", 12, "layer", [](auto& shape) {
        shape.removed_gates = {"input", "output"};
      }));
  add("lstm-no-forgetting",
      recurrent("lstm", 12, "none", [](auto& shape) { shape.removed_gates = {"forget"}; }));
  add("gru", recurrent("gru", 16, "none", [](auto& shape) { shape.residual = true; }));
  add("gru-before", recurrent("gru", 12, "group", [](auto& shape) { shape.reset = "before"; }));
  add("indrnn", recurrent("indrnn", 16, "layer", [](auto& shape) { shape.residual = true; }));
  add("mut1", recurrent("mut1", 16, "none"));
  add("mut1-projected", recurrent("mut1", 12, "none"));
  add("transformer", transformer("rotary", "layer", 5));
  ModelConfig tied = transformer("learned", "rms", 4);
  tied.tie = true;
  add("transformer-learned", tied);
  add("transformer-none", transformer("none", "group", 40));
  add("transformer-one", transformer("learned", "layer", 1));
  all.front().outside = true;
  std::vector<std::string> units = model_unit_names();
  for (const char* unit :
       {"softplus(2,1)", "hardtanh(-0.5,0.25)", "prelu(shared)", "rrelu(0.2,0.4)",
        "threshold(0.1,-0.2)", "relu6(2)", "hardsigmoid(0.3,0.4)", "mish(a)*b", "a*elu(b)"}) {
    units.emplace_back(unit);
  }
  for (const std::string& unit : units) {
    all.push_back({"unit-" + std::to_string(all.size()), gcnn("[(8,2)]", unit), false});
  }
  return all;
}

/// A model in which every tensor matters: initial biases are zeros.
std::unique_ptr<LanguageModel> made(const ModelConfig& config) {
  auto model = make_model(config, 7);
  std::uint32_t stream = 0;
  for (const Parameter& parameter : model->parameters()) {
    const RandomKey key{5, 1, stream++};
    const double centre = parameter.name.ends_with("running_var") ? 0 : 0.5;
    const std::span<float> values = parameter.variable.value().span<float>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] += static_cast<float>(0.4 * (key.uniform(i) - centre));
    }
  }
  return model;
}

void write_case(const Case& one, const fs::path& directory) {
  LoadedModel loaded{made(one.config), nullptr};
  std::vector<std::string> words{"<eos>", "<unk>"};
  while (words.size() < static_cast<std::size_t>(vocabulary)) {
    words.push_back(fmt::format("w{}", words.size()));
  }
  loaded.tokenizer = make_word_tokenizer(words);
  OnnxOptions options{.most_embedded = one.outside ? 0 : OnnxOptions{}.most_embedded};
  export_onnx(loaded, options, directory);
  if (one.all) {
    options.layout = OnnxLayout::sherpa;
    export_onnx(loaded, options, directory);
    options.layout = OnnxLayout::plain;
    options.int8 = true;
    export_onnx(loaded, options, directory / "int8");
  }
  // Whether PyTorch has such a model.
  bool torch = true;
  try {
    export_torch(loaded, directory / "torch");
  } catch (const Error&) {
    torch = false;
  }
  std::vector<std::int32_t> ids(static_cast<std::size_t>(batch * time_steps));
  const RandomKey key{3, 2, 0};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<std::int32_t>(key.bits(i) % std::uint64_t{vocabulary});
  }
  for (std::int64_t b = 0; b < batch; ++b)
    ids[static_cast<std::size_t>(b * time_steps)] = 0;  // <eos>
  const NoGrad no_grad;
  ModelState state;
  const Variable hidden = loaded.model->hidden(ids, batch, time_steps, state, {});
  const Tensor log_p = loaded.model->freeze_tokens({})->log_probabilities(hidden.value());
  write_file(directory / "expected.f32",
             {reinterpret_cast<const char*>(log_p.raw()), log_p.bytes()});
  const nlohmann::json json = {{"name", one.name},
                               {"summary", one.config.summary()},
                               {"arch", one.config.arch()},
                               {"batch", batch},
                               {"time", time_steps},
                               {"vocabulary", vocabulary},
                               {"tokens", ids},
                               {"all", one.all},
                               {"torch", torch}};
  write_file(directory / "case.json", json.dump());
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    for (const sluice::Case& one : sluice::cases()) {
      sluice::write_case(one, std::filesystem::path(argv[1]) / one.name);
    }
  } catch (const sluice::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
