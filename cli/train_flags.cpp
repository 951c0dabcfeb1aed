#include "train_flags.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "options.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/architecture.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/models/word_vectors.hpp"
#include "sluice/training/prepare.hpp"
#include "sluice/training/recipes.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* model_group = "Model";
constexpr const char* run_group = "Run";

/// Sets a field of one section.
template <class S>
SetField into(Given<S>& section) {
  return [&section](const Field& field, const Value& value, const FieldPlace& place) {
    section.set(field.name, value, place);
  };
}

/// The whole path, but for "-", standard input.
fs::path in_full(const fs::path& path) {
  return path == "-" ? path : fs::absolute(path).lexically_normal();
}

void add_text_flags(CLI::App& app, GivenFlags& given) {
  const auto set = [&data = given.settings.data](const Field& field, const Value& value,
                                                 const FieldPlace& place) {
    data.set(field.name, value, place);
    for (auto* files : {&data.values.train, &data.values.valid}) {
      for (fs::path& file : *files) file = in_full(file);
    }
  };
  add_field_flags(app, data_fields(), set);
  add_field_flags(app, tokenizer_fields(),
                  [&section = given.settings.tokenizer](const Field& field, const Value& value,
                                                        const FieldPlace& place) {
                    section.set(field.name, value, place);
                    std::string& kind = section.values.kind;
                    if (is_tokenizer_path(kind)) kind = in_full(kind).string();
                  });
}

/// What a flag means for one or several architectures.
struct Meaning {
  std::vector<std::string> architectures;
  std::string help;
};

/// A flag of architectures' own fields.
struct OwnFlag {
  const Field* field;  // of the first that has it
  std::vector<Meaning> meanings;
};

/// The flags of all architectures' own fields, in the order of registration.
std::vector<OwnFlag> own_flags() {
  std::vector<OwnFlag> flags;
  for (const Architecture* architecture : architectures()) {
    for (const Field& field : architecture->fields().fields()) {
      if (field.spec.flag.empty() && field.spec.off_flag.empty()) continue;
      const auto found = std::find_if(flags.begin(), flags.end(), [&](const OwnFlag& flag) {
        return flag.field->spec.flag == field.spec.flag &&
               flag.field->spec.off_flag == field.spec.off_flag;
      });
      OwnFlag& flag = found != flags.end() ? *found : flags.emplace_back(OwnFlag{&field, {}});
      const auto same =
          std::find_if(flag.meanings.begin(), flag.meanings.end(),
                       [&](const Meaning& meaning) { return meaning.help == field.spec.help; });
      Meaning& meaning = same != flag.meanings.end()
                             ? *same
                             : flag.meanings.emplace_back(Meaning{{}, field.spec.help});
      meaning.architectures.push_back(architecture->name());
    }
  }
  return flags;
}

/// The architectures that have fields under a heading.
std::vector<std::string> architectures_of(const std::string& group) {
  std::vector<std::string> names;
  for (const Architecture* architecture : architectures()) {
    const std::vector<Field>& fields = architecture->fields().fields();
    if (std::any_of(fields.begin(), fields.end(),
                    [&](const Field& field) { return field.spec.group == group; })) {
      names.push_back(architecture->name());
    }
  }
  return names;
}

/// The help of a flag, with the architectures it is for unless the heading names the same.
std::string help_of(const OwnFlag& flag, const std::vector<std::string>& in_heading) {
  std::string help;
  for (const Meaning& meaning : flag.meanings) {
    if (!help.empty()) help += "; ";
    const bool said = flag.meanings.size() == 1 && meaning.architectures == in_heading;
    if (!said) help += fmt::format("{}: ", fmt::join(meaning.architectures, ", "));
    help += meaning.help;
  }
  return help;
}

/// The flag of the field that says how many layers there are, which a preset says, too.
const std::string& size_flag(const Architecture& architecture) {
  return find_request_field(architecture.size_fields().front(), &architecture)->spec.flag;
}

