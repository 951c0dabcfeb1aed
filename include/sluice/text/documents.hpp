#pragma once
// Documents: texts within a text that do not continue one another.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/text/source.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

class TokenShards;

/// What ends a document. Where blank lines do, so does the end of a file.
enum class DocumentEnd : std::uint8_t {
  none,         ///< a text is one document, whatever files it is in
  blank_lines,  ///< empty lines, which belong to the document before them
  files
};
/// "none", "blank-lines", "files".
const EnumNames<DocumentEnd>& enum_names(DocumentEnd);

/// How the tokens of a text become documents.
struct DocumentRule {
  DocumentEnd end = DocumentEnd::none;
  /// The token that stands at the end of each document, in place of its blank lines; -1: none.
  TokenId mark = -1;

  explicit operator bool() const { return end != DocumentEnd::none; }
};

/// The rule with a mark named as Tokenizer::token() names it; an empty name: none. Throws
/// UsageError for a name that is none of the tokenizer's tokens, and for a mark where nothing ends
/// a document.
DocumentRule document_rule(DocumentEnd end, const std::string& mark, const Tokenizer& tokenizer);

/// Where documents end in a tokenised corpus, eight bytes each. Never changes: threads may share
/// one.
class DocumentEnds {
 public:
  /// `ends`: places behind the last tokens of documents, rising, the last one the corpus's size.
  explicit DocumentEnds(std::vector<std::int64_t> ends) : ends_(std::move(ends)) {}

  /// Number of documents.
  std::int64_t count() const { return static_cast<std::int64_t>(ends_.size()); }
  /// Tokens [begin, end) are document `i`, 0 <= i < count().
  std::int64_t begin(std::int64_t i) const { return i == 0 ? 0 : end(i - 1); }
  std::int64_t end(std::int64_t i) const { return ends_[static_cast<std::size_t>(i)]; }
  /// The document of the token at `position`, which must be in the corpus.
  std::int64_t at(std::int64_t position) const;

 private:
  std::vector<std::int64_t> ends_;
};

/// `tokens` made of `sources` by this rule with the ends of their documents. Reads both once more.
/// Throws Error when there are not as many lines as ends of lines among the tokens.
TokenShards in_documents(const TokenShards& tokens, const std::vector<TextSource>& sources,
                         const DocumentRule& rule);

}  // namespace sluice
SLUICE_API_END
