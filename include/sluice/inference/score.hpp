#pragma once
// Scoring lines: one line in, one score out.

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/predictor.hpp"
#include "sluice/text/documents.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What becomes of tokens that are not in the vocabulary.
enum class OovPolicy : std::uint8_t {
  count,    // they score as <unk> does
  exclude,  // neither their probability nor their number counts
  penalty   // they score as <unk> does, and ScoreOptions::oov_penalty less
};
const EnumNames<OovPolicy>& enum_names(OovPolicy policy);

/// One token of a scored line.
struct TokenScore {
  /// As the tokenizer writes it; what stands in the line for a token that is not in the
  /// vocabulary; "<eos>" for the line's end.
  std::string text;
  /// ln p(token | all before it), less the penalty of an unknown one.
  double log_probability = 0;
  bool oov = false;
  /// Where it stands in the line: characters (Unicode code points) [begin, end).
  std::int64_t begin = 0, end = 0;
};

/// One word of a scored line (between white space), and the line's end, "<eos>". The tokens of a
/// word are those that stand in it and in the blanks before it; blanks at the end of the line
/// belong to its end.
struct WordScore {
  /// As it stands in the line.
  std::string text;
  /// Sum over its tokens.
  double log_probability = 0;
  std::int64_t tokens = 0;
  /// Whether one of its tokens is not in the vocabulary.
  bool oov = false;
  std::int64_t begin = 0, end = 0;
};

/// The score of one line.
struct LineScore {
  /// Natural logarithm, summed over the tokens that ScoreOptions count.
  double log_probability = 0;
  /// Tokens in the sum, the final <eos> included where it counts.
  std::int64_t tokens = 0;
  /// Tokens that are not in the vocabulary.
  std::int64_t oov = 0;
  /// exp(-log_probability / tokens); 1 without tokens, as the next ones without what they count.
  double perplexity = 1;
  /// exp(-log_probability / words), the line's end counted as a word where it is scored.
  double word_perplexity = 1;
  /// exp(-log_probability / bytes), the line's end counted as a byte where it is scored.
  double byte_perplexity = 1;
  /// exp of the mean -ln p over the tokens of the vocabulary alone.
  double known_perplexity = 1;
  /// Each token, when ScoreOptions::pieces asks for them.
  std::vector<TokenScore> pieces;
  /// Each word, when ScoreOptions::words asks for them.
  std::vector<WordScore> words;
};

struct ScoreOptions {
  /// Fill LineScore::words and LineScore::pieces.
  bool words = false, pieces = false;
  /// Whether a text begins with <eos>, the end of the line before it; without it and without a
  /// context, a model reads the first token but cannot score it (an n-gram can).
  bool bos = true;
  /// Whether the end of the line is scored.
  bool eos = true;
  /// Text that each line continues, as it is: it should end with a blank where a line begins a new
  /// word, or with '\n' where it begins a new line. Blanks at its end are scored with the line, as
  /// subwords begin with them.
  std::string context = {};
  /// The lines are one text: each is scored given all before it.
  bool running = false;
  /// Of running text: a line after empty ones begins a document where they end one, which is read
  /// as if it were alone, with the context before it. With a mark it is scored in place of the
  /// first of them, the others are nothing.
  DocumentRule documents = {};
  OovPolicy oov = OovPolicy::count;
  /// Nats, for OovPolicy::penalty.
  double oov_penalty = 0;
  /// Positions of all lines in one forward pass; lines that are longer are chunked.
  std::int64_t positions = 2048;
  /// Each line in passes of its own, so that its score has the same bits whatever other lines there
  /// are; several times slower.
  bool deterministic = false;

  /// Throws UsageError for values out of range and for a context of running text.
  void validate() const;
};

/// One text to score.
struct TextToScore {
  std::string_view text;
  /// What it continues, instead of ScoreOptions::context.
  std::string_view context = {};
};

/// Scores lines with one predictor, one call after another. It keeps where running text has come
/// to; one thread at a time may use it, any number of scorers may share a predictor.
class LineScorer {
 public:
  /// `tokenizer` must outlive it. Throws Error when its vocabulary is not the predictor's,
  /// UsageError as ScoreOptions::validate() does.
  LineScorer(std::shared_ptr<const Predictor> predictor, const Tokenizer& tokenizer,
             ScoreOptions options);

  /// Throws Error for text that is not UTF-8, naming `name`.
  void check_text(const TextToScore& text, const std::string& name) const;
  /// Scores texts without line ends that check_text() accepts; results in their order. Lines of
  /// similar length share a pass, lines of one context read it once.
  std::vector<LineScore> score(std::span<const TextToScore> texts);
  /// Tells that a file of running text ends: where documents end somewhere, one does here.
  void end_file();
  /// Whether a text is bytes, whatever they are: then a '\r' at its end belongs to it.
  bool bytes_matter() const { return tokenizer_->kind() == "byte"; }

 private:
  struct Line;
  void score_running(std::span<Line> lines);
  void score_each(std::span<Line> lines) const;
  void score_document(std::span<Line> lines);
  Line make_line(const TextToScore& text);
  LineScore summary(const Line& line, const TextToScore& text) const;

  std::shared_ptr<const Predictor> predictor_;
  const Tokenizer* tokenizer_;
  ScoreOptions options_;
  /// Of running text.
  PredictorState state_;
  /// Where in a document of running text it has come to.
  enum class Place : std::uint8_t { nowhere, blank_before, in_text, blank_after };
  Place place_ = Place::nowhere;
};

/// Scores `lines` (without their line ends), results in the order of the lines. Any number of
/// threads may score with one model at once. Throws Error for text that is not UTF-8, naming the
/// line (counted from `first_line`).
std::vector<LineScore> score_lines(const FrozenModel& model, const Tokenizer& tokenizer,
                                   std::span<const std::string> lines,
                                   const ScoreOptions& options = {}, std::int64_t first_line = 1);

}  // namespace sluice
SLUICE_API_END
