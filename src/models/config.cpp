// ModelConfig: validation, size, reading and writing; what of it no architecture owns.

#include "sluice/models/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "field_codecs.hpp"
#include "initialise.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/models/architecture.hpp"
#include "sluice/text/detail/utf8.hpp"

namespace sluice {
namespace {

void check_cutoffs(const ModelConfig& config, std::int64_t width) {
  if (config.cutoffs.empty()) {
    refuse_config(
        "the adaptive softmax needs at least one cutoff; give some or use the full softmax");
  }
  std::int64_t previous = 0;
  for (const std::int64_t cutoff : config.cutoffs) {
    if (cutoff <= previous || cutoff >= config.vocabulary) {
      refuse_config(fmt::format("cutoffs {} must ascend strictly between 0 and the vocabulary's {}",
                                fmt::join(config.cutoffs, ","), config.vocabulary));
    }
    previous = cutoff;
  }
  const std::size_t tails = config.cutoffs.size();
  if (tails > most_cutoffs(width)) {
    refuse_config(
        fmt::format("{} cutoffs are too many for a last layer of {} channels, of which each band "
                    "gets a quarter of the one before; use fewer cutoffs or the full softmax",
                    tails, width));
  }
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void check_labels(const ModelConfig& config) {
  constexpr std::size_t most_labels = 65'535;
  if (config.labels.empty()) return;
  if (!config.architecture().takes_labels()) {
    refuse_config(fmt::format("arch {} takes no labels; leave the condition out", config.arch()));
  }
  if (config.labels.size() > most_labels) {
    refuse_config(fmt::format("{} labels are more than {}; is the right column the condition?",
                              config.labels.size(), most_labels));
  }
  std::vector<std::string> sorted = config.labels;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) {
    refuse_config(fmt::format("label '{}' is there twice, expected different ones", *twice));
  }
  for (const std::string& label : sorted) {
    if (valid_text_length(label) < label.size()) {
      refuse_config(fmt::format("label '{}' is not UTF-8", label));
    }
  }
  if (sorted.front().empty()) {
    refuse_config("a label is empty, which is what the unknown one is called; give it a name");
  }
}

void check_norm(const ModelConfig& config) {
  if (config.norm == "instance") {
    refuse_config(
        "instance normalisation pools over time, so that a position would see its future; use "
        "layer, rms or group, which normalise each position on its own");
  }
  const std::vector<std::string> own = config.architecture().norms();
  if (!contains(own, config.norm)) {
    for (const Architecture* other : architectures()) {
      if (!contains(other->norms(), config.norm)) continue;
      refuse_config(fmt::format("norm '{}' is not one of arch {} (it is of {}); use {}",
                                config.norm, config.arch(), other->name(), fmt::join(own, ", ")));
    }
    refuse_config(fmt::format("unknown norm '{}'; {}", config.norm, suggestion(config.norm, own)));
  }
}

}  // namespace

ModelConfig::ModelConfig() : ModelConfig(architectures().front()->name()) {}

ModelConfig::ModelConfig(std::string_view arch)
    : norm(find_architecture(arch).default_norm()),
      architecture_(&find_architecture(arch)),
      shape_(architecture_->make_shape()) {}

const std::string& ModelConfig::arch() const { return architecture_->name(); }

void ModelConfig::refuse_shape() const {
  throw Error(fmt::format("model config: arch {} has no shape of the type asked for", arch()));
}

TokenLayersOptions token_layers_options(const ModelConfig& config) {
  return {.vocabulary = config.vocabulary,
          .dim = config.dim,
          .hidden = config.architecture().output_width(config),
          .cutoffs = config.softmax == "adaptive" ? config.cutoffs : std::vector<std::int64_t>{},
          .tie = config.tie};
}

std::int64_t softmax_multiplications(const ModelConfig& config) {
  const std::vector<std::int64_t> cutoffs = token_layers_options(config).cutoffs;
  const std::int64_t outputs = cutoffs.empty()
                                   ? config.vocabulary
                                   : cutoffs.front() + static_cast<std::int64_t>(cutoffs.size());
  return config.architecture().output_width(config) * outputs;
}

const std::vector<std::string>& init_names() {
  static const std::vector<std::string> names = {"default", "xavier", "kaiming", "orthogonal"};
  return names;
}

const FieldTable& common_model_fields() {
  constexpr double most_ids = std::numeric_limits<std::int32_t>::max();
  using Config = ModelConfig;
  static const FieldTable table =
      FieldsOf<Config>()
          .add("vocabulary", &Config::vocabulary, {.range = between(1, most_ids)})
          .add("dim", &Config::dim,
               {.range = between(1, most_ids),
                .flag = "--dim",
                .group = "Model",
                .help = "width of the token vectors (default: by the other widths, or by the size "
                        "of the text)"})
          .add("norm", &Config::norm, {.flag = "--norm", .group = "Model", .value = "NAME"})
          .add_alias<bool>("weight_norm", "norm",
                           // Before there were other norms, it said whether there was this one.
                           [](Config& config, bool on) { config.norm = on ? "weight" : "none"; })
          .add("groups", &Config::groups,
               {.range = at_least(1),
                .flag = "--groups",
                .group = "Model",
                .help = "channel groups of --norm group (default 8)"})
          .only_if([](const Config& config) { return config.norm == "group"; })
          .add("dropout", &Config::dropout,
               {.range = from_to_below(0, 1),
                .flag = "--dropout",
                .group = "Model",
                .help = "probability that an input of a layer is dropped while training (default: "
                        "0.2 to 0, by the size of the text)"})
          .add("softmax", &Config::softmax, choice_codec("softmax", {"adaptive", "full"}),
               {.flag = "--softmax",
                .group = "Model",
                .help = "adaptive or full (default: adaptive above 5000 tokens)"})
          .add("cutoffs", &Config::cutoffs,
               {.flag = "--cutoffs",
                .group = "Model",
                .help = "ends of the adaptive softmax's bands, in tokens by rank (default: by the "
                        "vocabulary)",
                .one_for_list = true})
          .add("tie", &Config::tie,
               {.flag = "--tie", .group = "Model", .help = "share the embedding with the output"})
          .add("init", &Config::init, choice_codec("init", init_names()),
               {.flag = "--init",
                .group = "Model",
                .help = fmt::format("initial weights of the layers: {} (default: the "
                                    "architecture's own)",
                                    fmt::join(init_names(), ", ")),
                .optional = true})
          .only_if([](const Config& config) { return config.init != "default"; })
          .add("init_scale", &Config::init_scale,
               {.range = above(0),
                .flag = "--init-scale",
                .group = "Model",
                .help = "what initial weights of the layers are multiplied by (default 1)",
                .optional = true})
          .only_if([](const Config& config) { return config.init_scale != 1; })
          .add("labels", &Config::labels, {.optional = true})
          .only_if([](const Config& config) { return !config.labels.empty(); })
          .add("label_dropout", &Config::label_dropout,
               {.range = from_to_below(0, 1),
                .flag = "--label-dropout",
                .group = "Model",
                .help = "with --condition: probability that a label is unknown while training "
                        "(default 0.1)",
                .optional = true})
          .only_if([](const Config& config) { return !config.labels.empty(); })
          .add("documents", &Config::documents,
               {.flag = "--documents",
                .group = "Text",
                .value = "END",
                .help = "what ends a document, none of which sees another: blank-lines (and the "
                        "end of a file), files, or none (default none)",
                .optional = true})
          .only_if([](const Config& config) { return config.documents != DocumentEnd::none; })
          .add("document_mark", &Config::document_mark,
               {.flag = "--document-mark",
                .group = "Text",
                .value = "TOKEN",
                .help = "with --documents: a token, like '<doc>', that stands at the end of each "
                        "document, in place of its blank lines (default: none does)",
                .optional = true})
          .only_if([](const Config& config) { return !config.document_mark.empty(); });
  return table;
}

FieldParts model_parts(ModelConfig& config) {
  return {{common_model_fields(), config}, config.architecture().part(config)};
}

FieldParts model_parts(const ModelConfig& config) {
  return {{common_model_fields(), config}, config.architecture().part(config)};
}

std::vector<std::string> model_fields(std::string_view arch) {
  const ModelConfig config(arch);
  std::vector<std::string> names = {"arch"};
  for (std::string& name : field_names(model_parts(config))) names.push_back(std::move(name));
  return names;
}

ModelConfig without_labels(ModelConfig config) {
  config.labels.clear();
  return config;
}

std::int64_t label_count(const ModelConfig& config) {
  return static_cast<std::int64_t>(config.labels.size());
}

std::int32_t ModelConfig::label(std::string_view name) const {
  if (labels.empty()) {
    throw UsageError(fmt::format(
        "the model has no labels, got '{}'; train one with labels (the setting condition)", name));
  }
  const auto found = std::find(labels.begin(), labels.end(), name);
  if (found == labels.end()) {
    throw UsageError(fmt::format("unknown label '{}'; {}", name, suggestion(name, labels)));
  }
  return static_cast<std::int32_t>(found - labels.begin()) + 1;
}

void ModelConfig::validate() const {
  check_fields(model_parts(*this), {.where = "model config"});
  check_labels(*this);
  if (documents == DocumentEnd::none && !document_mark.empty()) {
    refuse_config("a document mark needs documents: say what ends one, blank-lines or files");
  }
  check_norm(*this);
  architecture_->validate(*this);
  const std::int64_t width = architecture_->output_width(*this);
  if (softmax == "adaptive") {
    check_cutoffs(*this, width);
  } else if (!cutoffs.empty()) {
    refuse_config("the full softmax takes no cutoffs; leave them out or use the adaptive softmax");
  }
  if (tie && dim != width) {
    refuse_config(
        fmt::format("tied output weights need an embedding as wide as the last layer, got dim {} "
                    "and {} channels",
                    dim, width));
  }
}

std::int64_t ModelConfig::parameter_count() const {
  return architecture_->parameters(*this) + sluice::parameter_count(token_layers_options(*this));
}

bool operator==(const ModelConfig& a, const ModelConfig& b) {
  return &a.architecture() == &b.architecture() && same_fields(field_parts(a), field_parts(b));
}

std::string ModelConfig::summary() const { return architecture_->summary(*this); }

Value write_model(const ModelConfig& config) {
  Value object = write_fields(model_parts(config));
  object.set("arch", config.arch());
  return object;
}

ModelConfig read_model(const Value& object, const FieldPlace& place) {
  const auto* fields = object.as<Value::Object>();
  if (fields == nullptr) place.refuse("an object", object);
  const Value* const arch = object.find("arch");
  if (arch == nullptr) place.field("arch").refuse("missing");
  const auto* name = arch->as<std::string>();
  if (name == nullptr) place.field("arch").refuse("a name in quotes", *arch);
  const std::vector<std::string> known = architecture_names();
  if (!contains(known, *name)) {
    place.refuse(fmt::format("unknown arch '{}'; {}", *name, suggestion(*name, known)));
  }
  ModelConfig config(*name);
  Value::Object others = *fields;
  std::erase_if(others, [](const auto& field) { return field.first == "arch"; });
  read_fields(model_parts(config), others, place, Reading::complete);
  return config;
}

void check_conv_path(const ModelConfig& config, ConvPath path) {
  config.architecture().check_conv_path(config, path);
}

std::unique_ptr<LanguageModel> make_model(const ModelConfig& config,
                                          std::optional<std::uint64_t> seed, DType dtype) {
  config.validate();
  auto model = config.architecture().make(config, seed, dtype);
  if (seed) initialise_stack(config, *seed, model->parameters());
  return model;
}

}  // namespace sluice
