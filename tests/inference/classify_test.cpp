// Labels from log-likelihoods: Bayes' rule, temperatures, what a report counts; and a model that
// tells two kinds of lines apart.

#include "sluice/inference/classify.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/random.hpp"
#include "sluice/inference/calibration.hpp"
#include "sluice/inference/score.hpp"
#include "support.hpp"

namespace sluice {
namespace {

const std::vector<std::string> kLabels = {"a", "b", "c"};

TEST(Posterior, IsBayesRule) {
  const std::vector<double> logs = {std::log(0.02), std::log(0.05), std::log(0.03)};
  const auto equal = Posterior{}.of(logs);
  EXPECT_NEAR(equal[0], 0.2, 1e-12);
  EXPECT_NEAR(equal[1], 0.5, 1e-12);
  EXPECT_NEAR(equal[2], 0.3, 1e-12);
  const auto prior = Posterior{.prior = {3, 1, 1}}.of(logs);
  EXPECT_NEAR(prior[0], 6.0 / 14, 1e-12);
  EXPECT_NEAR(prior[1], 5.0 / 14, 1e-12);
  const auto flat = Posterior{.temperature = 1e6}.of(logs);
  EXPECT_NEAR(flat[1], 1.0 / 3, 1e-5);
  // Likelihoods that are 0 as doubles.
  const std::vector<double> tiny = {-5000, -5001, -5002};
  const auto far = Posterior{}.of(tiny);
  EXPECT_NEAR(std::accumulate(far.begin(), far.end(), 0.0), 1, 1e-12);
  EXPECT_NEAR(far[0] / far[1], std::exp(1), 1e-9);
  EXPECT_THROW((Posterior{.temperature = 0}.validate(3)), UsageError);
  EXPECT_THROW((Posterior{.prior = {1, 2}}.validate(3)), UsageError);
  EXPECT_THROW((Posterior{.prior = {1, 0, 1}}.validate(3)), UsageError);
}

/// Lines whose labels are drawn from the posterior that their log-likelihoods have at a
/// temperature.
std::vector<LabelledLine> drawn_lines(double temperature, std::size_t count) {
  std::vector<LabelledLine> lines;
  const RandomKey key{3, 4, 5};
  for (std::size_t i = 0; i < count; ++i) {
    LabelledLine line;
    for (std::size_t k = 0; k < 3; ++k) line.log_likelihoods.push_back(8 * key.normal(10 * i + k));
    const auto p = Posterior{.temperature = temperature}.of(line.log_likelihoods);
    double left = key.uniform_double(10 * i + 9);
    while (line.label < 2 && left >= p[line.label]) left -= p[line.label++];
    lines.push_back(line);
  }
  return lines;
}

TEST(Calibration, FindsTheTemperatureThatLabelsWereDrawnAt) {
  for (const double temperature : {0.5, 3.0, 20.0}) {
    const auto lines = drawn_lines(temperature, 20'000);
    const double found = calibrate(lines, {});
    EXPECT_NEAR(std::log(found), std::log(temperature), 0.06) << temperature;
    // Calibrated, probabilities are right as often as they say; else they are not.
    EXPECT_LT(judge_labels(lines, {.temperature = found}, kLabels).calibration_error, 0.015);
    EXPECT_GT(judge_labels(lines, {.temperature = temperature / 4}, kLabels).calibration_error,
              temperature > 1 ? 0.05 : 0.01);
  }
  EXPECT_THROW((void)calibrate({}, {}), Error);
}

TEST(Judging, CountsLabelsAndBins) {
  const auto line = [](double a, double b, std::size_t label) {
    return LabelledLine{{std::log(a), std::log(b), std::log(1 - a - b)}, label};
  };
  const std::vector<LabelledLine> lines = {line(0.75, 0.2, 0), line(0.75, 0.2, 1),
                                           line(0.1, 0.85, 1), line(0.34, 0.33, 0)};
  const auto report = judge_labels(lines, {}, kLabels);
  EXPECT_EQ(report.lines, 4);
  EXPECT_DOUBLE_EQ(report.accuracy, 0.75);
  EXPECT_LT(report.accuracy_low, 0.75);
  EXPECT_GT(report.accuracy_high, 0.75);
  EXPECT_EQ(report.labels[0].lines, 2);
  EXPECT_EQ(report.labels[0].right, 2);
  EXPECT_EQ(report.labels[0].taken, 3);
  EXPECT_EQ(report.labels[1].right, 1);
  EXPECT_EQ(report.labels[2].lines, 0);
  EXPECT_EQ(report.reliability[7].lines, 2);
  EXPECT_NEAR(report.reliability[7].confidence, 0.75, 1e-12);
  EXPECT_NEAR(report.reliability[7].accuracy, 0.5, 1e-12);
  EXPECT_EQ(report.reliability[8].lines, 1);
  EXPECT_NEAR(report.calibration_error, (2 * 0.25 + 0.15 + 0.66) / 4, 1e-9);
  EXPECT_NEAR(report.log_loss,
              -(std::log(0.75) + std::log(0.2) + std::log(0.85) + std::log(0.34)) / 4, 1e-9);
  const std::string text = format_classification(report);
  EXPECT_NE(text.find("75.00%"), std::string::npos);
  EXPECT_NE(text.find("0.7 to 0.8"), std::string::npos);
  EXPECT_THROW((void)judge_labels({}, {}, kLabels), Error);
}

TEST(Classifier, ScoresLinesUnderEveryLabel) {
  const auto words = testing_support::tokenizer("byte", "abc\n");
  ModelConfig config;
  config.shape<GcnnShape>().layers = parse_layers("[(16,3)]*2");
  config.dim = 16;
  config.vocabulary = words->size();
  config.softmax = "full";
  EXPECT_THROW(Classifier(FrozenModel::freeze(*make_model(config, 1)), *words), UsageError);
  config.labels = {"x", "y"};
  const auto model = make_model(config, 1);
  for (const Parameter& parameter : model->parameters()) {
    if (parameter.name.find("condition") == std::string::npos) continue;
    const Tensor& value = parameter.variable.value();
    for (std::int64_t i = 0; i < value.elements(); ++i) {
      value.data<float>()[i] = 0.1F * static_cast<float>(i % 7 - 3);
    }
  }
  const auto frozen = FrozenModel::freeze(*model);
  const Classifier classifier(frozen, *words);
  const std::vector<std::string> lines = {"some text", "", "more"};
  const auto found = classifier.log_likelihoods(lines);
  ASSERT_EQ(found.size(), 3U);
  for (std::int32_t label = 0; label < 2; ++label) {
    const auto scores = score_lines(*frozen->conditioned(label + 1), *words, lines);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(found[i][static_cast<std::size_t>(label)], scores[i].log_probability, 1e-9);
    }
  }
  EXPECT_NE(found[0][0], found[0][1]);
}

TEST(Calibration, IsKeptInTheModelsDirectory) {
  const auto directory = std::filesystem::temp_directory_path() /
                         ("sluice_calibration_test_" + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  const ModelDirectory files(directory);
  EXPECT_EQ(read_calibration(files).temperature, 1);
  const auto model = testing_support::model("[(4,2)]", 5);
  files.save_weights(*model);
  write_calibration(files, {.temperature = 2.5, .lines = 77});
  EXPECT_EQ(read_calibration(files).temperature, 2.5);
  EXPECT_EQ(read_calibration(files).lines, 77);
  const std::string text = read_file(files.calibration_file());
  // Every bit: refused, or without effect.
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    write_file(files.calibration_file(), flipped);
    try {
      const Calibration found = read_calibration(files);
      EXPECT_EQ(found.temperature, 2.5) << flipped;
      EXPECT_EQ(found.lines, 77) << flipped;
    } catch (const Error&) {  // refused
    }
  }
  // One of other weights, one of the format before, one that cannot be looked at.
  write_file(files.calibration_file(), text);
  files.save_weights(*testing_support::model("[(4,2)]*2", 5));
  EXPECT_THROW((void)read_calibration(files), Error);
  files.save_weights(*model);
  EXPECT_EQ(read_calibration(files).temperature, 2.5);
  write_file(files.calibration_file(), R"({"temperature": 2, "lines": 3})");
  EXPECT_THROW((void)read_calibration(files), Error);
  std::filesystem::remove(files.calibration_file());
  std::filesystem::create_symlink(files.calibration_file(), files.calibration_file());
  EXPECT_THROW((void)read_calibration(files), SystemError);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sluice
