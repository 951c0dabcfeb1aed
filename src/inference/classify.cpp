#include "sluice/inference/classify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/inference/score.hpp"

namespace sluice {
namespace {

constexpr std::size_t bins = 10;

std::size_t most_probable(std::span<const double> probabilities) {
  return static_cast<std::size_t>(std::max_element(probabilities.begin(), probabilities.end()) -
                                  probabilities.begin());
}

/// ln p(label | line) of the line's own label.
double log_posterior(const LabelledLine& line, const Posterior& posterior) {
  // Not the logarithm of a probability, which may have become 0.
  double highest = -HUGE_VAL;
  std::vector<double> logs;
  for (std::size_t i = 0; i < line.log_likelihoods.size(); ++i) {
    const double prior = posterior.prior.empty() ? 0 : std::log(posterior.prior[i]);
    logs.push_back(prior + line.log_likelihoods[i] / posterior.temperature);
    highest = std::max(highest, logs.back());
  }
  double sum = 0;
  for (const double log : logs) sum += std::exp(log - highest);
  return logs[line.label] - highest - std::log(sum);
}

double mean_log_loss(std::span<const LabelledLine> lines, const Posterior& posterior) {
  double sum = 0;
  for (const LabelledLine& line : lines) sum -= log_posterior(line, posterior);
  return sum / static_cast<double>(lines.size());
}

void require_lines(std::span<const LabelledLine> lines) {
  if (!lines.empty()) return;
  throw Error("no line has a label that the model knows; give it some");
}

std::string bar(double share, std::size_t width) {
  const auto filled = static_cast<std::size_t>(std::lround(share * static_cast<double>(width)));
  return std::string(filled, '#') + std::string(width - filled, '.');
}

}  // namespace

void Posterior::validate(std::size_t labels) const {
  if (!(temperature > 0) || !std::isfinite(temperature)) {
    throw UsageError(fmt::format("the temperature must be above 0, got {}", temperature));
  }
  if (!prior.empty() && prior.size() != labels) {
    throw UsageError(
        fmt::format("{} prior probabilities given for {} labels", prior.size(), labels));
  }
  for (const double p : prior) {
    if (p > 0 && std::isfinite(p)) continue;
    throw UsageError(fmt::format("a prior probability must be above 0, got {}", p));
  }
}

std::vector<double> Posterior::of(std::span<const double> log_likelihoods) const {
  const std::vector<double> given(log_likelihoods.begin(), log_likelihoods.end());
  std::vector<double> probabilities;
  for (std::size_t label = 0; label < given.size(); ++label) {
    probabilities.push_back(std::exp(log_posterior({given, label}, *this)));
  }
  return probabilities;
}

Classifier::Classifier(std::shared_ptr<const FrozenModel> model, const Tokenizer& tokenizer)
    : model_(std::move(model)), tokenizer_(&tokenizer) {
  if (labels().empty()) {
    throw UsageError("the model has no labels; train one with labels (the setting condition)");
  }
  if (tokenizer.size() != model_->vocabulary()) {
    throw Error(fmt::format("the tokenizer has {} tokens and the model {}; use the model's own",
                            tokenizer.size(), model_->vocabulary()));
  }
}

std::vector<std::vector<double>> Classifier::log_likelihoods(std::span<const std::string> lines,
                                                             std::int64_t first_line) const {
  std::vector<std::vector<double>> found(lines.size());
  for (std::size_t label = 0; label < labels().size(); ++label) {
    // A pass has one label alone, whose V·h is part of the bias then.
    const auto conditioned = model_->conditioned(static_cast<std::int32_t>(label) + 1);
    const auto scores = score_lines(*conditioned, *tokenizer_, lines, {}, first_line);
    for (std::size_t i = 0; i < lines.size(); ++i) found[i].push_back(scores[i].log_probability);
  }
  return found;
}

double calibrate(std::span<const LabelledLine> lines, const Posterior& posterior) {
  require_lines(lines);
  Posterior tried = posterior;
  const auto loss = [&](double log_temperature) {
    tried.temperature = std::exp(log_temperature);
    return mean_log_loss(lines, tried);
  };
  constexpr double settled = 1e-4;
  const double golden = 1 / std::numbers::phi;
  double low = std::log(1e-3), high = std::log(1e3);
  double left = high - golden * (high - low), right = low + golden * (high - low);
  double at_left = loss(left), at_right = loss(right);
  while (high - low > settled) {
    if (at_left < at_right) {
      high = right;
      right = left;
      at_right = at_left;
      left = high - golden * (high - low);
      at_left = loss(left);
    } else {
      low = left;
      left = right;
      at_left = at_right;
      right = low + golden * (high - low);
      at_right = loss(right);
    }
  }
  return std::exp((low + high) / 2);
}

ClassificationReport judge_labels(std::span<const LabelledLine> lines, const Posterior& posterior,
                                  std::span<const std::string> labels) {
  require_lines(lines);
  posterior.validate(labels.size());
  ClassificationReport report;
  for (const std::string& name : labels) report.labels.push_back({.name = name});
  for (std::size_t i = 0; i < bins; ++i) {
    report.reliability.push_back({.low = static_cast<double>(i) / static_cast<double>(bins),
                                  .high = static_cast<double>(i + 1) / static_cast<double>(bins)});
  }
  std::int64_t right = 0;
  for (const LabelledLine& line : lines) {
    const std::vector<double> probabilities = posterior.of(line.log_likelihoods);
    const std::size_t taken = most_probable(probabilities);
    const bool hit = taken == line.label;
    ++report.labels[line.label].lines;
    ++report.labels[taken].taken;
    if (hit) ++report.labels[line.label].right;
    right += hit ? 1 : 0;
    const auto place = static_cast<std::size_t>(probabilities[taken] * static_cast<double>(bins));
    ReliabilityBin& bin = report.reliability[std::min(place, bins - 1)];
    ++bin.lines;
    bin.confidence += probabilities[taken];
    bin.accuracy += hit ? 1 : 0;
  }
  const auto all = static_cast<double>(lines.size());
  report.lines = static_cast<std::int64_t>(lines.size());
  report.accuracy = static_cast<double>(right) / all;
  report.log_loss = mean_log_loss(lines, posterior);
  report.temperature = posterior.temperature;
  for (ReliabilityBin& bin : report.reliability) {
    if (bin.lines == 0) continue;
    const auto count = static_cast<double>(bin.lines);
    bin.confidence /= count;
    bin.accuracy /= count;
    report.calibration_error += count / all * std::abs(bin.accuracy - bin.confidence);
  }
  constexpr double z = 1.959963984540054;
  const double p = report.accuracy, half = z * z / all;
  const double centre = (p + half / 2) / (1 + half);
  const double reach = z * std::sqrt((p * (1 - p) + half / 4) / all) / (1 + half);
  report.accuracy_low = std::max(0.0, centre - reach);
  report.accuracy_high = std::min(1.0, centre + reach);
  return report;
}

std::string format_classification(const ClassificationReport& report) {
  constexpr double percent = 100;
  constexpr std::size_t bar_width = 40;
  std::string text = fmt::format(
      "lines              {}\n"
      "accuracy           {:.2f}% (95% interval {:.2f} to {:.2f})\n"
      "log loss           {:.4f} nats a line\n"
      "calibration error  {:.2f}%\n"
      "temperature        {:.3g}\n\n",
      grouped(report.lines), percent * report.accuracy, percent * report.accuracy_low,
      percent * report.accuracy_high, report.log_loss, percent * report.calibration_error,
      report.temperature);
  std::size_t width = 5;
  for (const auto& label : report.labels) width = std::max(width, label.name.size());
  text +=
      fmt::format("{:<{}}  {:>8}  {:>7}  {:>9}\n", "label", width, "lines", "recall", "precision");
  const auto share = [](std::int64_t part, std::int64_t of) {
    return of == 0 ? std::string("-")
                   : fmt::format("{:.2f}%",
                                 percent * static_cast<double>(part) / static_cast<double>(of));
  };
  for (const auto& label : report.labels) {
    text += fmt::format("{:<{}}  {:>8}  {:>7}  {:>9}\n", label.name, width, grouped(label.lines),
                        share(label.right, label.lines), share(label.right, label.taken));
  }
  text += "\nprobability     lines  said     right\n";
  for (const ReliabilityBin& bin : report.reliability) {
    if (bin.lines == 0) continue;
    text += fmt::format("{:.1f} to {:.1f}  {:>8}  {:5.1f}%  {:5.1f}%  {}\n", bin.low, bin.high,
                        grouped(bin.lines), percent * bin.confidence, percent * bin.accuracy,
                        bar(bin.accuracy, bar_width));
  }
  return text;
}

}  // namespace sluice