/// Flags that say which model: --arch, --preset.
void add_choice_flags(CLI::App& app, const SetField& set) {
  const FieldTable& choice = model_choice_fields();
  add_field_flag(app, *choice.find("arch"),
                 fmt::format("{} (default {})", fmt::join(architecture_names(), ", "),
                             default_architecture().name()),
                 model_group, set);
  std::vector<std::string> named;
  for (const Architecture* architecture : architectures()) {
    std::vector<std::string> names;
    for (const Preset& preset : architecture->presets()) names.push_back(preset.name);
    if (names.empty()) continue;
    named.push_back(fmt::format("{}: a named shape, instead of {}: {}", architecture->name(),
                                size_flag(*architecture), fmt::join(names, ", ")));
  }
  if (!named.empty()) {
    add_field_flag(app, *choice.find("preset"), fmt::format("{}", fmt::join(named, "; ")),
                   model_group, set);
  }
}

/// Values, and the architectures that have each, in the order in which they come.
using ByValue = std::vector<std::pair<std::string, std::vector<std::string>>>;

void add_value(ByValue& all, const std::string& value, const std::string& architecture) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.first == value; });
  if (found != all.end()) {
    found->second.push_back(architecture);
  } else {
    all.emplace_back(value, std::vector<std::string>{architecture});
  }
}

/// What --norm may be, and is unless asked.
std::string norm_help() {
  ByValue norms, defaults;
  for (const Architecture* architecture : architectures()) {
    for (const std::string& norm : architecture->norms()) {
      add_value(norms, norm, architecture->name());
    }
    add_value(defaults, architecture->default_norm(), architecture->name());
  }
  const std::size_t all = architectures().size();
  std::vector<std::string> common, own, unasked;
  for (const auto& [norm, names] : norms) {
    if (names.size() == all) {
      common.push_back(norm);
    } else {
      own.push_back(fmt::format(", and for {} {}", fmt::join(names, ", "), norm));
    }
  }
  for (const auto& [norm, names] : defaults) {
    unasked.push_back(fmt::format("{} for {}", norm, fmt::join(names, ", ")));
  }
  return fmt::format("{}{} (default: {})", fmt::join(common, ", "), fmt::join(own, ""),
                     fmt::join(unasked, "; "));
}

void add_model_flags(CLI::App& app, GivenFlags& given) {
  const auto set = [&model = given.model](const Field& field, const Value& value,
                                          const FieldPlace& place) {
    model.push_back({field.name, value, place});
  };
  add_choice_flags(app, set);
  const std::vector<OwnFlag> own = own_flags();
  const auto add_own = [&](const std::string& group, const std::string& heading,
                           const std::vector<std::string>& in_heading) {
    for (const OwnFlag& flag : own) {
      if (flag.field->spec.group != group) continue;
      add_field_flag(app, *flag.field, help_of(flag, in_heading), heading, set);
    }
  };
  add_own(model_group, model_group, {});
  for (const Field& field : common_model_fields().fields()) {
    add_field_flag(app, field, field.name == "norm" ? norm_help() : field.spec.help,
                   field.spec.group, set);
  }
  std::vector<std::string> done = {model_group};
  for (const OwnFlag& flag : own) {
    const std::string& group = flag.field->spec.group;
    if (std::find(done.begin(), done.end(), group) != done.end()) continue;
    done.push_back(group);
    const std::vector<std::string> names = architectures_of(group);
    add_own(group, fmt::format("{} (--arch {})", group, fmt::join(names, ", ")), names);
  }
  for (const Architecture* architecture : architectures()) {
    if (architecture->presets().empty()) continue;
    argument(app, size_flag(*architecture)).excludes({argument(app, "--preset")});
  }
}

Settings read_config(const std::string& file) {
  return read_settings(read_file(file, most_json_bytes),
                       {.where = fmt::format("config '{}'", file)});
}

}  // namespace

Settings GivenFlags::over(Settings base, Notes& notes) const {
  Settings flags = settings;
  flags.out = out;
  flags.model = read_model_request(model, base.model.architecture());
  base.overlay(flags, notes);
  return base;
}

void add_settings_flags(CLI::App& app, GivenFlags& given) {
  add_text_flags(app, given);
  add_model_flags(app, given);
  add_field_flags(app, train_fields(), into(given.settings.training));
  add_field_flags(app, settings_fields(),
                  [&settings = given.settings](const Field& field, const Value& value,
                                               const FieldPlace& place) {
                    set_field({{settings_fields(), settings}}, field.name, value, place);
                  });
}

