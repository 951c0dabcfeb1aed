// sluice generate: text from a model, printed as it is made.

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/generate.hpp"

namespace sluice::cli {
namespace {

struct GenerateCommand {
  std::string model;
  std::string prompt;
  GenerateOptions options;
  std::int64_t seed = 1;

  void run();
};

void GenerateCommand::run() {
  if (seed < 0) throw UsageError(fmt::format("--seed: expected 0 or more, got {}", seed));
  if (options.tokens < 0) {
    throw UsageError(fmt::format("--tokens: expected 0 or more, got {}", options.tokens));
  }
  options.sampling.seed = static_cast<std::uint64_t>(seed);
  options.sampling.validate();
  const LoadedFrozenModel loaded = load_frozen_model(model);
  if (prompt.empty()) {
    fmt::print(stderr, "sluice generate: the prompt is empty; starting a new line\n");
  }
  print(prompt);
  flush_output();
  bool ends_line = prompt.empty() || prompt.ends_with('\n');
  const GenerateResult result =
      generate(*loaded.model, *loaded.tokenizer, prompt, options, [&](std::string_view text) {
        print(text);
        flush_output();
        if (!text.empty()) ends_line = text.ends_with('\n');
        return true;
      });
  if (!ends_line) print("\n");
  flush_output();
  if (!result.unknown_words.empty()) {
    fmt::print(stderr, "sluice generate: not in the vocabulary and read as <unk>: {}\n",
               fmt::join(result.unknown_words, " "));
  }
}

}  // namespace

void add_generate(CLI::App& program, int& status) {
  auto command = std::make_shared<GenerateCommand>();
  CLI::App& app = add_command(program, "generate", "Continue a text, printing it as it is made");
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  add_text(app, "--prompt", command->prompt,
           "text to continue, printed first (default: none, the start of a line)", "TEXT");
  add_integer(app, "--tokens", command->options.tokens, "tokens to generate at most (default 100)");
  add_number(app, "--temperature", command->options.sampling.temperature,
             "below 1 sharpens the distribution, above 1 flattens it; 0 always takes the most "
             "probable token (default 1)");
  add_integer(app, "--top-k", command->options.sampling.top_k,
              "draw from the N most probable tokens only; 0: from all (default 0)");
  add_number(app, "--top-p", command->options.sampling.top_p,
             "draw from the fewest tokens that have X of the probability, 0 < X <= 1 (default 1)");
  add_integer(app, "--seed", command->seed,
              "the same seed, model and prompt give the same text (default 1)");
  add_text(app, "--stop", command->options.stop, "end before this text would appear", "TEXT");
  add_threads(app);
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
