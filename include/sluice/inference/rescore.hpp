#pragma once
// Lists of hypotheses (of a recogniser, a translator), scored anew.

#include <cstdint>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/inference/line_format.hpp"
#include "sluice/inference/predictor.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// ln p of each text's tokens given what `start` has read: what several texts begin with is read
/// once for all of them, texts that are the same once. `start` stays as it is.
std::vector<double> score_sharing_prefixes(const Predictor& predictor, const PredictorState& start,
                                           std::span<const std::vector<std::int32_t>> texts);

/// One hypothesis of a list.
struct Hypothesis {
  /// As it came, without its end.
  std::string line;
  /// Its list, and what it is called by itself where it has a name ("utt-1").
  std::string list, name;
  std::string text;
  /// What its maker thinks of it, the higher the better; 0 where nothing is said.
  double given = 0;
  /// Of the model, and the words of the text.
  double log_probability = 0;
  std::int64_t words = 0;
  /// Not empty: why it could not be scored.
  std::string fault;
};

/// What makes a hypothesis' total: given + weight · log_probability + word_reward · words.
struct RescoreWeights {
  double weight = 1;
  double word_reward = 0;
  double total(const Hypothesis& hypothesis) const {
    return hypothesis.given + weight * hypothesis.log_probability +
           word_reward * static_cast<double>(hypothesis.words);
  }
};

/// How lists come.
struct NbestOptions {
  /// moses, kaldi or jsonl; others are refused.
  LineFormat format = LineFormat::moses;
  /// moses: the added feature.
  std::string feature = "Sluice";
  /// moses: what of each feature's values counts as given, by its name; empty: the total behind the
  /// features.
  std::map<std::string, std::vector<double>> given = {};
  /// kaldi: costs by utterance, as a file of "utt-1 cost" has them.
  std::map<std::string, double> costs = {};
};

/// Reads and writes hypotheses of one form; constant.
class NbestCodec {
 public:
  virtual ~NbestCodec() = default;
  /// Throws Error, "WHERE: what was expected", for a line of another form.
  virtual Hypothesis parse(const std::string& line, const std::string& where) const = 0;
  /// The line with the model's score, and with the total where there is one.
  virtual std::string write(const Hypothesis& hypothesis, std::optional<double> total) const = 0;
  /// The line that stands for a list whose best hypothesis it is.
  virtual std::string best(const Hypothesis& hypothesis, double total) const {
    return write(hypothesis, total);
  }
  virtual std::string failed(const Hypothesis& hypothesis) const = 0;
};
std::unique_ptr<NbestCodec> make_nbest_codec(const NbestOptions& options);

/// Kaldi's "NAME cost" for each line. Throws Error naming the line.
std::map<std::string, double> read_costs(std::istream& in);

struct RescoreOptions {
  /// Of ScoreOptions, bos, eos, context and deterministic hold.
  ScoreOptions score = {};
  /// Without, lines get the model's score and no total.
  std::optional<RescoreWeights> weights = {};
  /// Write only the best of each list: the first of those with the highest total.
  bool best = false;
};

/// Scores hypotheses against a predictor. One thread at a time may use it.
class Rescorer {
 public:
  /// `tokenizer` must outlive it. Throws as LineScorer does.
  Rescorer(std::shared_ptr<const Predictor> predictor, const Tokenizer& tokenizer,
           const RescoreOptions& options);

  /// Sets log_probability and words of all without a fault.
  void score(std::span<Hypothesis> hypotheses) const;
  /// Parses a line; what is wrong with it becomes its fault.
  Hypothesis parse(const NbestCodec& codec, const std::string& line, std::int64_t number) const;

  const RescoreOptions& options() const { return options_; }

 private:
  std::shared_ptr<const Predictor> predictor_;
  const Tokenizer* tokenizer_;
  RescoreOptions options_;
  PredictorState start_;
  /// Blanks at the end of the context, which texts begin with.
  std::string blanks_;
};

/// Reads hypotheses, those of a list together, until the end of `in` and writes a line for each, or
/// for each list. A malformed line, and one of a list that ended before, is told of, passed on as
/// the form has it, and harms no other. Returns the number of these lines.
std::int64_t rescore_lines(std::istream& in, const Rescorer& rescorer, const NbestCodec& codec,
                           const LineOutput& output);

/// The same, some lists a piece of `work`: several processes write what one does. Only the one that
/// leads reads `in`, gets output, and knows the number.
std::int64_t rescore_lines(std::istream& in, const Rescorer& rescorer, const NbestCodec& codec,
                           const LineOutput& output, PieceWork& work);

/// All hypotheses of `in`, scored, in the process that leads; faulty ones are told of and left out.
std::vector<Hypothesis> read_rescored(std::istream& in, const Rescorer& rescorer,
                                      const NbestCodec& codec, const LineOutput& output,
                                      std::int64_t& failed, PieceWork& work);

}  // namespace sluice
SLUICE_API_END
