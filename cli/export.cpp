// sluice export: a trained model for the programs of others.

#include "sluice/models/export.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "run_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/models/word_vectors.hpp"

namespace sluice::cli {
namespace {

struct ExportCommand {
  std::string model, out;
  std::string to = "onnx", layout = "plain", precision = "f32", weights = "best";
  bool overwrite = false;

  void run() const;
};

/// The embedding as a text of vectors.
std::vector<std::string> export_vectors(const LoadedModel& model, const ModelDirectory& out) {
  constexpr const char* name = "vectors.txt";
  write_word_vectors(out.path() / name, *model.tokenizer, *model.model);
  return {name};
}

/// Which of two names `text` is. Throws UsageError naming both.
bool is_second(const std::string& flag, const std::string& text, const char* first,
               const char* second) {
  if (text == first || text == second) return text == second;
  throw UsageError(fmt::format("{}: expected {} or {}, got '{}'", flag, first, second, text));
}

void ExportCommand::run() const {
  const bool to_onnx = to == "onnx";
  if (!to_onnx && to != "torch" && to != "vectors") {
    throw UsageError(fmt::format("--to: expected onnx, torch or vectors, got '{}'", to));
  }
  const OnnxOptions options{.layout = parse_enum<OnnxLayout>(layout),
                            .int8 = is_second("--precision", precision, "f32", "int8")};
  if (!to_onnx && (options.int8 || options.layout != OnnxLayout::plain)) {
    throw UsageError("--layout and --precision are of --to onnx; what others get is float32");
  }
  const Weights which =
      is_second("--weights", weights, "best", "last") ? Weights::last : Weights::best;
  const LoadedModel loaded = ModelDirectory(model).load(which);
  RunDirectory directory(out, overwrite ? Existing::overwrite : Existing::refuse);
  const std::vector<std::string> files = to_onnx ? export_onnx(loaded, options, directory.path())
                                         : to == "torch"
                                             ? export_torch(loaded, directory.path())
                                             : export_vectors(loaded, directory.files());
  directory.finish();
  print(fmt::format("{} parameters of {} as {}, for {}\nsaved in {}: {}\n",
                    grouped(loaded.model->config().parameter_count()),
                    loaded.model->config().summary(), precision, to, directory.path().string(),
                    fmt::join(files, ", ")));
}

}  // namespace

void add_export(CLI::App& program, int& status) {
  auto command = std::make_shared<ExportCommand>();
  CLI::App& app = add_command(program, "export", "Export a model to ONNX, PyTorch or word vectors");
  add_footer(app, "docs/export.md says what the files take and give.",
             {"sluice export model --to onnx --out onnx"});
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  add_text(app, "--out", command->out, "directory to write to", "DIR").required();
  add_text(
      app, "--to", command->to,
      "onnx: graphs of opset 13; torch: safetensors under PyTorch's names and a module that loads "
      "them; vectors: those of words, as word2vec writes them (default onnx)",
      "NAME");
  add_text(app, "--layout", command->layout,
           "plain: whole.onnx and step.onnx; sherpa: lm.onnx and lm-streaming.onnx, as sherpa-onnx "
           "reads language models (default plain)",
           "NAME");
  add_text(app, "--precision", command->precision,
           "f32, or int8: weights of products and vectors of tokens in a quarter of the space "
           "(default f32)",
           "NAME");
  add_text(app, "--weights", command->weights,
           "best: of the best validation; last: of the end of the run (default best)", "NAME");
  add_flag(app, "--overwrite", command->overwrite, "replace what is in --out");
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
