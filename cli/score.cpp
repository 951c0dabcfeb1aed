// sluice score: one line in, one line out.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/score.hpp"
#include "sluice/text/inputs.hpp"
#include "sluice/training/config.hpp"

namespace sluice::cli {
namespace {

struct ScoreCommand {
  std::string model;
  std::string file = "-";
  std::string precision = "f32";
  bool words = false;
  bool json = false;

  void run() const;

 private:
  std::string as_json(const LineScore& score) const;
  std::string as_text(const LineScore& score) const;
};

std::string ScoreCommand::as_json(const LineScore& score) const {
  nlohmann::ordered_json line = {{"log_probability", score.log_probability},
                                 {"tokens", score.tokens},
                                 {"oov", score.oov},
                                 {"perplexity", score.perplexity}};
  if (words) {
    auto& list = line["words"] = nlohmann::ordered_json::array();
    for (const TokenScore& word : score.words) {
      list.push_back(
          {{"text", word.text}, {"log_probability", word.log_probability}, {"oov", word.oov}});
    }
  }
  // A byte token may be part of a character.
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string ScoreCommand::as_text(const LineScore& score) const {
  std::string line = fmt::format("{:.4f}\t{}\t{}\t{:.3f}", score.log_probability, score.tokens,
                                 score.oov, score.perplexity);
  for (const TokenScore& word : score.words) {
    line += fmt::format("\t{} {:.4f}", word.text, word.log_probability);
  }
  return line;
}

void ScoreCommand::run() const {
  ScoreOptions options;
  options.words = words;
  const LoadedFrozenModel loaded =
      load_frozen_model(model, {.precision = parse_enum<WeightPrecision>(precision)});
  const auto emit = [&](const LineScore& score) {
    print((json ? as_json(score) : as_text(score)) + "\n");
    flush_output();
  };
  score_stream(*loaded.model, *loaded.tokenizer, *open_text(file), emit, options);
}

}  // namespace

void add_score(CLI::App& program, int& status) {
  auto command = std::make_shared<ScoreCommand>();
  CLI::App& app = add_command(program, "score", "The log-probability of each line of a text");
  add_footer(
      app,
      "Prints a line for each line, which is read on its own: log-probability (nats), tokens (the\n"
      "line's end included), tokens not in the vocabulary, perplexity; separated by tabs.");
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  add_text(app, "FILE", command->file,
           "UTF-8 text, plain or compressed (gzip, bzip2, xz, zstd); - or nothing: standard input",
           "");
  add_flag(app, "--words", command->words,
           "add each token and its log-probability (nats) to its line");
  add_flag(app, "--json", command->json, "print one JSON object per line (docs/formats.md)");
  add_text(
      app, "--precision", command->precision,
      "f32, bf16 (bfloat16 products with float32 sums) or int8 (8-bit weights); a runtime model "
      "has its own (default f32)",
      "NAME");
  add_threads(app);
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
