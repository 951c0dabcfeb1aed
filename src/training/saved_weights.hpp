#pragma once
// The weights that a run says it has saved, and whether they are there.

#include <filesystem>
#include <string>

#include "sluice/models/language_model.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/detail/checkpoint.hpp"

namespace sluice {

/// The best weights of a run in its directory; those of the last step in a run without validation.
class SavedWeights {
 public:
  /// `model` and `state` must outlive it.
  SavedWeights(ModelDirectory files, const LanguageModel& model, TrainState& state)
      : files_(std::move(files)), model_(model), state_(state) {}

  const ModelDirectory& files() const { return files_; }
  void remove() const { std::filesystem::remove(files_.weights_file()); }

  /// Writes the model's weights and enters their checksum into the state. They are to be committed
  /// when a checkpoint holds that state: should the process end in between, the checkpoint knows
  /// them, and recover() saves them again.
  PendingSafetensors prepare();
  void save() { prepare().commit(); }

  /// For a run that is resumed, its state and weights being those of its checkpoint: when the
  /// weights that it has saved cannot be read, or are others, they are saved again if they are
  /// those of the checkpoint; else the state forgets the best validation, so that the next one is
  /// the best, and what is wrong is returned. Empty when nothing is lost. Throws SystemError when
  /// the system refuses to read them: they may be whole.
  std::string recover(bool validated);

  /// Throws Error unless the weights and `checkpoint` can be read.
  void verify(const std::filesystem::path& checkpoint) const;

 private:
  std::string fault() const;

  ModelDirectory files_;
  const LanguageModel& model_;
  TrainState& state_;
};

}  // namespace sluice
