// sluice score: one line in, one line out.

#include <fmt/format.h>

#include <istream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "input_lines.hpp"
#include "model_argument.hpp"
#include "options.hpp"
#include "output.hpp"
#include "ranks.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/line_format.hpp"
#include "sluice/inference/score.hpp"
#include "sluice/text/inputs.hpp"
#include "text_flags.hpp"

namespace sluice::cli {
namespace {

struct ScoreCommand {
  ModelFlags model;
  std::vector<std::string> files;
  std::string format = "plain";
  std::string oov = "count";
  bool no_bos = false;
  bool no_eos = false;
  bool no_header = false;
  ScoreOptions options;
  LineFormatOptions lines;
  TextFlags texts;  // of which only the documents

  int run();

 private:
  void read_flags();
  /// Scores the lines of a file; returns how many could not be.
  std::int64_t score(const std::string& file, LineScorer& scorer, FaultyLines& faults,
                     PieceWork& work);

  std::string columns_;  // of the table so far
};

void ScoreCommand::read_flags() {
  options.bos = !no_bos;
  options.eos = !no_eos;
  options.context = with_escapes("--context", options.context);
  lines.format = parse_enum<LineFormat>(format);
  lines.header = !no_header;
  const bool objects = lines.json || lines.format == LineFormat::jsonl;
  if (options.words && options.pieces && !objects) {
    throw UsageError("--words and --tokens: a table has room for one of them; --json has for both");
  }
  if ((options.words || options.pieces) && lines.format == LineFormat::moses && !lines.json) {
    throw UsageError("--format moses has no room for words and tokens; --json has");
  }
  if (options.running && !lines.context_column.empty()) {
    throw UsageError("--running: a line's context is the text before it, not --context-column");
  }
  if (!options.running && !(texts.documents.empty() && texts.document_mark.empty())) {
    throw UsageError("--documents: each line is read by itself unless --running says otherwise");
  }
  constexpr std::string_view penalty = "penalty=";
  if (oov.starts_with(penalty)) {
    options.oov = OovPolicy::penalty;
    options.oov_penalty = parse_number("--oov penalty", oov.substr(penalty.size()));
  } else if (oov == "count" || oov == "exclude") {
    options.oov = parse_enum<OovPolicy>(oov);
  } else {
    throw UsageError(
        fmt::format("--oov: expected count, exclude or penalty=X, got {}", in_quotes(oov)));
  }
}

int ScoreCommand::run() {
  read_flags();
  static_cast<void>(make_line_codec(lines));  // says what is wrong with the flags
  if (files.empty()) files = {"-"};
  for (const std::string& file : files) require_readable(file);
  divide_cores();
  OwnWork alone;
  PieceWork& work = options.running ? alone : shared_work();
  if (options.running && !ranks().alone()) {
    if (!speaks()) return 0;
    tell(
        "sluice score: one of the processes reads all of the lines: each continues those before\n");
  }
  const LoadedPredictor loaded = model.load();
  if (!options.running) check_same_model(model.model);
  if (options.running) options.documents = texts.document_rule(loaded.configs(), *loaded.tokenizer);
  LineScorer scorer(loaded.predictor, *loaded.tokenizer, options);
  FaultyLines faults("score");
  std::int64_t failed = 0;
  for (const std::string& file : files) failed += score(file, scorer, faults, work);
  faults.finish();
  return failed == 0 ? 0 : 1;
}

std::int64_t ScoreCommand::score(const std::string& file, LineScorer& scorer, FaultyLines& faults,
                                 PieceWork& work) {
  const std::unique_ptr<std::istream> input = leading_text(file);
  // What the columns are is in each file, and how the table begins.
  const std::unique_ptr<LineCodec> codec = make_line_codec(lines);
  bool begins = codec->has_header() && !lines.json;
  const auto write = [&](const std::string& line) {
    if (std::exchange(begins, false) && std::exchange(columns_, line) == line) return;
    print(line + "\n");
  };
  const auto tell_fault = [&](const std::string& fault) {
    faults.tell(files.size() == 1 ? fault : file + ": " + fault);
  };
  const std::int64_t failed = score_lines_of(
      *input, scorer, *codec, {.line = write, .fault = tell_fault, .flush = flush_output}, work);
  scorer.end_file();
  return failed;
}

}  // namespace

void add_score(CLI::App& program, int& status) {
  auto command = std::make_shared<ScoreCommand>();
  ScoreOptions& options = command->options;
  CLI::App& app = add_command(program, "score", "Compute the log-probability of each line");
  add_footer(app,
             "Prints a line for each line, which is read on its own: log-probability (nats), "
             "tokens (the end of the line included), tokens not in the vocabulary, perplexity; "
             "separated by tabs. A line that cannot be scored gets nan, a message and exit status "
             "1; the others are scored all the same.",
             {"sluice score model lines.txt",
              "sluice score model lines.jsonl --format jsonl --column text"});
  add_model_flags(app, command->model);
  add_condition_flag(app, command->model.condition);
  add_texts(app, "FILE", command->files,
            "UTF-8 texts, plain or compressed (gzip, bzip2, xz, zstd), scored one after another; - "
            "or nothing: standard input",
            "");
  add_text(app, "--format", command->format,
           "what a line is: plain (a text), tsv (columns named by the first line), kaldi "
           "('UTTERANCE text'; prints 'UTTERANCE cost'), moses ('id ||| text ||| features'; adds "
           "a feature), jsonl (an object; gets fields) (default plain)",
           "NAME");
  add_text(app, "--column", command->lines.text_column,
           "column of tsv or field of jsonl that holds the text (default text)", "NAME");
  add_text(app, "--context-column", command->lines.context_column,
           "column or field of what the text continues", "NAME");
  add_flag(app, "--no-header", command->no_header,
           "tsv has no line of names; columns are numbers (default then: the first)");
  add_text(app, "--feature", command->lines.feature,
           "name of the feature added to moses lists (default Sluice)", "NAME");
  add_text(app, "--context", options.context,
           "text that each line continues, as it is but for \\n and \\t: end it with a space or "
           "\\n where lines begin a new word or line",
           "TEXT");
  add_flag(app, "--running", options.running,
           "the lines are one text: each continues those before");
  add_text_documents(app, command->texts);
  add_flag(app, "--no-bos", command->no_bos,
           "do not begin with the end of a line before; without a context, the first token is then "
           "read but not scored");
  add_flag(app, "--no-eos", command->no_eos, "do not score the end of the line");
  add_text(app, "--oov", command->oov,
           "tokens not in the vocabulary: count as <unk>, exclude from sum and number, or "
           "penalty=X: as <unk>, less X nats each (default count)",
           "HOW");
  add_flag(app, "--words", options.words,
           "add each word and its log-probability (nats), that of the space before it included; "
           "\\s, \\t, \\n, \\r and \\\\ stand for what would break the line");
  add_flag(app, "--tokens", options.pieces, "add each token and its log-probability instead");
  add_flag(app, "--json", command->lines.json, "print one JSON object per line (docs/formats.md)");
  add_flag(app, "--deterministic", options.deterministic,
           "the same bits whatever other lines there are; slower");
  when_chosen(app, [command, &status] { status = command->run(); });
}

}  // namespace sluice::cli
