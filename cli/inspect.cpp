// sluice inspect: what happens inside a model on a text.

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "commands.hpp"
#include "evaluate_text.hpp"
#include "model_argument.hpp"
#include "options.hpp"
#include "output.hpp"
#include "ranks.hpp"
#include "run_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/lab/inspect/inspect.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/lab/report/report.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/inputs.hpp"
#include "stop_signals.hpp"
#include "text_flags.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

struct InspectCommand {
  std::string model;
  std::string text;
  std::string out;
  std::int64_t tokens = InspectOptions().tokens;
  TextFlags documents = {};  // and nothing else

  /// The exit status.
  int run() const;

 private:
  void check_out() const;
};

/// An earlier inspection may be replaced, nothing else.
void InspectCommand::check_out() const {
  if (!fs::is_directory(out) || fs::exists(LabDirectory(out).inspection_file()) ||
      holds_unfinished_inspection(out)) {
    return;
  }
  throw Error(
      fmt::format("--out '{}' exists already and holds no inspection to replace; give another "
                  "directory",
                  out));
}

int InspectCommand::run() const {
  if (tokens < 1) throw UsageError(fmt::format("--tokens: expected at least 1, got {}", tokens));
  check_out();
  share_standard_input(text == "-");
  divide_cores();
  PieceWork& work = shared_work();
  const StopSignals signals;
  const LoadedModel loaded = load_model(model);
  check_same_model(model);
  ProgressDisplay display;
  const Progress shown = until_interrupted(display);
  const Progress progress = [&](double fraction, std::string_view what) {
    if (work.leads()) {
      shown(fraction, what);
    } else if (const int signal = StopSignals::received()) {
      throw Interrupted{signal};
    }
  };
  try {
    // Nothing of the text or its tokens has a name on the disk.
    const TextInputs inputs({text}, {.in_background = true}, {}, progress);
    const TokenShards corpus =
        tokenize_uncached(inputs.sources(), *loaded.tokenizer, progress,
                          documents.document_rule({&loaded.model->config()}, *loaded.tokenizer));
    check_same_text(corpus);
    std::optional<RunDirectory> directory;
    if (work.leads()) directory.emplace(out, Existing::resume);
    InspectOptions options;
    options.tokens = tokens;
    options.file = text;
    options.progress = progress;
    options.work = &work;
    const Inspection inspection = inspect_model(*loaded.model, *loaded.tokenizer, corpus, options);
    if (!work.leads()) return 0;
    write_inspection(out, inspection);
    directory->keep();
    display.clear();
    write_report(out);
    print(fmt::format("{}\ninspection: {}\nreport: {}\n", format_inspection(inspection),
                      LabDirectory(out).inspection_file().string(),
                      LabDirectory(out).report_file().string()));
    return 0;
  } catch (const Interrupted& interrupted) {
    display.clear();
    if (work.leads()) tell("sluice inspect: interrupted; nothing was written\n");
    return fail_ranks(128 + interrupted.signal);
  }
}

}  // namespace

void add_inspect(CLI::App& program, int& status) {
  auto command = std::make_shared<InspectCommand>();
  CLI::App& app = add_command(program, "inspect", "Look inside a model while it reads a text");
  add_footer(app,
             "For each layer: how open its gates are and how often they are saturated, the values "
             "it gives, channels that are never active, the gradient and the half of the unit it "
             "comes through; then how far back predictions reach, by gradients and by context, and "
             "how surprising each token is.",
             {"sluice inspect model --text text.txt --out inside"});
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  add_text(app, "--text", command->text, "UTF-8 text, or a directory of texts", "FILE").required();
  add_text(app, "--out", command->out,
           fmt::format("directory to write to: {} and its tables as CSV (docs/formats.md)",
                       LabDirectory::inspection_name),
           "DIR")
      .required();
  add_text_documents(app, command->documents);
  add_integer(app, "--tokens", command->tokens,
              "tokens to look at, from the text's beginning; measures over time take positions "
              "spread over all of the text, fewer the fewer tokens (default 20,000)");
  add_threads(app);
  when_chosen(app, [command, &status] { status = command->run(); });
}

}  // namespace sluice::cli
