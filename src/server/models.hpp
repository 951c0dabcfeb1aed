#pragma once
// The models that are served, and their exchange while they are.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sluice/inference/engine.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/next.hpp"
#include "sluice/server/server.hpp"

namespace sluice::server {

/// A model, its tokenizer and the engine that runs it.
struct ServedModel {
  ServedModel(std::string model_name, const std::filesystem::path& directory,
              const ServerOptions& options);

  /// Makes what the first long text and the first token would have to wait for: filters of fast
  /// convolutions, code of matrix products, pages of a mapped file.
  void warm() const;

  std::string name;
  /// When it was loaded, in seconds since 1970.
  std::int64_t created;
  std::shared_ptr<const FrozenModel> model;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<const NextText> next;
};

using ServedModels = std::vector<std::shared_ptr<ServedModel>>;

/// Safe to call from any thread. A model that was replaced lives on until nobody uses it.
class ModelHost {
 public:
  /// Throws UsageError when there is none or two have one name.
  explicit ModelHost(const ServerOptions& options);
  ~ModelHost() { stop(); }

  /// Loads all anew, and only then puts them in the place of those that are there.
  void load();
  /// In the order of the command line; none before load().
  ServedModels all() const;
  /// "": the first. Null when there is none of that name.
  std::shared_ptr<ServedModel> find(const std::string& name) const;
  const std::vector<std::string>& names() const { return names_; }
  /// Warms models that were loaded since. Not to be called by two threads at once.
  void warm_new();
  /// Lets go of replaced models that are used no more. Not to be called by an engine.
  void release_unused();
  /// Ends all engines, also those of replaced models.
  void stop();

 private:
  const ServerOptions& options_;
  std::vector<std::string> names_;
  mutable std::mutex mutex_;
  std::mutex loading_;
  ServedModels served_, replaced_, cold_;
};

}  // namespace sluice::server
