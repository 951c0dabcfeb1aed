#include "evaluate_text.hpp"

#include <fmt/format.h>

#include "output.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/labels.hpp"

namespace sluice::cli {

TextEvaluation evaluate_text(const LoadedPredictor& loaded, const TextFlags& text,
                             const std::string& command) {
  EvalOptions options;
  ProgressDisplay display;
  const Progress progress = [&](double fraction, std::string_view what) {
    display.update(fraction, what);
  };
  const TextInputs inputs = text.open(*loaded.tokenizer, progress);
  TokenShards corpus = tokenize_uncached(
      inputs.sources(), *loaded.tokenizer, progress,
      text.document_rule(loaded.model ? &loaded.model->config() : nullptr, *loaded.tokenizer));
  if (!text.condition.empty() && loaded.model && !loaded.model->config().labels.empty()) {
    corpus = with_labels(corpus, inputs.sources(), loaded.model->config().labels);
  }
  options.progress = [&](std::int64_t done, std::int64_t all) {
    display.update(static_cast<double>(done) / static_cast<double>(all),
                   fmt::format("{} of {} tokens", grouped(done), grouped(all)));
  };
  options.unknown = loaded.tokenizer->unk();
  TextEvaluation found;
  found.result = loaded.model ? evaluate(*loaded.model, corpus, options)
                              : evaluate(*loaded.predictor, corpus, options);
  display.clear();
  if (!inputs.skipped().empty()) {
    tell(fmt::format("sluice {}: {}\n", command, inputs.skipped_note()));
  }
  found.extent = text_extent(inputs.sources());
  return found;
}

}  // namespace sluice::cli
