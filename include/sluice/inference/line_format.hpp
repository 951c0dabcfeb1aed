#pragma once
// Forms in which lines to score come, and in which their scores go.

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/inference/score.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// What a line is. Whatever it holds besides its text is passed on as it is.
enum class LineFormat : std::uint8_t {
  plain,  // a text; becomes log-probability, tokens, unknown ones and perplexity, between tabs
  tsv,    // columns between tabs, named by the first line; these four are added to them
  kaldi,  // "UTTERANCE text"; becomes "UTTERANCE cost", the negated log-probability
  moses,  // "ID ||| text ||| features [||| ...]"; " NAME= log-probability" is added to the features
  jsonl   // a JSON object, to which the fields of score_json() are added
};
const EnumNames<LineFormat>& enum_names(LineFormat format);

struct LineFormatOptions {
  LineFormat format = LineFormat::plain;
  /// tsv and jsonl: the column or field of the text, and of what it continues ("": none).
  std::string text_column = "text";
  std::string context_column = {};
  /// tsv: the first line names the columns. Without, columns go by their number from 1 on.
  bool header = true;
  /// moses: the added feature.
  std::string feature = "Sluice";
  /// All but jsonl: a JSON object for each line, with its identifier as "id" where it has one.
  bool json = false;
};

/// A line taken apart.
struct FormattedLine {
  /// As it came, without its end.
  std::string line;
  std::string id;
  std::string text;
  std::string context;
};

/// Reads and writes lines of one form. Constant but for header(): any number of threads may use it
/// once that was called.
class LineCodec {
 public:
  virtual ~LineCodec() = default;

  /// Whether the first line is a header, which header() reads; it returns the header to write, and
  /// throws Error for one that lacks the columns asked for.
  virtual bool has_header() const { return false; }
  virtual std::string header(const std::string& line);
  /// Throws Error, "WHERE: what was expected", for a line of another form.
  /// FormattedLine::line is left to the caller.
  virtual FormattedLine parse(const std::string& line, const std::string& where) const = 0;
  /// The line to write, without its end. A text in it has blanks, tabs, line ends and backslashes
  /// as \s, \t, \n, \r and \\.
  virtual std::string write(const FormattedLine& line, const LineScore& score) const = 0;
  /// What is written in place of a line that could not be scored: as many columns as elsewhere.
  virtual std::string failed(const FormattedLine& line, const std::string& fault) const = 0;
};

/// Throws UsageError for options that do not fit the form.
std::unique_ptr<LineCodec> make_line_codec(const LineFormatOptions& options);

/// The score as a JSON object on one line: log_probability, tokens, oov, perplexity,
/// word_perplexity, byte_perplexity, known_perplexity; words and pieces where there are some. What
/// was not scored is null; bytes that are no UTF-8 become U+FFFD.
std::string score_json(const LineScore& score);

/// `text` with backslashes, blanks, tabs and line ends escaped, as LineCodec::write() does.
std::string escaped_text(std::string_view text);

/// What becomes of the lines of a stream.
struct LineOutput {
  /// Receives a line of output without its end.
  std::function<void(const std::string&)> line;
  /// Receives one sentence for each line that could not be scored.
  std::function<void(const std::string&)> fault;
  /// Called when what was written should be seen.
  std::function<void()> flush;
};

/// Reads lines ("\n" or "\r\n"; a last one without an end counts) until the end of `in` and writes
/// one for each, in order, in blocks of bounded size; when `in` has nothing more to offer at once
/// (an interactive pipe) what is there is scored without waiting. A malformed line harms no other.
/// Returns the number of lines that could not be scored. Throws what header() throws.
std::int64_t score_lines_of(std::istream& in, LineScorer& scorer, LineCodec& codec,
                            const LineOutput& output);
/// The same, each block a piece of `work`: several processes write what one does. Only the one that
/// leads reads `in`, gets output, and knows the number. The lines must not be running text.
std::int64_t score_lines_of(std::istream& in, LineScorer& scorer, LineCodec& codec,
                            const LineOutput& output, PieceWork& work);

}  // namespace sluice
SLUICE_API_END
