// sluice classify: the label of each line, by a model that is conditional on labels.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <istream>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "commands.hpp"
#include "model_argument.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/inference/calibration.hpp"
#include "sluice/inference/classify.hpp"
#include "sluice/lab/classify/reliability_plot.hpp"
#include "sluice/lab/units/gnuplot.hpp"
#include "sluice/text/inputs.hpp"
#include "sluice/text/labels.hpp"

namespace sluice::cli {
namespace {

/// Lines that are scored together.
constexpr std::size_t kBlock = 1024;

struct ClassifyCommand {
  std::string model, file = "-", precision = "f32", condition, field, plot;
  std::vector<std::string> priors;
  // Not given: that of the model's directory.
  double temperature = std::numeric_limits<double>::quiet_NaN();
  bool all = false, json = false, calibrate = false;

  void run();

 private:
  void check_flags() const;
  void read_prior(const std::vector<std::string>& labels);
  void classify_lines(const Classifier& classifier) const;
  void print_line(const std::vector<std::string>& labels,
                  const std::vector<double>& probabilities) const;
  std::vector<LabelledLine> labelled_lines(const Classifier& classifier) const;
  void judge(const Classifier& classifier);
  void print_report(const ClassificationReport& report) const;

  Posterior posterior_;
};

void ClassifyCommand::check_flags() const {
  if (!condition.empty()) return;
  if (calibrate || !plot.empty() || !field.empty()) {
    throw UsageError(
        "--calibrate, --plot and --field are about lines whose labels are known; say which column "
        "or field they are in (--condition)");
  }
}

void ClassifyCommand::read_prior(const std::vector<std::string>& labels) {
  if (priors.empty()) return;
  posterior_.prior.assign(labels.size(), 1);
  for (const std::string& prior : priors) {
    const std::size_t at = prior.rfind('=');
    if (at == std::string::npos) {
      throw UsageError(fmt::format("--prior: expected LABEL=X, got {}", in_quotes(prior)));
    }
    const auto label = std::find(labels.begin(), labels.end(), prior.substr(0, at));
    if (label == labels.end()) {
      throw UsageError(fmt::format("--prior: the model has no label {}; {}",
                                   in_quotes(prior.substr(0, at)),
                                   suggestion(prior.substr(0, at), labels)));
    }
    posterior_.prior[static_cast<std::size_t>(label - labels.begin())] =
        parse_number("--prior", prior.substr(at + 1));
  }
}

void ClassifyCommand::print_line(const std::vector<std::string>& labels,
                                 const std::vector<double>& probabilities) const {
  std::vector<std::size_t> order(labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return probabilities[a] > probabilities[b];
  });
  if (json) {
    Value::Object line = {{"label", labels[order.front()]},
                          {"probability", probabilities[order.front()]}};
    if (all) {
      Value::Object each;
      for (const std::size_t i : order) each.emplace_back(labels[i], probabilities[i]);
      line.emplace_back("labels", std::move(each));
    }
    print_json(std::move(line));
    return;
  }
  order.resize(all ? order.size() : 1);
  std::string line;
  for (const std::size_t i : order) {
    line += fmt::format("{}{}\t{:.4f}", line.empty() ? "" : "\t", labels[i], probabilities[i]);
  }
  print(line + "\n");
}

void ClassifyCommand::classify_lines(const Classifier& classifier) const {
  const std::unique_ptr<std::istream> in = open_text(file);
  std::vector<std::string> lines;
  std::int64_t first = 1;
  const auto answer = [&] {
    for (const std::vector<double>& logs : classifier.log_likelihoods(lines, first)) {
      print_line(classifier.labels(), posterior_.of(logs));
    }
    flush_output();
    first += static_cast<std::int64_t>(lines.size());
    lines.clear();
  };
  for (std::string line; std::getline(*in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(line);
    // Who types line after line is answered at once.
    if (lines.size() == kBlock || in->rdbuf()->in_avail() <= 0) answer();
  }
  answer();
}

std::vector<LabelledLine> ClassifyCommand::labelled_lines(const Classifier& classifier) const {
  const TextInputs inputs({file}, {.field = field, .condition = condition}, {});
  const std::vector<std::string>& known = classifier.labels();
  std::vector<LabelledLine> found;
  std::vector<std::string> lines;
  std::vector<std::size_t> labels;
  std::int64_t read = 0, unknown = 0;
  ProgressDisplay display;
  const auto score = [&] {
    const auto logs =
        classifier.log_likelihoods(lines, read - static_cast<std::int64_t>(lines.size()) + 1);
    for (std::size_t i = 0; i < lines.size(); ++i) found.push_back({logs[i], labels[i]});
    lines.clear();
    labels.clear();
  };
  for (const TextSource& source : inputs.sources()) {
    const TextFile text(source);
    std::uint64_t begin = 0;
    for (const LineLabels::Line& line : source.labels->lines) {
      const std::string& name = source.labels->names[line.name];
      const auto label = std::find(known.begin(), known.end(), name);
      ++read;
      if (label == known.end()) {
        ++unknown;
      } else {
        lines.push_back(text.read(begin, line.end - begin - 1));
        labels.push_back(static_cast<std::size_t>(label - known.begin()));
      }
      begin = line.end;
      if (lines.size() == kBlock) {
        score();
        display.update(static_cast<double>(begin) / static_cast<double>(text.size()),
                       source.title());
      }
    }
  }
  score();
  display.clear();
  if (unknown > 0) {
    tell(
        fmt::format("sluice classify: {} of {} lines have a label that the model lacks, or none, "
                    "and are left out\n",
                    unknown, read));
  }
  return found;
}

void ClassifyCommand::print_report(const ClassificationReport& report) const {
  if (!json) return print(format_classification(report));
  Value::List labels, bins;
  for (const auto& label : report.labels) {
    labels.emplace_back(Value::Object{{"label", label.name},
                                      {"lines", label.lines},
                                      {"right", label.right},
                                      {"taken", label.taken}});
  }
  for (const ReliabilityBin& bin : report.reliability) {
    bins.emplace_back(Value::Object{{"low", bin.low},
                                    {"high", bin.high},
                                    {"lines", bin.lines},
                                    {"confidence", bin.confidence},
                                    {"accuracy", bin.accuracy}});
  }
  print_json(Value::Object{{"lines", report.lines},
                           {"accuracy", report.accuracy},
                           {"accuracy_low", report.accuracy_low},
                           {"accuracy_high", report.accuracy_high},
                           {"log_loss", report.log_loss},
                           {"calibration_error", report.calibration_error},
                           {"temperature", report.temperature},
                           {"labels", std::move(labels)},
                           {"reliability", std::move(bins)}});
}

void ClassifyCommand::judge(const Classifier& classifier) {
  std::vector<LabelledLine> lines = labelled_lines(classifier);
  if (calibrate) {
    // What a temperature is found for says too well of it: the report is of the other lines.
    std::vector<LabelledLine> fitted, others;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      (i % 2 == 0 ? fitted : others).push_back(std::move(lines[i]));
    }
    posterior_.temperature = sluice::calibrate(fitted, posterior_);
    write_calibration(ModelDirectory(model), {.temperature = posterior_.temperature,
                                              .lines = static_cast<std::int64_t>(fitted.size())});
    lines = std::move(others);
  }
  const ClassificationReport report = judge_labels(lines, posterior_, classifier.labels());
  print_report(report);
  if (plot.empty()) return;
  const std::string title = std::filesystem::path(file).filename().string();
  const std::string picture = run_gnuplot(reliability_script(report, title));
  AtomicFile out(plot);
  out.write(picture);
  out.commit();
}

void ClassifyCommand::run() {
  check_flags();
  if (!plot.empty()) require_replaceable(plot);
  const LoadedFrozenModel loaded =
      load_frozen_model(model, {.precision = parse_enum<WeightPrecision>(precision)});
  const Classifier classifier(loaded.model, *loaded.tokenizer);
  // One that is of other weights, or damaged, does not bar its own replacement.
  posterior_.temperature = !std::isnan(temperature) ? temperature
                           : calibrate              ? 1
                                       : read_calibration(ModelDirectory(model)).temperature;
  read_prior(classifier.labels());
  posterior_.validate(classifier.labels().size());
  if (condition.empty()) {
    classify_lines(classifier);
  } else {
    judge(classifier);
  }
}

}  // namespace

