#include "evaluate_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "output.hpp"
#include "ranks.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/labels.hpp"
#include "sluice/training/detail/data_fingerprint.hpp"

namespace sluice::cli {

void check_same_text(const TokenShards& corpus) {
  if (!ranks().alone()) shared_work().check_same({{"text", data_fingerprint(corpus)}});
}

TextEvaluation evaluate_text(const LoadedPredictor& loaded, const TextFlags& text,
                             const std::string& command) {
  share_standard_input(std::find(text.files.begin(), text.files.end(), "-") != text.files.end());
  divide_cores();
  PieceWork& work = shared_work();
  EvalOptions options;
  ProgressDisplay display;
  const Progress progress = [&](double fraction, std::string_view what) {
    if (work.leads()) display.update(fraction, what);
  };
  const TextInputs inputs = text.open(*loaded.tokenizer, progress);
  TokenShards corpus = tokenize_uncached(inputs.sources(), *loaded.tokenizer, progress,
                                         text.document_rule(loaded.configs(), *loaded.tokenizer));
  if (!text.condition.empty() && loaded.model && !loaded.model->config().labels.empty()) {
    corpus = with_labels(corpus, inputs.sources(), loaded.model->config().labels);
  }
  check_same_text(corpus);
  options.progress = [&](std::int64_t done, std::int64_t all) {
    progress(static_cast<double>(done) / static_cast<double>(all),
             fmt::format("{} of {} tokens", grouped(done), grouped(all)));
  };
  options.unknown = loaded.tokenizer->unk();
  TextEvaluation found;
  if (loaded.model) {
    found.result = evaluate_parts(*loaded.model, corpus, options, work);
  } else if (work.leads()) {
    found.result = evaluate(*loaded.predictor, corpus, options);
  }
  display.clear();
  if (!work.leads()) return found;
  if (!ranks().alone() && !(loaded.model && loaded.model->receptive_field())) {
    tell(
        fmt::format("sluice {}: one of the processes read all of the text: what is predicted "
                    "depends on all that was before\n",
                    command));
  }
  if (!inputs.skipped().empty()) {
    tell(fmt::format("sluice {}: {}\n", command, inputs.skipped_note()));
  }
  found.extent = text_extent(inputs.sources());
  return found;
}

}  // namespace sluice::cli
