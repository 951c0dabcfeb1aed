// sluice eval: the perplexity of a model on a text.

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "commands.hpp"
#include "evaluate_text.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/numbers.hpp"
#include "text_flags.hpp"

namespace sluice::cli {
namespace {

struct EvalCommand {
  std::string model;
  TextFlags text;
  std::string precision = "f32";
  std::string conv = "auto";
  bool json = false;

  void run() const;
};

void EvalCommand::run() const {
  const FreezeOptions freezing{.precision = parse_enum<WeightPrecision>(precision),
                               .conv = parse_enum<ConvPath>(conv)};
  const LoadedFrozenModel loaded = load_frozen_model(model, freezing);
  const EvalResult result = evaluate_text(loaded, text, "eval");

  if (json) {
    const nlohmann::ordered_json line = {
        {"perplexity", result.perplexity}, {"bits_per_character", result.bits_per_character},
        {"tokens", result.tokens},         {"oov", result.oov},
        {"vocabulary", result.vocabulary}, {"nll", result.nll},
        {"seconds", result.seconds},       {"tokens_per_second", result.tokens_per_second}};
    print(line.dump() + "\n");
    return;
  }
  print(fmt::format(
      "perplexity          {:.3f}\n"
      "bits per character  {:.4f}\n"
      "nats per token      {:.4f}\n"
      "tokens              {} ({} not in the vocabulary of {})\n"
      "speed               {} tokens/s ({:.2f} s)\n",
      result.perplexity, result.bits_per_character, result.nll / static_cast<double>(result.tokens),
      grouped(result.tokens), grouped(result.oov), grouped(result.vocabulary),
      grouped(static_cast<std::int64_t>(result.tokens_per_second)), result.seconds));
}

}  // namespace

void add_eval(CLI::App& program, int& status) {
  auto command = std::make_shared<EvalCommand>();
  CLI::App& app = add_command(program, "eval", "The perplexity of a model on a text");
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  add_text_flags(app, "FILE", command->text);
  add_flag(app, "--json", command->json, "print one JSON object instead (docs/formats.md)");
  add_text(
      app, "--precision", command->precision,
      "f32, bf16 (bfloat16 products with float32 sums) or int8 (8-bit weights); a runtime model "
      "has its own (default f32)",
      "NAME");
  add_text(app, "--conv", command->conv,
           "how convolutions over time compute: direct, fast (Toom-Cook, kernel widths 2 to 7), or "
           "auto: whichever is faster for the shape (default auto)",
           "NAME");
  add_threads(app);
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
