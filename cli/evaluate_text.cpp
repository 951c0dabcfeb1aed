#include "evaluate_text.hpp"

#include <fmt/format.h>

#include "output.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/text/corpus.hpp"
#include "temporary_directory.hpp"

namespace sluice::cli {

EvalResult evaluate_text(const LoadedFrozenModel& loaded, const TextFlags& text,
                         const std::string& command) {
  EvalOptions options;
  ProgressDisplay display;
  const TemporaryDirectory cache;
  const Progress progress = [&](double fraction, std::string_view what) {
    display.update(fraction, what);
  };
  const TextInputs inputs = text.open(*loaded.tokenizer, cache.path(), progress);
  const TokenShards corpus =
      tokenize_corpus(inputs.sources(), *loaded.tokenizer, cache.path(), progress);
  options.progress = [&](std::int64_t done, std::int64_t all) {
    display.update(static_cast<double>(done) / static_cast<double>(all),
                   fmt::format("{} of {} tokens", grouped(done), grouped(all)));
  };
  EvalResult result = evaluate(*loaded.model, corpus, options);
  display.clear();
  if (!inputs.skipped().empty()) {
    fmt::print(stderr, "sluice {}: {}\n", command, inputs.skipped_note());
  }
  return result;
}

}  // namespace sluice::cli