void add_out_flag(CLI::App& app, GivenFlags& given, const std::string& type,
                  const std::string& description) {
  add_text(app, "--out", given.out, description, type).group("Output");
}

void add_train_flags(CLI::App& app, TrainFlags& flags) {
  add_settings_flags(app, flags.given);
  constexpr std::int64_t standard_steps = 10;
  constexpr std::int64_t most_steps = 1'000'000;
  add_optional_integer(
      app, "--profile", flags.profile, standard_steps, most_steps,
      "print where the time of N steps goes, after 3 others, and write a trace of one to "
      "trace.json in MODEL, for chrome://tracing or ui.perfetto.dev (default 10)")
      .group(run_group);
  add_out_flag(app, flags.given, "MODEL", "directory to write the model to");
  const Argument resume =
      add_flag(app, "--resume", flags.resume,
               "continue the run in --out; its config.json stands for the flags that are not given")
          .group("Output");
  const Argument resume_if_possible =
      add_flag(app, "--resume-if-possible", flags.resume_if_possible,
               "--resume when --out holds a run, else begin one: for jobs that are restarted by "
               "themselves")
          .excludes({resume})
          .group("Output");
  add_text(
      app, "--from", flags.from,
      "start with the weights of this model, its tokenizer and its configuration, of which only "
      "--dropout may differ; optimizer and schedule begin anew",
      "MODEL")
      .excludes({resume})
      .group("Output");
  add_flag(app, "--overwrite", flags.overwrite, "replace the run in --out")
      .excludes({resume, resume_if_possible})
      .group("Output");
  std::vector<std::string> names;
  for (const Recipe& recipe : recipes()) names.push_back(recipe.name);
  add_text(app, "--recipe", flags.recipe,
           fmt::format("a published training, its model, optimizer, schedule and regularisation: "
                       "{} (docs/training.md); --config and flags win",
                       fmt::join(names, ", ")),
           "NAME")
      .excludes({resume})
      .group("Output");
  add_text(app, "--config", flags.config,
           "settings as in a model's config.json, every field optional; flags win", "FILE.json")
      .group("Output");
  add_number(
      app, "--timeout", flags.timeout,
      "seconds without a sign of life after which one of several processes (mpirun, srun) is "
      "given up, and the job with it (default 60)")
      .group(run_group);
}

Settings settings_from(const TrainFlags& flags, Notes& notes) {
  Settings base = flags.recipe.empty() ? Settings{} : recipe_settings(flags.recipe);
  if (!flags.config.empty()) base.overlay(read_config(flags.config), notes);
  Settings settings = flags.given.over(std::move(base), notes);
  if (settings.out.empty()) throw UsageError("--out is missing: the directory to write to");
  if (flags.resume) {
    const fs::path out = settings.out;
    const ModelDirectory files(out);
    files.check_trained();
    if (!files.has_checkpoint()) {
      throw Error(fmt::format("--resume: '{}' holds no checkpoint to continue from", out.string()));
    }
    const Settings resumed = saved_settings(files);
    if (flags.config.empty()) settings = flags.given.over(resumed, notes);
    settings.out = out;
    check_resumed_tokenizer(resumed.tokenizer, settings.tokenizer);
  }
  if (!flags.from.empty()) settings.from = in_full(flags.from);
  if (settings.from.empty() && (settings.new_words > 0 || settings.prune_vocabulary)) {
    throw UsageError(
        "--new-words and --prune-vocabulary change the vocabulary of a trained model; give --from");
  }
  if (!flags.resume && !settings.from.empty()) adopt_model(settings);
  if (!settings.vectors.empty()) {
    settings.vectors = in_full(settings.vectors);
    if (!settings.model.has("dim")) {
      settings.model.fields.set("dim", Value(word_vector_width(settings.vectors)),
                                {.where = "vectors"});
    }
  }
  if (settings.data.values.train.empty()) {
    throw UsageError("--data is missing: the text to train on");
  }
  return settings;
}

}  // namespace sluice::cli
