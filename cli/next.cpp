// sluice next: what comes next in a text.

#include <fmt/format.h>

#include <algorithm>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "model_argument.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/line_format.hpp"
#include "sluice/inference/next.hpp"
#include "sluice/text/inputs.hpp"

namespace sluice::cli {
namespace {

struct NextCommand {
  ModelFlags model;
  std::string text;
  std::string candidates_file;
  NextOptions options;
  bool tokens = false;
  bool normalize = false;
  bool json = false;

  void run();

 private:
  void answer(const NextText& next, const std::string& about) const;
  std::vector<std::string> candidates;
};

void NextCommand::answer(const NextText& next, const std::string& about) const {
  NextWords found;
  if (!candidates_file.empty()) {
    found.words = next.candidates(about, candidates, normalize);
  } else if (tokens) {
    found.words = next.tokens(about, options.top);
  } else {
    found = next.words(about, options);
  }
  if (json) {
    Value::List list;
    for (const Continuation& one : found.words) {
      list.emplace_back(Value::Object{{"text", one.text}, {"probability", one.probability}});
    }
    Value::Object object = {{"next", std::move(list)}};
    if (!found.exact) object.emplace_back("exact", false);
    print_json(std::move(object));
  } else {
    for (const Continuation& one : found.words) {
      print(fmt::format("{:.6f}\t{}\n", one.probability,
                        candidates_file.empty() ? escaped_text(one.text) : one.text));
    }
    if (!found.exact) {
      tell("sluice next: the search ended early; there may be more probable words\n");
    }
  }
  flush_output();
}

void NextCommand::run() {
  options.validate();
  if (!candidates_file.empty() && (tokens || !options.starting_with.empty())) {
    throw UsageError("--candidates goes with neither --tokens nor --starting-with");
  }
  if (tokens && !options.starting_with.empty()) {
    throw UsageError("--starting-with is about words, --tokens asks for tokens");
  }
  if (normalize && candidates_file.empty()) {
    throw UsageError("--normalize is about --candidates");
  }
  if (!candidates_file.empty()) {
    const std::unique_ptr<std::istream> lines = open_text(candidates_file);
    for (std::string line; std::getline(*lines, line);) {
      if (line.ends_with('\r')) line.pop_back();
      candidates.push_back(line);
    }
    if (candidates.empty()) {
      throw Error(fmt::format("--candidates '{}' is empty, expected a continuation a line",
                              candidates_file));
    }
  }
  const LoadedPredictor loaded = model.load();
  const NextText next(loaded.predictor, *loaded.tokenizer);
  if (text != "-") return answer(next, text);
  const std::unique_ptr<std::istream> lines = open_text(text);
  for (std::string line; std::getline(*lines, line);) {
    answer(next, line);
    if (!json) print("\n");
    flush_output();
  }
}

}  // namespace

void add_next(CLI::App& program, int& status) {
  auto command = std::make_shared<NextCommand>();
  NextOptions& options = command->options;
  CLI::App& app = add_command(program, "next", "Predict the most probable next words");
  add_footer(app,
             "Prints probability and word, most probable first; \\n is the end of the line. The "
             "last word of the text counts as finished. A word's probability is that of its tokens "
             "and of its ending there.",
             {"sluice next model 'Once upon a' --starting-with t"});
  add_model_flags(app, command->model);
  add_condition_flag(app, command->model.condition);
  add_text(
      app, "TEXT", command->text,
      "what was before (default: nothing, the start of a line); -: each line of standard input, "
      "answered at once",
      "");
  add_integer(app, "--top", options.top, "as many at most (default 10)");
  add_text(app, "--starting-with", options.starting_with, "only words that begin with this",
           "PREFIX");
  add_flag(app, "--tokens", command->tokens,
           "tokens instead of words, after exactly the text as it is");
  add_text(app, "--candidates", command->candidates_file,
           "the probabilities of these continuations instead, one a line", "FILE");
  add_flag(app, "--normalize", command->normalize, "make those of the candidates sum to 1");
  add_flag(app, "--json", command->json,
           "print one JSON object: {\"next\":[{\"text\":..., \"probability\":...}, ...]}");
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
