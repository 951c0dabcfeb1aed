#include "sluice/training/settings.hpp"

#include <fmt/format.h>

#include <limits>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/models/model_directory.hpp"

namespace sluice {
namespace {

/// A section of the settings that remembers which of its fields were given.
template <class S>
Field section(const std::string& name, Given<S> Settings::*member) {
  return {.name = name,
          .spec = {},
          .expected = "an object",
          .set =
              [member](void* settings, const Value& value, const FieldPlace& place) {
                (static_cast<Settings*>(settings)->*member).read(value, place);
              },
          .get =
              [member](const void* settings) {
                return (static_cast<const Settings*>(settings)->*member).write();
              }};
}

/// The model's section: its architecture says which fields there are.
Field model_section() {
  return {.name = "model",
          .spec = {},
          .expected = "an object",
          .set =
              [](void* settings, const Value& value, const FieldPlace& place) {
                static_cast<Settings*>(settings)->model =
                    read_model_request(value, place, default_architecture());
              },
          .get =
              [](const void* settings) {
                return static_cast<const Settings*>(settings)->model.write();
              }};
}

Field version_field() {
  return {.name = "format_version",
          .spec = {},
          .expected = "a whole number",
          .set =
              [](void*, const Value& value, const FieldPlace& place) {
                (void)fields_detail::read_whole(value, between(1, model_format_version), place);
              },
          .get = [](const void*) { return Value(std::int64_t{model_format_version}); }};
}

}  // namespace

const FieldTable& settings_fields() {
  static const FieldTable table =
      FieldsOf<Settings>()
          .add_field(version_field())
          .add("out", &Settings::out)
          .only_if([](const Settings&) { return false; })
          .add("from", &Settings::from)
          .only_if([](const Settings& settings) { return !settings.from.empty(); })
          .add("vectors", &Settings::vectors,
               {.flag = "--vectors",
                .group = "Model",
                .value = "FILE",
                .help = "vectors of words that the embedding starts with, as word2vec, GloVe and "
                        "fastText write them in text; --dim is theirs",
                .optional = true})
          .only_if([](const Settings& settings) { return !settings.vectors.empty(); })
          .add("new_words", &Settings::new_words,
               {.range = between(0, std::numeric_limits<TokenId>::max()),
                .flag = "--new-words",
                .group = "Text",
                .help = "with --from: add the N most frequent words of the text that the model's "
                        "vocabulary lacks",
                .optional = true})
          .only_if([](const Settings& settings) { return settings.new_words > 0; })
          .add("prune_vocabulary", &Settings::prune_vocabulary,
               {.flag = "--prune-vocabulary",
                .group = "Text",
                .help = "with --from: leave out the words that the text does not have",
                .optional = true})
          .only_if([](const Settings& settings) { return settings.prune_vocabulary; })
          .add("threads", &Settings::threads,
               {.range = between(1, most_threads),
                .flag = "--threads",
                .group = "Run",
                .help = "threads to compute with (default: the cores this process may use)"})
          .add_field(section("data", &Settings::data))
          .add_field(section("tokenizer", &Settings::tokenizer))
          .add_field(model_section())
          .add_field(section("training", &Settings::training));
  return table;
}

const FieldTable& data_fields() {
  using Data = DataSettings;
  static const char* const group = "Text";
  static const FieldTable table =
      FieldsOf<Data>()
          .add("train", &Data::train,
               {.flag = "--data",
                .group = group,
                .value = "PATH..",
                .help = "UTF-8 texts to train on: files, directories of files, pipes, or - for "
                        "standard input; plain or compressed (gzip, bzip2, xz, zstd)",
                .one_for_list = true,
                .many_values = true})
          .add("valid", &Data::valid,
               {.flag = "--valid",
                .group = group,
                .value = "PATH..",
                .help = "texts to validate on (default: the end of the training text, which is "
                        "then not trained on)",
                .one_for_list = true,
                .many_values = true})
          .add("valid_old", &Data::valid_old,
               {.flag = "--valid-old",
                .group = group,
                .value = "PATH..",
                .help = "with --from: texts of what the model knew already; their perplexity is "
                        "shown beside each validation",
                .optional = true,
                .one_for_list = true,
                .many_values = true})
          .only_if([](const Data& data) { return !data.valid_old.empty(); })
          .add("valid_fraction", &Data::valid_fraction,
               {.range = from_to_below(0, 1),
                .flag = "--valid-fraction",
                .group = group,
                .help = "share of the training text to hold out when there is no --valid; 0: no "
                        "validation (default 0.05)"})
          .add("include", &Data::include,
               {.flag = "--include",
                .group = group,
                .value = "GLOB,..",
                .help = "of directories, only files whose name, or path below the directory, "
                        "matches: '*.txt'",
                .optional = true,
                .one_for_list = true})
          .add("field", &Data::field,
               {.flag = "--field",
                .group = group,
                .value = "NAME",
                .help = "texts are JSON lines; this field of each is the text",
                .optional = true})
          .add("condition", &Data::condition,
               {.flag = "--condition",
                .group = group,
                .value = "FIELD",
                .help = "what labels each text (author, topic, language), so that the model is "
                        "conditional on it: a column from 1 of lines separated by tabs whose last "
                        "column is the text, or with --field another field of the JSON lines",
                .optional = true})
          .only_if([](const Data& data) { return !data.condition.empty(); });
  return table;
}

FieldParts field_parts(DataSettings& data) { return {{data_fields(), data}}; }
FieldParts field_parts(const DataSettings& data) { return {{data_fields(), data}}; }

std::string Settings::text() const {
  Value all = write_fields({{settings_fields(), *this}});
  all.set("data", write_fields(field_parts(data.values)));
  return json_text(all, 2) + "\n";
}

void Settings::overlay(const Settings& over, Notes& notes) {
  if (over.data.has("valid_fraction") && !over.data.has("valid")) {
    data.remove("valid");
    data.values.valid.clear();
  }
  const bool other_text = over.data.has("train") && over.data.values.train != data.values.train;
  if (other_text && !over.data.has("valid") && !data.values.valid.empty()) {
    notes.push_back(fmt::format("not validated on {}, which goes with another training text",
                                in_quotes(data.values.valid.front().string())));
    data.remove("valid");
    data.values.valid.clear();
  }
  data.overlay(over.data);
  tokenizer.overlay(over.tokenizer);
  model.overlay(over.model, {.where = "model config"});
  training.overlay(over.training);
  if (!over.out.empty()) out = over.out;
  if (!over.from.empty()) from = over.from;
  if (!over.vectors.empty()) vectors = over.vectors;
  if (over.new_words > 0) new_words = over.new_words;
  prune_vocabulary = prune_vocabulary || over.prune_vocabulary;
  if (over.threads != 0) threads = over.threads;
}

Settings read_settings(std::string_view text, const FieldPlace& place) {
  return settings_of(parse_json(text, place), place);
}

Settings settings_of(const Value& object, const FieldPlace& place) {
  Settings settings;
  read_fields({{settings_fields(), settings}}, object, place);
  return settings;
}

Settings saved_settings(const ModelDirectory& files) {
  return settings_of(files.config(),
                     {.where = fmt::format("settings of '{}'", files.path().string()),
                      .origin = FieldPlace::Origin::file});
}

void check_resumed_tokenizer(const Given<TokenizerOptions>& resumed,
                             const Given<TokenizerOptions>& given) {
  for (const std::string& name : given.names) {
    if (!resumed.has(name)) continue;
    const Value now = write_fields(field_parts(given.values), {name});
    const Value before = write_fields(field_parts(resumed.values), {name});
    if (now == before) continue;
    throw Error(
        fmt::format("cannot resume with another tokenizer: {} is {} and was {}; leave it "
                    "out or start a new run",
                    name, shown(*now.find(name)), shown(*before.find(name))));
  }
}

}  // namespace sluice
