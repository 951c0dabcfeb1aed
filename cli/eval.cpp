// sluice eval: the perplexity of a model on a text.

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "evaluate_text.hpp"
#include "model_argument.hpp"
#include "options.hpp"
#include "output.hpp"
#include "ranks.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "text_flags.hpp"

namespace sluice::cli {
namespace {

struct EvalCommand {
  ModelFlags model;
  TextFlags text;
  std::string conv = "auto";
  bool json = false;

  void run() const;
};

void EvalCommand::run() const {
  if (!text.condition.empty() && !model.condition.empty()) {
    throw UsageError("--condition and --label: a text has labels of its own or one for all of it");
  }
  divide_cores();
  const LoadedPredictor loaded = model.load(parse_enum<ConvPath>(conv));
  check_same_model(model.model);
  const TextEvaluation evaluation = evaluate_text(loaded, text, "eval");
  if (!speaks()) return;
  const EvalResult& result = evaluation.result;
  const TextExtent& size = evaluation.extent;
  const double word_perplexity =
      std::exp(result.nll / static_cast<double>(size.words + size.lines));
  const double byte_perplexity = std::exp(result.nll / static_cast<double>(size.bytes));

  if (json) {
    print_json(Value::Object{{"perplexity", result.perplexity},
                             {"bits_per_character", result.bits_per_character},
                             {"tokens", result.tokens},
                             {"oov", result.oov},
                             {"vocabulary", result.vocabulary},
                             {"nll", result.nll},
                             {"seconds", result.seconds},
                             {"tokens_per_second", result.tokens_per_second},
                             {"word_perplexity", word_perplexity},
                             {"byte_perplexity", byte_perplexity},
                             {"known_perplexity", result.known_perplexity},
                             {"words", size.words},
                             {"lines", size.lines},
                             {"bytes", size.bytes}});
    return;
  }
  print(
      fmt::format("perplexity          {:.3f}\n"
                  "  per word          {:.3f} ({} and {})\n"
                  "  per byte          {:.4f}\n"
                  "  without unknown   {:.3f}\n"
                  "bits per character  {:.4f}\n"
                  "nats per token      {:.4f}\n"
                  "tokens              {} ({} not in the vocabulary of {})\n"
                  "speed               {} tokens/s ({:.2f} s)\n",
                  result.perplexity, word_perplexity, counted(size.words, "word"),
                  counted(size.lines, "line end"), byte_perplexity, result.known_perplexity,
                  result.bits_per_character, result.nll / static_cast<double>(result.tokens),
                  grouped(result.tokens), grouped(result.oov), grouped(result.vocabulary),
                  grouped(static_cast<std::int64_t>(result.tokens_per_second)), result.seconds));
}

}  // namespace

void add_eval(CLI::App& program, int& status) {
  auto command = std::make_shared<EvalCommand>();
  CLI::App& app = add_command(program, "eval", "Compute the perplexity of a model on a text");
  add_footer(app, "",
             {"sluice eval model other.txt", "sluice eval 'model*0.7+ngram.arpa*0.3' other.txt"});
  add_model_flags(app, command->model);
  add_text_flags(app, "FILE", command->text);
  add_text_condition(app, command->text);
  add_text_documents(app, command->text);
  add_text(app, "--label", command->model.condition,
           "of a model that sluice train --condition made: the label of all of the text", "LABEL");
  add_flag(app, "--json", command->json, "print one JSON object instead (docs/formats.md)");
  add_text(app, "--conv", command->conv,
           "how convolutions over time compute: direct, fast (Toom-Cook, kernel widths 2 to 7), or "
           "auto: whichever is faster for the shape (default auto)",
           "NAME");
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
