// sluice quantize: a trained model prepared for use, smaller and faster.

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "commands.hpp"
#include "evaluate_text.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/inference/runtime_model.hpp"

namespace sluice::cli {

namespace fs = std::filesystem;

namespace {

struct QuantizeCommand {
  std::string model;
  std::string out;
  std::string to = "int8";
  std::string check;
  bool json = false;

  void run() const;
};

void QuantizeCommand::run() const {
  const auto precision = parse_enum<WeightPrecision>(to);
  if (!check.empty() && (check == "-" || fs::is_fifo(check) || fs::is_character_file(check))) {
    throw UsageError(fmt::format(
        "--check: the text is read before and after, expected a file, got '{}'; save it in one",
        check));
  }
  const ModelDirectory source(model);
  TextFlags text;
  text.files = {check};
  const auto measured = [&](const std::string& directory) {
    return check.empty() ? EvalResult{}
                         : evaluate_text(load_predictor(directory, {}), text, "quantize").result;
  };
  const EvalResult before = measured(model);  // before anything is written: the text may be bad
  write_runtime_model(out, source, precision);
  const RuntimeInfo info = runtime_info(ModelDirectory(out));
  const std::int64_t parameters = source.model_config().parameter_count();
  Value::Object line = {
      {"to", name_of(precision)}, {"bytes", info.bytes}, {"parameters", parameters}};
  std::string table = fmt::format("weights             {:.1f} MB of {}, {:.1f} MB of f32\n",
                                  static_cast<double>(info.bytes) * 1e-6, name_of(precision),
                                  static_cast<double>(parameters) * 4e-6);
  if (!check.empty()) {
    const EvalResult after = measured(out);
    const double lost = 100 * (after.perplexity / before.perplexity - 1);
    table += fmt::format(
        "perplexity before   {:.4f}\n"
        "perplexity after    {:.4f} ({:+.3f}%)\n",
        before.perplexity, after.perplexity, lost);
    line.emplace_back("perplexity_before", before.perplexity);
    line.emplace_back("perplexity_after", after.perplexity);
  }
  if (json) return print_json(std::move(line));
  print(table);
}

}  // namespace

void add_quantize(CLI::App& program, int& status) {
  auto command = std::make_shared<QuantizeCommand>();
  CLI::App& app =
      add_command(program, "quantize", "Prepare a model for use: smaller, faster, mapped");
  add_footer(app, "", {"sluice quantize model --out small --check other.txt"});
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  add_text(app, "--out", command->out,
           "directory to write to; commands that use a model take it as a MODEL", "DIR")
      .required();
  add_text(app, "--to", command->to,
           "how weights are kept: int8, or bf16, which needs AVX-512 (default int8)", "NAME");
  add_text(app, "--check", command->check, "print the perplexity on this text before and after",
           "FILE");
  add_flag(app, "--json", command->json, "print one JSON object instead (docs/formats.md)");
  add_threads(app);
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
