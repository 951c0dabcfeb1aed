#include "models.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <filesystem>

#include "sluice/base/error.hpp"
#include "sluice/inference/session.hpp"

namespace sluice::server {
namespace {

EngineOptions engine_options(const ServerOptions& options) {
  EngineOptions engine;
  engine.sessions = options.max_sessions;
  engine.queue = options.max_queue;
  engine.deterministic = options.deterministic;
  return engine;
}

}  // namespace

ServedModel::ServedModel(std::string model_name, const std::filesystem::path& directory,
                         const ServerOptions& options)
    : name(std::move(model_name)), created(std::time(nullptr)) {
  LoadedFrozenModel loaded = load_frozen_model(directory, {.precision = options.precision});
  model = std::move(loaded.model);
  tokenizer = std::move(loaded.tokenizer);
  engine = std::make_unique<Engine>(model, engine_options(options));
  next = std::make_unique<NextText>(make_predictor(model), *tokenizer);
}

void ServedModel::warm() const {
  // As much as an engine reads at once where nobody waits for tokens.
  const std::vector<std::int32_t> text(256, tokenizer->eos());
  try {
    Session session = model->session();
    session.feed(text);
    session.log_probabilities();
  } catch (const std::exception&) {
    // Whoever asks for it is told.
  }
}

ModelHost::ModelHost(const ServerOptions& options) : options_(options) {
  if (options.models.empty()) throw UsageError("expected at least one model directory to serve");
  for (const auto& path : options.models) {
    std::string name = std::filesystem::weakly_canonical(path).filename().string();
    if (std::find(names_.begin(), names_.end(), name) != names_.end()) {
      throw UsageError(fmt::format(
          "two models are named '{}', after the last part of their paths; rename one", name));
    }
    names_.push_back(std::move(name));
  }
}

void ModelHost::load() {
  const std::lock_guard one_at_a_time(loading_);
  ServedModels loaded;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    loaded.push_back(std::make_shared<ServedModel>(names_[i], options_.models[i], options_));
  }
  const std::lock_guard lock(mutex_);
  cold_ = loaded;
  served_.swap(loaded);
  replaced_.insert(replaced_.end(), loaded.begin(), loaded.end());
}

ServedModels ModelHost::all() const {
  const std::lock_guard lock(mutex_);
  return served_;
}

std::shared_ptr<ServedModel> ModelHost::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  for (const auto& model : served_) {
    if (name.empty() || model->name == name) return model;
  }
  return nullptr;
}

void ModelHost::warm_new() {
  while (true) {
    std::shared_ptr<ServedModel> model;
    {
      const std::lock_guard lock(mutex_);
      if (cold_.empty()) return;
      model = std::move(cold_.back());
      cold_.pop_back();
    }
    model->warm();
  }
}

void ModelHost::release_unused() {
  ServedModels unused;
  const std::lock_guard lock(mutex_);
  for (auto& model : replaced_) {
    if (model.use_count() == 1) unused.push_back(std::move(model));
  }
  std::erase(replaced_, nullptr);
  // Their engines end here, outside of what others wait for: they have nothing to do.
}

void ModelHost::stop() {
  ServedModels models;
  {
    const std::lock_guard lock(mutex_);
    models = served_;
    models.insert(models.end(), replaced_.begin(), replaced_.end());
    cold_.clear();
  }
  for (const auto& model : models) model->engine->stop();
}

}  // namespace sluice::server
