#include "sluice/training/run.hpp"

#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "sluice/base/numbers.hpp"
#include "sluice/models/detail/changed_vocabulary.hpp"
#include "sluice/models/word_vectors.hpp"
#include "validator.hpp"

namespace sluice {
namespace {

/// Has validations tell how well the text that the model knew before is still known; says how well
/// it is at first.
void watch_old_text(TrainCallbacks& callbacks, const Validator& old, bool resumed) {
  const auto loss = [&old] { return loss_of(*old.validate([](double) { return true; })); };
  if (!resumed && callbacks.note) {
    callbacks.note(fmt::format("the old text at first: perplexity {:.2f}", std::exp(loss())));
  }
  callbacks.validated = [loss, next = std::move(callbacks.validated)](ValidationReport report) {
    report.old_loss = loss();
    if (next) next(report);
  };
}

}  // namespace

TrainPlan plan_of(Settings settings, const ModelConfig& model, const TrainConfig& training) {
  settings.model.become(model);
  settings.training.become(training);
  return {std::move(settings), model, training};
}

TrainResult train_model(const TrainPlan& plan, const PreparedText& text,
                        const ModelDirectory& files, TrainOptions options, LastWeights last) {
  const bool leads = options.ranks == nullptr || options.ranks->leads();
  const auto model = make_model(plan.model, plan.training.seed);
  if (!options.resume && !plan.settings.from.empty()) {
    const ModelDirectory from(plan.settings.from);
    if (plan.settings.new_words > 0 || plan.settings.prune_vocabulary) {
      load_for_vocabulary(from, *text.tokenizer, *model);
    } else {
      load_parameters(from.weights_file(), *model);
    }
  }
  if (!options.resume && !plan.settings.vectors.empty()) {
    const std::int64_t found = read_word_vectors(plan.settings.vectors, *text.tokenizer, *model);
    if (options.callbacks.note) {
      options.callbacks.note(fmt::format("{} of {} tokens begin with the vectors of '{}'",
                                         grouped(found), grouped(text.tokenizer->size()),
                                         plan.settings.vectors.string()));
    }
  }
  // Before anything of an earlier run is replaced.
  learning_rate_scales(model->parameters(), plan.training.optimizer);
  options.fingerprint["tokenizer"] = std::to_string(text.tokenizer->fingerprint());
  const std::string configuration = plan.settings.text();
  options.configuration = checksum_hex(configuration.data(), configuration.size());
  if (options.resume) {
    options.found_configuration = file_checksum(files.config_file());
    // The configuration stays that of the run until this one has added something to it.
    if (leads) {
      options.callbacks.begun = [&, begun = std::move(options.callbacks.begun)] {
        files.write_config(configuration);
        if (begun) begun();
      };
    }
  } else if (leads) {
    files.remove_run();
    text.tokenizer->save(files.path());
    files.write_config(configuration);
  }
  std::optional<Validator> old;
  if (text.old) {
    old.emplace(*model, *text.old, plan.training);
    watch_old_text(options.callbacks, *old, options.resume);
  }
  const TrainResult result = train(*model, text.train, text.valid ? &*text.valid : nullptr,
                                   plan.training, files.path(), options);
  if (leads && last == LastWeights::keep && result.status != TrainStatus::interrupted &&
      text.valid && result.best_step != result.step) {
    files.save_weights(*model, Weights::last);
  }
  return result;
}

}  // namespace sluice
