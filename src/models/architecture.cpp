#include "sluice/models/architecture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "builtin_architectures.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/nn/norm.hpp"

namespace sluice {
namespace {

/// Nothing is ever taken out, so what was found stays valid.
class Registry {
 public:
  Registry() : all_(builtin_architectures()) {}

  const Architecture& add(std::unique_ptr<const Architecture> architecture) {
    const std::lock_guard guard(mutex_);
    if (find_locked(architecture->name()) != nullptr) {
      throw Error(fmt::format("register_architecture: there is an architecture '{}' already",
                              architecture->name()));
    }
    all_.push_back(std::move(architecture));
    return *all_.back();
  }
  const Architecture* find(std::string_view name) const {
    const std::lock_guard guard(mutex_);
    return find_locked(name);
  }
  std::vector<const Architecture*> list() const {
    const std::lock_guard guard(mutex_);
    std::vector<const Architecture*> list;
    list.reserve(all_.size());
    for (const auto& each : all_) list.push_back(each.get());
    return list;
  }

 private:
  const Architecture* find_locked(std::string_view name) const {
    const auto found = std::find_if(all_.begin(), all_.end(),
                                    [&](const auto& each) { return each->name() == name; });
    return found == all_.end() ? nullptr : found->get();
  }

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<const Architecture>> all_;
};

Registry& registry() {
  static Registry all;
  return all;
}

}  // namespace

TextSize text_size(std::int64_t tokens) {
  if (tokens <= 100'000) return TextSize::tiny;
  if (tokens <= 1'500'000) return TextSize::small;
  if (tokens <= 20'000'000) return TextSize::medium;
  return tokens <= 200'000'000 ? TextSize::large : TextSize::huge;
}

std::vector<std::string> Architecture::norms() const { return causal_norm_names(); }

GraphValue Architecture::draw(const ModelConfig& /*config*/, StackGraph& /*stack*/,
                              const GraphValue& /*x*/) const {
  throw Error(fmt::format("arch '{}' cannot be drawn as a graph", name()));
}

TorchStack Architecture::torch_stack(const ModelConfig& /*config*/,
                                     const Parameters& /*parameters*/) const {
  throw Error(fmt::format("arch '{}' has no form in PyTorch", name()));
}

const Architecture& register_architecture(std::unique_ptr<const Architecture> architecture) {
  return registry().add(std::move(architecture));
}

const Architecture& find_architecture(std::string_view name) {
  if (const Architecture* const found = registry().find(name)) return *found;
  refuse_config(fmt::format("unknown arch '{}'; {}", name, suggestion(name, architecture_names())));
}

std::vector<const Architecture*> architectures() { return registry().list(); }

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const Architecture* each : architectures()) names.push_back(each->name());
  return names;
}

void refuse_config(const std::string& fault) {
  throw UsageError(fmt::format("model config: {}", fault));
}

void check_config_groups(const ModelConfig& config, std::int64_t channels, std::string_view what,
                         std::string_view fields) {
  if (config.norm != name_of(NormKind::group) || channels % config.groups == 0) return;
  refuse_config(
      fmt::format("{} groups do not divide {}; change groups or {}", config.groups, what, fields));
}

std::int64_t norm_step(const ModelConfig& config) {
  return config.norm == name_of(NormKind::group) ? config.groups : 1;
}

std::vector<Preset> presets() {
  std::vector<Preset> all;
  for (const Architecture* each : architectures()) {
    std::vector<Preset> own = each->presets();
    std::move(own.begin(), own.end(), std::back_inserter(all));
  }
  return all;
}

Preset find_preset(std::string_view name) {
  const std::vector<Preset> all = presets();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Preset& preset) { return preset.name == name; });
  if (found != all.end()) return *found;
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const Preset& preset : all) names.push_back(preset.name);
  throw UsageError(fmt::format("unknown preset '{}'; {}", name, suggestion(name, names)));
}

ModelConfig preset_config(const Preset& preset, std::int64_t vocabulary) {
  ModelConfig config = preset.config;
  config.vocabulary = vocabulary;
  std::erase_if(config.cutoffs, [&](std::int64_t cutoff) { return cutoff >= vocabulary; });
  if (config.cutoffs.empty()) config.softmax = "full";
  return config;
}

}  // namespace sluice
