#pragma once
// Labels of texts (author, topic, speaker, language): of lines as files have them, of tokens as
// models are trained under them.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/text/source.hpp"

SLUICE_API_BEGIN
namespace sluice {

class TokenShards;

/// Labels of the lines of a file, in memory: 16 bytes a line.
struct LineLabels {
  struct Line {
    /// Offset behind its newline.
    std::uint64_t end = 0;
    /// An index into `names`.
    std::uint32_t name = 0;
  };
  /// Each once; the empty one is no label.
  std::vector<std::string> names;
  std::vector<Line> lines;
};

/// The labels of a tokenised corpus: one for each token, that of its line, whose end is a token of
/// the line. Never changes: threads may share one.
class TokenLabels {
 public:
  /// `lines`: the label of each line of `tokens`. Throws Error when there are not as many lines as
  /// ends of lines among the tokens.
  TokenLabels(const TokenShards& tokens, std::span<const std::int32_t> lines);

  /// Copies those of tokens [offset, offset + n), which must be there, to `out`.
  void read(std::int64_t offset, std::int64_t n, std::int32_t* out) const;

 private:
  struct Run {
    std::int64_t end;  // token behind the last
    std::int32_t label;
  };
  std::vector<Run> runs_;
};

/// The labels of sources, sorted, each once, without the empty one. Throws Error for a source
/// without labels.
std::vector<std::string> label_names(const std::vector<TextSource>& sources);

/// `tokens` made of `sources` with their labels: label i + 1 where it is names[i], 0 (unknown) for
/// others and the empty one. Throws Error as label_names() and TokenLabels do.
TokenShards with_labels(const TokenShards& tokens, const std::vector<TextSource>& sources,
                        std::span<const std::string> names);

}  // namespace sluice
SLUICE_API_END
