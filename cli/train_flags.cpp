#include "train_flags.hpp"

#include <fmt/format.h>

#include <vector>

#include "options.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/config.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice::cli {
namespace {

std::string preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

void add_text_flags(FieldFlags& fields) {
  fields.begin("data", "Text");
  fields.paths("--data", "train", "UTF-8 texts to train on: files, or directories of files");
  fields.paths("--valid", "valid",
               "texts to validate on (default: the end of the training text, which is then not "
               "trained on)");
  fields.number("--valid-fraction", "valid_fraction",
                "share of the training text to hold out when there is no --valid; 0: no validation "
                "(default 0.05)");
  fields.begin("tokenizer", "Text");
  fields.text("--tokenizer", "kind", "KIND",
              "word (between blanks), char, byte, bpe or unigram (subwords) (default: word for "
              "text with its punctuation set apart, else char below 1.5 MB and bpe above)");
  fields.integer("--vocab", "vocabulary",
                 "tokens in the vocabulary (default: all for word and char; 4000 to 32000, by the "
                 "size of the text, for bpe and unigram)");
  fields.integer("--min-count", "min_count",
                 "words and characters seen fewer times become <unk> (default 1, but 2 for words "
                 "of a text without <unk>)");
}

void add_shape_flags(FieldFlags& fields) {
  fields.begin("model", "Model");
  fields.text("--arch", "arch", "NAME",
              fmt::format("{} (default gcnn)", fmt::join(architecture_names(), ", ")));
  const Argument preset = fields.text(
      "--preset", "preset", "NAME", "gcnn: a named shape, instead of --layers: " + preset_names());
  fields
      .text("--layers", "layers", "SPEC",
            "gcnn: layers as (channels, kernel[, residual]) joined by + and repeated by *N, like "
            "'[(512,4)]*8' (default: by the size of the text)")
      .excludes({preset});
  fields.integer("--depth", "depth",
                 "layers of the other architectures (default: by the size of the text)");
  fields.integer("--dim", "dim",
                 "embedding width, which is a transformer's width (default: channels of the first "
                 "layer, or by the size of the text)");
  fields.text("--unit", "unit", "NAME",
              fmt::format("gcnn: {}, or F(a)*b or a*F(b) with any activation F (default glu); rnn: "
                          "the cell's nonlinearity, tanh or relu (default tanh)",
                          fmt::join(model_unit_names(), ", ")));
  fields.text("--norm", "norm", "NAME",
              "none, layer, rms, group or batch, and for gcnn weight (default: weight for gcnn, "
              "layer for indrnn and transformer, else none)");
  fields.integer("--groups", "groups", "channel groups of --norm group (default 8)");
  fields.number("--dropout", "dropout",
                "probability that an input of a layer is dropped while training (default: 0.2 to "
                "0, by the size of the text)");
  fields.text("--softmax", "softmax", "NAME",
              "adaptive or full (default: adaptive above 5000 tokens)");
  fields.integers("--cutoffs", "cutoffs",
                  "ends of the adaptive softmax's bands, in tokens by rank (default: by the "
                  "vocabulary)");
  fields.toggle("--tie", "tie", true, "share the embedding with the output");
  fields.text("--init", "init", "NAME",
              fmt::format("initial weights of the layers: {} (default: the architecture's own, "
                          "kaiming for gcnn)",
                          fmt::join(init_names(), ", ")));
  fields.number("--init-scale", "init_scale",
                "what initial weights of the layers are multiplied by "
                "(default 1)");

  fields.begin("model", "Recurrent models (--arch rnn, lstm, gru, indrnn, mut1)");
  fields.integer("--hidden", "hidden", "hidden size (default: by the size of the text)");
  fields.toggle("--residual", "residual", true,
                "layers add their inputs where widths agree (default for indrnn)");
  fields.toggle("--no-residual", "residual", false, "layers do not add their inputs");
  fields.toggle("--variational", "variational", true,
                "one dropout mask for all steps of a chunk (Gal & Ghahramani 2016)");
  fields.number("--forget-bias", "forget_bias",
                "lstm: what the forget gate's bias starts at (default 1)");
  fields.texts("--remove-gates", "removed_gates", "A,B,..",
               "lstm: gates that are always open, of input, forget and output");
  fields.text(
      "--reset", "reset", "WHEN",
      "gru: whether the reset gate acts before or after the matrix product (default after)");
  fields.number("--bound", "bound",
                "indrnn: largest recurrent weight in magnitude (default: 2^(-1/--context), so that "
                "states halve over the context)");

  fields.begin("model", "Transformers (--arch transformer)");
  fields.integer("--heads", "heads", "attention heads (default: of 64 channels)");
  fields.integer("--window", "window",
                 "tokens that attention sees, its own position included (default 128)");
  fields.text("--positions", "positions", "KIND", "rotary, learned or none (default rotary)");
  fields.text("--ffn", "ffn", "NAME",
              "unit of the feed-forward layers, any of --unit (default swiglu)");
  fields.integer("--ffn-width", "ffn_width",
                 "inner width of the feed-forward layers (default: 4 times --dim, 8/3 for a gated "
                 "unit, so that parameters match)");
}

void add_optimizer_flags(FieldFlags& fields) {
  fields.begin("training", "Optimizer");
  fields.text("--optimizer", "optimizer", "NAME", "nesterov, sgd, adam or adamw (default adamw)");
  fields.number("--lr", "lr",
                "learning rate (default 1 for nesterov and sgd, 0.002 for adam and adamw)");
  fields.number("--momentum", "momentum", "of nesterov and sgd (default 0.99)");
  fields.number("--beta1", "beta1", "decay of the first moment, adam and adamw (default 0.9)");
  fields.number("--beta2", "beta2", "decay of the second moment, adam and adamw (default 0.999)");
  fields.number("--epsilon", "epsilon", "adam's and adamw's denominator offset (default 1e-8)");
  fields.number("--clip", "clip",
                "scale gradients down to this global norm; 0: never (default 0.1 for nesterov and "
                "sgd, 1 for adam and adamw)");
  fields.number("--weight-decay", "weight_decay", "decay of weights (default 0)");
  fields.text("--schedule", "schedule", "NAME",
              "learning rate over time: plateau (lowered when validation does not improve), cosine "
              "or constant (default cosine)");
  fields.integer("--warmup", "warmup", "steps over which the rate climbs (default 0)");
  fields.number("--floor", "floor", "fraction of --lr that cosine ends at (default 0.01)");
  fields.number("--factor", "factor", "what plateau multiplies the rate by (default 0.5)");
}

void add_run_flags(FieldFlags& fields) {
  fields.begin("training", "Budget (the first that is used up ends the training)");
  fields.integer("--epochs", "epochs",
                 "passes over the text (default without any budget: as many as read about 20 "
                 "million tokens, 1 to 20)");
  fields.number("--minutes", "minutes", "minutes of training, validation included");
  fields.integer("--steps", "steps", "steps");
  fields.integer("--tokens", "tokens", "tokens to train on, each epoch's counted");
  fields.integer("--patience", "patience",
                 "stop after N validations in a row without improvement; 0: never (default 0)");

  fields.begin("training", "Run");
  fields.integer("--batch", "batch",
                 "streams read side by side (default 16, fewer for small texts)");
  fields.integer("--context", "context",
                 "tokens of each stream per step (default 128, fewer for small texts)");
  fields.toggle("--no-carry", "carry", false,
                "start each chunk from padding instead of the end of the one before");
  fields.integer("--validate-every", "validate_every",
                 "steps between validations; 0: at the end of each epoch (default 0)");
  fields.integer("--checkpoint-every", "checkpoint_every",
                 "steps between checkpoints; 0: every five minutes (default 0)");
  fields.integer("--log-every", "log_every", "steps per line of metrics.jsonl (default 50)");
  fields.integer("--seed", "seed", "seed of initial weights and dropout (default 1)");
  fields.text("--precision", "precision", "NAME",
              "f32, or bf16: bfloat16 matrix products with float32 sums (default f32)");
  fields.text("--conv", "conv", "NAME",
              "how convolutions over time compute: direct, fast (Toom-Cook, kernel widths 2 to 7), "
              "or auto: whichever is faster for the shape (default auto)");
  fields.toggle("--recompute", "recompute", true,
                "compute projections again for the gradients instead of keeping them: less memory, "
                "one more forward pass of the convolutions");
  fields.begin("", "Run");
  fields.integer("--threads", "threads",
                 "threads to compute with (default: the cores this process may use)");
}

nlohmann::json read_config(const std::string& file) {
  auto config = nlohmann::json::parse(read_file(file), nullptr, false);
  if (config.is_discarded()) {
    throw UsageError(fmt::format("--config: '{}' is not JSON", file));
  }
  return config;
}

}  // namespace

