#include "sluice/training/run.hpp"

#include <string>
#include <utility>

namespace sluice {

TrainPlan plan_of(Settings settings, const ModelConfig& model, const TrainConfig& training) {
  settings.model.become(model);
  settings.training.become(training);
  return {std::move(settings), model, training};
}

TrainResult train_model(const TrainPlan& plan, const PreparedText& text,
                        const ModelDirectory& files, TrainOptions options, LastWeights last) {
  const auto model = make_model(plan.model, plan.training.seed);
  if (!options.resume && !plan.settings.from.empty()) {
    load_parameters(ModelDirectory(plan.settings.from).weights_file(), *model);
  }
  options.fingerprint["tokenizer"] = std::to_string(text.tokenizer->fingerprint());
  const std::string configuration = plan.settings.text();
  options.configuration = checksum_hex(configuration.data(), configuration.size());
  if (options.resume) {
    options.found_configuration = file_checksum(files.config_file());
    // The configuration stays that of the run until this one has added something to it.
    options.callbacks.begun = [&, begun = std::move(options.callbacks.begun)] {
      files.write_config(configuration);
      if (begun) begun();
    };
  } else {
    files.remove_run();
    text.tokenizer->save(files.path());
    files.write_config(configuration);
  }
  const TrainResult result = train(*model, text.train, text.valid ? &*text.valid : nullptr,
                                   plan.training, files.path(), options);
  if (last == LastWeights::keep && result.status != TrainStatus::interrupted && text.valid &&
      result.best_step != result.step) {
    files.save_weights(*model, Weights::last);
  }
  return result;
}

}  // namespace sluice
