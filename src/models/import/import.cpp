#include "sluice/models/import.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>

#include "imported_model.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/architecture.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// Our names, and theirs.
std::map<std::string, std::string> read_map(const fs::path& file) {
  std::map<std::string, std::string> names;
  std::istringstream in(read_file(file, std::size_t{1} << 28));
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    std::istringstream words(line);
    std::string ours, theirs, more;
    if (!(words >> ours) || ours.front() == '#') continue;
    if (!(words >> theirs) || words >> more) {
      throw Error(
          fmt::format("cannot read the names in '{}', line {}: expected two names, ours and "
                      "that of the file",
                      file.string(), number));
    }
    if (!names.emplace(ours, theirs).second) {
      throw Error(fmt::format("cannot read the names in '{}', line {}: '{}' is there twice",
                              file.string(), number, ours));
    }
  }
  return names;
}

ModelConfig read_config(const fs::path& file) {
  const FieldPlace place{.where = fmt::format("config '{}'", file.string())};
  const Value given = parse_json(read_file(file, most_json_bytes), place);
  const Value* const model = given.find("model");
  if (model == nullptr) place.refuse("field 'model' is missing");
  ModelConfig config =
      read_model(*model, {.where = "model config", .origin = FieldPlace::Origin::file});
  config.validate();
  return config;
}

/// Names and shapes of a model's tensors, as files have them. The model itself is gone before
/// anything is read.
std::vector<TensorInfo> tensors_of(const ModelConfig& config) {
  std::vector<TensorInfo> infos;
  {
    const auto made = make_model(config, std::nullopt);
    for (const Parameter& parameter : made->parameters()) {
      infos.push_back({parameter.name, parameter.file_shape(), DType::f32});
    }
  }
  release_cached_memory();
  return infos;
}

/// What a tensor of ours is called in the file when no map says so: as here, or where that is
/// missing as torch.nn.AdaptiveLogSoftmaxWithLoss calls the parts of its tails (0 the projection, 1
/// the output), the only names in which bench/pytorch/twin.py differs.
std::string name_in(ForeignTensors& tensors, const std::string& ours) {
  constexpr std::string_view tails = "softmax.tails.";
  if (!ours.starts_with(tails) || tensors.find(ours) != nullptr) return ours;
  const std::string_view rest = std::string_view(ours).substr(tails.size());
  const std::string_view number = rest.substr(0, rest.find('.'));
  const bool output = rest.ends_with(".output.weight");
  std::string theirs = fmt::format("softmax.tail.{}.{}.weight", number, output ? 1 : 0);
  return tensors.find(theirs) != nullptr ? theirs : ours;
}

ImportedModel read_named(ForeignTensors& tensors, const ImportOptions& options) {
  ImportedModel model{read_config(options.config), {}};
  const auto names =
      options.map.empty() ? std::map<std::string, std::string>{} : read_map(options.map);
  const std::vector<TensorInfo> infos = tensors_of(model.config);
  for (const auto& [ours, theirs] : names) {
    const bool known = std::any_of(infos.begin(), infos.end(), [&, &name = ours](const auto& info) {
      return info.name == name;
    });
    if (!known) {
      throw Error(fmt::format("cannot read the names in '{}': the model has no tensor '{}'",
                              options.map.string(), ours));
    }
  }
  for (const TensorInfo& info : infos) {
    const auto found = names.find(info.name);
    model.tensors[info.name] =
        tensors.as_it_is(found == names.end() ? name_in(tensors, info.name) : found->second);
  }
  return model;
}

/// What to say of a file whose names are of no known model.
[[noreturn]] void refuse_names(const ForeignFile& file) {
  constexpr std::size_t most = 5;
  std::vector<std::string> names;
  for (const ForeignTensor& tensor : file.tensors()) {
    if (names.size() == most) break;
    names.push_back(tensor.name);
  }
  refuse_import(
      file,
      fmt::format("its {} tensors ({}{}) are named as those of no model that is known; give a "
                  "configuration and a map of names (docs/import.md)",
                  file.tensors().size(), fmt::join(names, ", "),
                  file.tensors().size() > most ? ", ..." : ""));
}

/// Throws Error when no architecture knows the file.
const ForeignKind& foreign_kind_of(const ForeignFile& file) {
  for (const Architecture* architecture : architectures()) {
    const ForeignKind* const kind = architecture->foreign_kind();
    if (kind != nullptr && kind->recognise(file)) return *kind;
  }
  refuse_names(file);
}

void write_weights(const fs::path& path, const ForeignFile& file, const ImportedModel& model,
                   const std::vector<TensorInfo>& infos) {
  TensorSources sources;
  for (const TensorInfo& info : infos) {
    const auto found = model.tensors.find(info.name);
    if (found == model.tensors.end()) {
      refuse_import(file, fmt::format("it has nothing for the model's tensor '{}'", info.name));
    }
    sources.push_back(
        {info, [&file, &info, make = found->second] {
           Tensor tensor = make();
           if (!(tensor.shape() == info.shape)) {
             refuse_import(file, fmt::format("what is in it for '{}' has shape {}, expected {}",
                                             info.name, tensor.shape().str(), info.shape.str()));
           }
           return tensor;
         }});
  }
  prepare_safetensors(path, sources, {{"format", "pt"}}).commit();
}

}  // namespace

ImportReport import_model(const fs::path& file, const ImportOptions& options, const fs::path& out) {
  const ForeignFile foreign(file);
  ForeignTensors tensors(foreign);
  ImportReport report;
  ImportedModel model;
  if (!options.config.empty()) {
    report.kind = "a model by its configuration";
    model = read_named(tensors, options);
  } else {
    const ForeignKind& kind = foreign_kind_of(foreign);
    report.kind = kind.name;
    model = kind.read(tensors, options);
  }
  try {
    model.config.validate();
  } catch (const UsageError& error) {
    refuse_import(foreign, error.what());
  }
  if (options.dictionary.empty()) {
    throw UsageError(
        fmt::format("'{}' does not hold its model's vocabulary of {} tokens; give its dictionary",
                    file.string(), model.config.vocabulary));
  }
  const std::vector<TensorInfo> infos = tensors_of(model.config);
  const auto tokenizer = read_tokenizer(options.dictionary);
  if (tokenizer->size() != model.config.vocabulary) {
    throw Error(fmt::format(
        "'{}' and '{}' do not belong together: the dictionary has {} tokens, "
        "those that it leaves out included, and the model {}",
        options.dictionary.string(), file.string(), tokenizer->size(), model.config.vocabulary));
  }
  fs::create_directories(out);
  const ModelDirectory directory(out);
  write_weights(directory.weights_file(), foreign, model, infos);
  tokenizer->save(out);
  directory.write_config(model.config);

  report.config = model.config;
  report.tensors = static_cast<std::int64_t>(foreign.tensors().size());
  report.unused = tensors.unused();
  report.inert = foreign.inert();
  return report;
}

}  // namespace sluice
