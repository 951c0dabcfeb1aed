#pragma once
// Which label a line has: a conditional model turned around by Bayes' rule.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How log-likelihoods become probabilities of labels:
///   p(label | line) ∝ prior(label) · p(line | label)^(1/temperature).
/// A language model's tokens are not independent evidence, so that without a temperature it is
/// surer than it is right (Guo et al. 2017, section 4.2); calibrate() finds one.
struct Posterior {
  double temperature = 1;
  /// One for each label, above 0; empty: all are equally probable.
  std::vector<double> prior = {};

  /// Throws UsageError for a temperature that is not above 0, and a prior of other labels or with a
  /// number that is not.
  void validate(std::size_t labels) const;
  /// The probabilities for one line's log-likelihoods. Sums to 1.
  std::vector<double> of(std::span<const double> log_likelihoods) const;
};

/// Gives lines the log-likelihood of each label of a model (ModelConfig::labels). Any number of
/// threads may use one at once.
class Classifier {
 public:
  /// `tokenizer` must outlive it. Throws UsageError for a model without labels, Error when the
  /// tokenizer is another model's.
  Classifier(std::shared_ptr<const FrozenModel> model, const Tokenizer& tokenizer);

  const std::vector<std::string>& labels() const { return model_->config().labels; }
  /// ln p(line | label), nats, of the line's tokens and its end, for each line and label; lines are
  /// without their ends. Throws Error for text that is not UTF-8, naming the line from
  /// `first_line` on.
  std::vector<std::vector<double>> log_likelihoods(std::span<const std::string> lines,
                                                   std::int64_t first_line = 1) const;

 private:
  std::shared_ptr<const FrozenModel> model_;
  const Tokenizer* tokenizer_;
};

/// A line whose label is known.
struct LabelledLine {
  std::vector<double> log_likelihoods;
  /// Index of its label.
  std::size_t label = 0;
};

/// The temperature under which the labels of `lines` are most probable, found by golden section
/// over its logarithm (the likelihood has one maximum in 1/temperature), between 1e-3 and 1e3.
/// Throws Error for no lines.
double calibrate(std::span<const LabelledLine> lines, const Posterior& posterior);

/// A bin of a reliability curve (Niculescu-Mizil & Caruana 2005): lines whose most probable label's
/// probability is in [low, high), the last with 1.
struct ReliabilityBin {
  double low = 0, high = 0;
  std::int64_t lines = 0;
  /// Mean probability of the most probable label, and how often it was right; 0 without lines.
  double confidence = 0, accuracy = 0;
};

/// How good probabilities of labels are.
struct ClassificationReport {
  struct Label {
    std::string name;
    /// Lines that have it, those of them for which it was the most probable, and lines for which it
    /// was.
    std::int64_t lines = 0, right = 0, taken = 0;
  };
  std::int64_t lines = 0;
  double accuracy = 0;
  /// Wilson's interval of the accuracy at 95%.
  double accuracy_low = 0, accuracy_high = 0;
  /// Mean -ln p(label | line), nats.
  double log_loss = 0;
  /// Σ lines/all · |accuracy - confidence| over bins (Guo et al. 2017, eq. 3).
  double calibration_error = 0;
  double temperature = 1;
  std::vector<Label> labels;
  /// Ten of one width.
  std::vector<ReliabilityBin> reliability;
};

/// Throws Error for no lines.
ClassificationReport judge_labels(std::span<const LabelledLine> lines, const Posterior& posterior,
                                  std::span<const std::string> labels);

/// The report as text: totals, a table of labels, the reliability curve as a table with bars.
std::string format_classification(const ClassificationReport& report);

}  // namespace sluice
SLUICE_API_END
