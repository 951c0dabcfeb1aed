// sluice generate: text from a model, printed as it is made, or many texts at once.

#include <fmt/format.h>

#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "input_lines.hpp"
#include "model_argument.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/generate.hpp"
#include "sluice/inference/text_builder.hpp"
#include "sluice/text/inputs.hpp"
#include "sluice/training/config.hpp"

namespace sluice::cli {
namespace {

/// The token of that name.
TokenId token_named(const Tokenizer& tokenizer, const std::string& flag, const std::string& name) {
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.token(id) == name) return id;
  }
  throw UsageError(fmt::format(
      "{}: the model's vocabulary has no token '{}'; `sluice vocabulary MODEL` lists its tokens",
      flag, name));
}

struct GenerateCommand {
  std::string model, prompt, prompts, condition, precision = "f32";
  std::vector<std::string> stops, bans, biases;
  GenerateManyOptions options;
  std::int64_t seed = 1;
  bool json = false;
  bool failed = false;

  void run();

 private:
  void read_rules(const Tokenizer& tokenizer);
  void stream(const LoadedFrozenModel& loaded) const;
  void make_many(const LoadedFrozenModel& loaded);
  void print_made(const Tokenizer& tokenizer, const std::string& of, const Generation& made);
  std::string as_json(const Tokenizer& tokenizer, const std::string& of,
                      const Generation& made) const;
};

void GenerateCommand::read_rules(const Tokenizer& tokenizer) {
  for (const std::string& name : bans) {
    options.each.rules.bias.push_back(
        {token_named(tokenizer, "--ban", name), -std::numeric_limits<double>::infinity()});
  }
  for (const std::string& bias : biases) {
    const std::size_t at = bias.rfind('=');
    if (at == std::string::npos || at == 0) {
      throw UsageError(fmt::format("--bias: expected TOKEN=X, got '{}'", bias));
    }
    options.each.rules.bias.push_back({token_named(tokenizer, "--bias", bias.substr(0, at)),
                                       parse_number("--bias", bias.substr(at + 1))});
  }
}

void GenerateCommand::run() {
  if (seed < 0) throw UsageError(fmt::format("--seed: expected 0 or more, got {}", seed));
  if (options.each.tokens < 0) {
    throw UsageError(fmt::format("--tokens: expected 0 or more, got {}", options.each.tokens));
  }
  options.each.sampling.seed = static_cast<std::uint64_t>(seed);
  for (const std::string& stop : stops) {
    options.each.stops.push_back(with_escapes("--stop", stop));
  }
  options.validate(std::numeric_limits<std::int64_t>::max());
  LoadedFrozenModel loaded =
      load_frozen_model(model, {.precision = parse_enum<WeightPrecision>(precision)});
  loaded.model = conditioned(loaded.model, condition);
  read_rules(*loaded.tokenizer);
  if (prompts.empty() && options.samples == 1 && options.beam == 0 && !json) {
    stream(loaded);
  } else {
    make_many(loaded);
  }
}

void GenerateCommand::stream(const LoadedFrozenModel& loaded) const {
  loaded.tokenizer->check_text(prompt, "--prompt");  // before any of it is printed
  print(prompt);
  flush_output();
  bool ends_line = prompt.empty() || prompt.ends_with('\n');
  const GenerateResult result =
      generate(*loaded.model, *loaded.tokenizer, prompt, options.each, [&](std::string_view text) {
        print(text);
        flush_output();
        if (!text.empty()) ends_line = text.ends_with('\n');
        return true;
      });
  if (!ends_line) print("\n");
  flush_output();
  if (!result.unknown_words.empty()) {
    tell("sluice generate: " +
         presentable(fmt::format("not in the vocabulary and read as <unk>: {}",
                                 fmt::join(result.unknown_words, " "))) +
         "\n");
  }
}

void GenerateCommand::make_many(const LoadedFrozenModel& loaded) {
  std::vector<std::string> lines;
  if (prompts.empty()) {
    lines.push_back(prompt);
  } else {
    const auto in = open_text(prompts);
    for (std::string line; std::getline(*in, line);) {
      if (line.ends_with('\r')) line.pop_back();
      lines.push_back(std::move(line));
    }
  }
  generate_many(loaded.model, *loaded.tokenizer, lines, options, [&](const Generation& made) {
    print_made(*loaded.tokenizer, lines[made.prompt], made);
  });
}

void GenerateCommand::print_made(const Tokenizer& tokenizer, const std::string& of,
                                 const Generation& made) {
  if (!made.error.empty()) {
    failed = true;
    tell(fmt::format("sluice generate: {}\n", made.error));
    if (!json) return;
  } else if (made.sample == 0 && !made.unknown_words.empty()) {
    tell(presentable(
             fmt::format("sluice generate: prompt {}: not in the vocabulary and read as <unk>: {}",
                         made.prompt + 1, fmt::join(made.unknown_words, " "))) +
         "\n");
  }
  if (json) {
    print(as_json(tokenizer, of, made) + "\n");
  } else {
    print((options.echo ? of : "") + made.text + "\n");
  }
  flush_output();
}

