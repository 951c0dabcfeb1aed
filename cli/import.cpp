// sluice import: a model that another program trained.

#include "sluice/models/import.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "run_directory.hpp"
#include "sluice/base/numbers.hpp"

namespace sluice::cli {
namespace {

struct ImportCommand {
  std::string file, out;
  std::string dictionary, layers, config, map;
  bool overwrite = false;

  void run() const;
};

/// At most a few of them.
std::string some(const std::vector<std::string>& names) {
  constexpr std::size_t most = 8;
  const std::size_t n = std::min(names.size(), most);
  return fmt::format("{}{}",
                     fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(n), ", "),
                     names.size() > n ? fmt::format(", ... ({} in all)", names.size()) : "");
}

void ImportCommand::run() const {
  RunDirectory directory(out, overwrite ? Existing::overwrite : Existing::refuse);
  const ImportReport report =
      import_model(file, {.dictionary = dictionary, .layers = layers, .config = config, .map = map},
                   directory.path());
  directory.keep();
  std::string text = fmt::format("{}: {}, {} parameters, {} softmax over {} tokens\n", report.kind,
                                 report.config.summary(), grouped(report.config.parameter_count()),
                                 report.config.softmax, grouped(report.config.vocabulary));
  if (!report.unused.empty()) text += fmt::format("not used: {}\n", some(report.unused));
  if (!report.inert.empty()) {
    text += fmt::format("named in the file, neither made nor called: {}\n", some(report.inert));
  }
  print(text + fmt::format("imported from {} tensors; saved in {}\n", report.tensors,
                           directory.path().string()));
}

}  // namespace

void add_import(CLI::App& program, int& status) {
  auto command = std::make_shared<ImportCommand>();
  CLI::App& app = add_command(program, "import", "Import a model that another program trained");
  add_footer(
      app,
      "Knows fairseq's fconv_lm, word language models of torch.nn.RNN, LSTM and GRU, and any of "
      "Sluice's own models under other names (docs/import.md). Nothing in the file is run.",
      {"sluice import lm.pt --dictionary dict.txt --out model"});
  add_text(app, "FILE", command->file, "what torch.save() wrote, or safetensors", "").required();
  add_text(app, "--dictionary", command->dictionary,
           "the model's vocabulary: fairseq's dict.txt, a list of words in the order of their "
           "numbers, or a SentencePiece model",
           "FILE");
  add_text(app, "--out", command->out, "directory to write the model to", "MODEL").required();
  add_text(app, "--layers", command->layers,
           "of a fairseq model without its arguments: what was --decoder-layers", "SPEC");
  add_text(app, "--config", command->config,
           "for weights under other names: JSON with the model's configuration under \"model\"",
           "FILE.json");
  add_text(app, "--map", command->map,
           "lines of two names: a tensor of Sluice's, and what the file calls it", "FILE");
  add_flag(app, "--overwrite", command->overwrite, "replace what is in --out");
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
