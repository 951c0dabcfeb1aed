// sluice mix: the weights of a mixture of models, found on a text; sluice arpa: n-grams made ready.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "model_argument.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/inference/ngram.hpp"
#include "sluice/text/corpus.hpp"
#include "text_flags.hpp"

namespace sluice::cli {
namespace {

struct MixCommand {
  std::vector<std::string> models;
  std::string tune;
  TextFlags text = {};  // of which only the documents
  std::string precision = "f32";
  bool json = false;

  void run();
};

void MixCommand::run() {
  std::vector<ModelShare> shares;
  for (const std::string& model : models) shares.push_back({.path = model, .weight = {}});
  const std::vector<LoadedPredictor> loaded =
      load_predictors(shares, {.precision = parse_enum<WeightPrecision>(precision)});
  ProgressDisplay display;
  const Progress progress = [&](double fraction, std::string_view what) {
    display.update(fraction, what);
  };
  const Tokenizer& tokenizer = *loaded.front().tokenizer;
  text.files = {tune};
  const TextInputs inputs = text.open(tokenizer, progress);
  std::vector<const ModelConfig*> configs;
  for (const LoadedPredictor& model : loaded) {
    const auto own = model.configs();
    configs.insert(configs.end(), own.begin(), own.end());
  }
  const TokenShards corpus = tokenize_uncached(inputs.sources(), tokenizer, progress,
                                               text.document_rule(configs, tokenizer));
  std::vector<std::vector<double>> nll;
  std::vector<double> perplexities;
  for (const LoadedPredictor& model : loaded) {
    EvalOptions options;
    options.progress = [&](std::int64_t done, std::int64_t all) {
      display.update(
          static_cast<double>(done) / static_cast<double>(all),
          fmt::format("{}: {} of {} tokens", models[nll.size()], grouped(done), grouped(all)));
    };
    nll.push_back(token_nll(*model.predictor, corpus, options));
    double sum = 0;
    for (const double value : nll.back()) sum += value;
    perplexities.push_back(std::exp(sum / static_cast<double>(nll.back().size())));
  }
  const MixtureWeights found = tune_mixture(nll);
  display.clear();

  // Four digits, of which the last makes up for what rounding left.
  std::vector<std::string> parts;
  double left = 1;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const double rounded = i + 1 == models.size() ? left : std::round(found.weights[i] * 1e4) / 1e4;
    left -= rounded;
    parts.push_back(fmt::format("{}*{:.4f}", models[i], std::max(rounded, 0.0)));
  }
  const std::string mixture = fmt::format("{}", fmt::join(parts, "+"));
  if (json) {
    Value::Object object = {
        {"mixture", mixture}, {"perplexity", found.perplexity}, {"iterations", found.iterations}};
    Value::List list;
    for (std::size_t i = 0; i < models.size(); ++i) {
      list.emplace_back(Value::Object{
          {"model", models[i]}, {"weight", found.weights[i]}, {"perplexity", perplexities[i]}});
    }
    object.emplace_back("models", std::move(list));
    return print_json(std::move(object));
  }
  for (std::size_t i = 0; i < models.size(); ++i) {
    print(fmt::format("{:.4f}  perplexity {:10.3f}  {}\n", found.weights[i], perplexities[i],
                      models[i]));
  }
  print(fmt::format("        perplexity {:10.3f}  {}\n", found.perplexity, mixture));
}

struct ArpaCommand {
  std::string file;
  std::string out;

  void run() const;
};

void ArpaCommand::run() const {
  require_replaceable(out);
  ProgressDisplay display;
  const auto model = NgramModel::read_arpa(
      file, [&](double fraction, std::string_view what) { display.update(fraction, what); });
  model->save(out);
  display.clear();
  std::vector<std::string> counts;
  for (const std::int64_t count : model->counts()) counts.push_back(grouped(count));
  print(fmt::format("{} n-grams of 1 to {} words in {}\n", fmt::join(counts, " + "), model->order(),
                    out));
}

}  // namespace

void add_mix(CLI::App& program, int& status) {
  auto command = std::make_shared<MixCommand>();
  CLI::App& app = add_command(program, "mix", "Find the weights of a mixture that fit a text best");
  add_footer(
      app,
      "Prints each model's weight and its perplexity on the text, then the mixture in the form "
      "that eval, score, rescore and next take. Use a text that none of the models was trained on.",
      {"sluice mix --tune dev.txt model ngram.arpa"});
  add_texts(app, "MODEL", command->models,
            "directories that sluice train made, and n-grams (ARPA files, or what sluice arpa made "
            "of them), of one vocabulary",
            "")
      .required();
  add_text(app, "--tune", command->tune,
           "UTF-8 text, or a directory of texts; plain or compressed (gzip, bzip2, xz, zstd)",
           "PATH")
      .required();
  add_text_documents(app, command->text);
  add_flag(app, "--json", command->json, "print one JSON object instead (docs/formats.md)");
  add_precision_flag(app, command->precision);
  add_threads(app);
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

void add_arpa(CLI::App& program, int& status) {
  auto command = std::make_shared<ArpaCommand>();
  CLI::App& app =
      add_command(program, "arpa", "Convert an ARPA n-gram file into one that is mapped");
  add_footer(app,
             "Commands that take a model take ARPA files, too, but read and sort them each time; "
             "what this writes is mapped into memory and shared by processes.",
             {"sluice arpa lm.arpa --out lm.ngram"});
  add_text(app, "FILE", command->file,
           "ARPA file, plain or compressed (gzip, bzip2, xz, zstd); -: standard input", "")
      .required();
  add_text(app, "--out", command->out, "file to write", "FILE").required();
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