std::string GenerateCommand::as_json(const Tokenizer& tokenizer, const std::string& of,
                                     const Generation& made) const {
  Value::Object line = {{"prompt", made.prompt + 1}, {"sample", made.sample + 1}};
  if (options.echo) line.emplace_back("prompt_text", of);
  if (!made.error.empty()) {
    line.emplace_back("error", made.error);
    return json_text(std::move(line), -1, JsonNames::as_given);
  }
  const auto tokens = [&](const std::vector<EngineToken>& all) {
    Value::List list;
    for (const EngineToken& token : all) {
      list.emplace_back(Value::Object{{"text", tokenizer.token(token.id)},
                                      {"log_probability", token.log_probability}});
    }
    return list;
  };
  line.emplace_back("text", made.text);
  line.emplace_back("reason", made.reason == StopReason::stop_text ? "stop" : "length");
  if (!made.stop.empty()) line.emplace_back("stop", made.stop);
  line.emplace_back("log_probability", made.log_probability);
  if (options.beam > 0) line.emplace_back("score", made.score);
  line.emplace_back("tokens", tokens(made.tokens));
  if (options.echo) line.emplace_back("prompt_tokens", tokens(made.prompt_tokens));
  return json_text(std::move(line), -1, JsonNames::as_given);
}

void add_sampling_flags(CLI::App& app, GenerateCommand& command) {
  const std::string group = "Choosing tokens";
  GenerateOptions& each = command.options.each;
  add_number(app, "--temperature", each.sampling.temperature,
             "below 1 sharpens the distribution, above 1 flattens it; 0 always takes the most "
             "probable token (default 1)")
      .group(group);
  add_integer(app, "--top-k", each.sampling.top_k,
              "draw from the N most probable tokens only; 0: from all (default 0)")
      .group(group);
  add_number(app, "--top-p", each.sampling.top_p,
             "draw from the fewest tokens that have X of the probability, 0 < X <= 1 (default 1)")
      .group(group);
  add_number(app, "--min-p", each.sampling.min_p,
             "draw from tokens at least X times as probable as the most probable, 0 <= X <= 1 "
             "(default 0)")
      .group(group);
  add_number(app, "--typical", each.sampling.typical,
             "draw from the tokens whose surprisal is nearest to the entropy, the fewest that have "
             "X of the probability, 0 < X <= 1 (default 1)")
      .group(group);
  add_integer(app, "--seed", command.seed,
              "the same seed, model and prompt give the same text; the i-th sample takes the i-th "
              "seed from here (default 1)")
      .group(group);
  add_number(app, "--repetition-penalty", each.rules.repetition_penalty,
             "multiply the log-probabilities of tokens that came before; above 1 they become less "
             "probable (default 1)")
      .group(group);
  add_number(app, "--presence-penalty", each.rules.presence_penalty,
             "subtract from the log-probabilities of tokens that were made (default 0)")
      .group(group);
  add_number(app, "--frequency-penalty", each.rules.frequency_penalty,
             "the same for each time they were made (default 0)")
      .group(group);
  add_integer(app, "--no-repeat-ngram", each.rules.no_repeat_ngram,
              "never make a run of N tokens that came before; 0: do (default 0)")
      .group(group);
  add_each(app, "--ban", command.bans, "never make this token; may be given several times", "TOKEN")
      .group(group);
  add_each(app, "--bias", command.biases,
           "add X to this token's log-probability; may be given several times", "TOKEN=X")
      .group(group);
  add_integer(app, "--beam", command.options.beam,
              "search for the most probable texts, keeping N side by side, instead of drawing; "
              "0: draw (default 0)")
      .group(group);
  add_number(app, "--length-penalty", command.options.length_penalty,
             "of --beam: texts are compared by their log-probability over the X-th power of their "
             "length in tokens; 0: by their probability (default 1)")
      .group(group);
}

}  // namespace

void add_generate(CLI::App& program, int& status) {
  auto command = std::make_shared<GenerateCommand>();
  CLI::App& app = add_command(program, "generate", "Continue a text, printing it as it is made");
  add_footer(app,
             "One text is printed after its prompt as it is made. Of several (--prompts, "
             "--samples, --beam, --json) each is printed when it is complete, followed by a line "
             "end, and the prompt only with --echo; --stop '\\n' keeps each on one line.",
             {"sluice generate model --prompt 'Once upon a time' --temperature 0.8",
              "sluice generate model --prompts lines.txt --samples 3 --stop '\\n'"});
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  const Argument prompt =
      add_text(app, "--prompt", command->prompt,
               "text to continue, printed first (default: none, the start of a line)", "TEXT");
  add_text(app, "--prompts", command->prompts,
           "texts to continue, one a line, side by side; -: standard input", "FILE")
      .excludes({prompt});
  add_integer(app, "--samples", command->options.samples,
              "texts of each prompt; of --beam the best (default 1)");
  add_integer(app, "--tokens", command->options.each.tokens,
              "tokens to generate at most (default 100)");
  add_each(
      app, "--stop", command->stops,
      "end before this text would appear; \\n, \\t and \\\\ are understood; may be given several "
      "times",
      "TEXT");
  add_flag(app, "--echo", command->options.echo,
           "print prompts, too; with --json their tokens' log-probabilities");
  add_flag(app, "--json", command->json,
           "print one JSON object per text: tokens, log-probabilities, why it ended "
           "(docs/formats.md)");
  add_condition_flag(app, command->condition);
  add_sampling_flags(app, *command);
  add_precision_flag(app, command->precision);
  add_integer(app, "--sessions", command->options.engine.sessions,
              "texts made side by side (default 32)");
  add_flag(app, "--deterministic", command->options.engine.deterministic,
           "each of several texts is bit for bit the same whatever the others are");
  add_threads(app);
  when_chosen(app, [command, &status] {
    command->run();
    status = command->failed ? 1 : 0;
  });
}

}  // namespace sluice::cli