void add_settings_flags(CLI::App& app, nlohmann::json& given) {
  FieldFlags fields(app, given);
  add_text_flags(fields);
  add_shape_flags(fields);
  add_optimizer_flags(fields);
  add_run_flags(fields);
}

void add_train_flags(CLI::App& app, TrainFlags& flags) {
  add_settings_flags(app, flags.given);
  FieldFlags fields(app, flags.given);
  constexpr std::int64_t standard_steps = 10;
  constexpr std::int64_t most_steps = 1'000'000;
  add_optional_integer(
      app, "--profile", flags.profile, standard_steps, most_steps,
      "print where the time of N steps goes, after 3 others, and write a trace of one to "
      "trace.json in MODEL, for chrome://tracing or ui.perfetto.dev (default 10)")
      .group("Run");
  fields.begin("", "Output");
  fields.text("--out", "out", "MODEL", "directory to write the model to");
  const Argument resume =
      add_flag(app, "--resume", flags.resume,
               "continue the run in --out; its config.json stands for the flags that are not given")
          .group("Output");
  add_flag(app, "--overwrite", flags.overwrite, "replace the run in --out")
      .excludes({resume})
      .group("Output");
  add_text(app, "--config", flags.config,
           "settings as in a model's config.json, every field optional; flags win", "FILE.json")
      .group("Output");
}

Settings settings_from(const TrainFlags& flags) {
  nlohmann::json base = nlohmann::json::object();
  if (!flags.config.empty()) base = read_config(flags.config);
  Settings settings = merge_settings(base, flags.given);
  if (settings.out.empty()) throw UsageError("--out is missing: the directory to write to");
  if (flags.resume) {
    const ModelDirectory out_files(settings.out);
    if (!out_files.has_checkpoint()) {
      throw Error(fmt::format("--resume: '{}' holds no checkpoint to continue from",
                              settings.out.string()));
    }
    const nlohmann::json resumed = out_files.config();
    const std::filesystem::path out = settings.out;
    if (flags.config.empty()) settings = merge_settings(resumed, flags.given);
    settings.out = out;
    check_resumed_tokenizer(resumed, {{"tokenizer", settings.tokenizer}});
  }
  if (settings.train_files.empty()) throw UsageError("--data is missing: the text to train on");
  return settings;
}

}  // namespace sluice::cli