void add_classify(CLI::App& program, int& status) {
  auto command = std::make_shared<ClassifyCommand>();
  CLI::App& app =
      add_command(program, "classify", "Find the label of each line: language, author, topic");
  add_footer(
      app,
      "Needs a model made by sluice train --condition. Prints, for each line, its most probable "
      "label and the probability of that label, by Bayes' rule. With --condition the labels are "
      "known: prints how often the model is right, and how far its probabilities can be trusted.",
      {"sluice classify model lines.txt", "sluice classify model labelled.tsv --condition 1"});
  add_text(app, "MODEL", command->model, "directory that sluice train made", "").required();
  add_text(app, "FILE", command->file,
           "UTF-8 text, plain or compressed (gzip, bzip2, xz, zstd); - or nothing: standard input",
           "");
  add_flag(app, "--all", command->all, "every label, the most probable first");
  add_each(app, "--prior", command->priors,
           "how much more probable a label is before the line is read, 1 for all others; may be "
           "given several times",
           "LABEL=X");
  add_number(app, "--temperature", command->temperature,
             "divide log-likelihoods by this: above 1 the probabilities are less sure (default: "
             "what --calibrate found, else 1)");
  add_text(app, "--condition", command->condition,
           "the column, from 1, of lines separated by tabs whose last column is the text, or with "
           "--field the field of JSON lines, that holds the true label: judge instead of classify",
           "FIELD");
  add_text(app, "--field", command->field, "lines are JSON; this field of each is the text",
           "NAME");
  add_flag(app, "--calibrate", command->calibrate,
           "find the temperature on every second line, keep it in the model's directory, and "
           "judge by the other lines");
  add_text(app, "--plot", command->plot, "draw the reliability curve, as SVG, by gnuplot", "FILE");
  add_flag(app, "--json", command->json, "print JSON instead (docs/formats.md)");
  add_precision_flag(app, command->precision);
  add_threads(app);
  when_chosen(app, [command, &status] {
    command->run();
    status = 0;
  });
}

}  // namespace sluice::cli
