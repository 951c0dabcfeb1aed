#include "saved_weights.hpp"

#include <fmt/format.h>

#include <limits>

#include "sluice/base/error.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {

PendingSafetensors SavedWeights::prepare() {
  PendingSafetensors pending = files_.prepare_weights(model_);
  state_.weights = pending.checksum();
  return pending;
}

std::string SavedWeights::fault() const {
  try {
    const SafetensorsFile file(files_.weights_file());
    check_parameters(file, model_);
    if (!state_.weights.empty() && file.checksum() != state_.weights) {
      return fmt::format("'{}' is not what the run saved", files_.weights_file().string());
    }
  } catch (const Error& error) {
    // What cannot be read now may be whole: nothing is to be written over it.
    rethrow_if_refused(error);
    return error.what();
  }
  return "";
}

std::string SavedWeights::recover(bool validated) {
  const std::int64_t saved = validated ? state_.best_step : state_.step;
  if (saved == 0) return "";
  const std::string wrong = fault();
  if (wrong.empty()) return "";
  if (saved == state_.step) {
    save();
    return "";
  }
  state_.best_loss = std::numeric_limits<double>::infinity();
  state_.best_step = 0;
  state_.without_improvement = 0;
  state_.validated_step = -1;
  state_.weights.clear();
  return fmt::format(
      "{}; the weights of the best validation, after step {}, are lost: the best is sought anew "
      "from step {} on",
      wrong, saved, state_.step);
}

void SavedWeights::verify(const std::filesystem::path& checkpoint) const {
  if (const std::string wrong = fault(); !wrong.empty()) {
    throw Error(fmt::format(
        "the run has ended, but the weights that it saved cannot be used: {}; resume to save them "
        "again from its checkpoint",
        wrong));
  }
  SafetensorsFile(checkpoint).check_data();
}

}  // namespace sluice
