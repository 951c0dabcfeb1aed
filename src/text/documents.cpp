#include "sluice/text/documents.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/text/corpus.hpp"

namespace sluice {
namespace {

/// Lines of a file, an unterminated last one included.
std::int64_t lines_of(const TextSource& source) {
  constexpr std::uint64_t piece = std::uint64_t{1} << 20;
  const TextFile file(source);
  std::int64_t lines = 0;
  bool ended = true;
  for (std::uint64_t at = 0; at < file.size(); at += piece) {
    const std::string bytes = file.read(at, piece);
    lines += std::count(bytes.begin(), bytes.end(), '\n');
    ended = bytes.back() == '\n';
  }
  return lines + (ended ? 0 : 1);
}

/// Finds where documents end, token by token.
class DocumentFinder {
 public:
  /// `file_lines`: lines up to the end of each file; not needed where there is a mark.
  DocumentFinder(const DocumentRule& rule, TokenId eos, std::vector<std::int64_t> file_lines)
      : rule_(rule), eos_(eos), file_lines_(std::move(file_lines)) {}

  void add(TokenId token) {
    if (rule_.mark >= 0) {
      ++position_;
      if (token == rule_.mark) end_here();
      return;
    }
    const bool ends_line = token == eos_;
    const bool empty = ends_line && line_is_empty_;
    if (after_blank_ && !empty) end_here();
    ++position_;
    has_text_ = has_text_ || !ends_line;
    after_blank_ = after_blank_ || (empty && has_text_ && rule_.end == DocumentEnd::blank_lines);
    line_is_empty_ = ends_line;
    if (!ends_line) return;
    ++lines_;
    while (file_ < file_lines_.size() && file_lines_[file_] == lines_) {
      end_here();
      ++file_;
    }
  }

  std::int64_t lines() const { return lines_; }
  std::vector<std::int64_t> take() {
    end_here();
    return std::move(ends_);
  }

 private:
  void end_here() {
    if (position_ > (ends_.empty() ? 0 : ends_.back())) ends_.push_back(position_);
    after_blank_ = has_text_ = false;
  }

  DocumentRule rule_;
  TokenId eos_;
  std::vector<std::int64_t> file_lines_;
  std::vector<std::int64_t> ends_;
  std::size_t file_ = 0;
  std::int64_t position_ = 0, lines_ = 0;
  bool line_is_empty_ = true;
  bool after_blank_ = false;  // the document has text, and an empty line after it
  bool has_text_ = false;
};

}  // namespace

const EnumNames<DocumentEnd>& enum_names(DocumentEnd) {
  static const EnumNames<DocumentEnd> names("end of documents",
                                            {{DocumentEnd::none, "none"},
                                             {DocumentEnd::blank_lines, "blank-lines"},
                                             {DocumentEnd::files, "files"}});
  return names;
}

DocumentRule document_rule(DocumentEnd end, const std::string& mark, const Tokenizer& tokenizer) {
  DocumentRule rule{end};
  if (mark.empty()) return rule;
  if (end == DocumentEnd::none) {
    throw UsageError(
        fmt::format("a document mark, {}, needs documents: say what ends one, blank-lines or files",
                    in_quotes(mark)));
  }
  for (TokenId id = 0; id < tokenizer.size() && rule.mark < 0; ++id) {
    if (tokenizer.token(id) == mark) rule.mark = id;
  }
  if (rule.mark >= 0) return rule;
  throw UsageError(
      fmt::format("the document mark {} is none of the tokenizer's {} tokens; name one of them "
                  "(its vocabulary lists them), or train a tokenizer with the mark",
                  in_quotes(mark), tokenizer.size()));
}

std::int64_t DocumentEnds::at(std::int64_t position) const {
  return std::upper_bound(ends_.begin(), ends_.end(), position) - ends_.begin();
}

TokenShards in_documents(const TokenShards& tokens, const std::vector<TextSource>& sources,
                         const DocumentRule& rule) {
  std::vector<std::int64_t> file_lines;
  std::int64_t lines = 0;
  const bool marked = rule.mark >= 0;
  for (std::size_t i = 0; i < sources.size() && !marked; ++i) {
    lines += lines_of(sources[i]);
    file_lines.push_back(lines);
  }
  DocumentFinder finder(rule, tokens.eos(), std::move(file_lines));
  constexpr std::int64_t piece = std::int64_t{1} << 18;
  std::vector<TokenId> read(static_cast<std::size_t>(std::min(piece, tokens.size())));
  for (std::int64_t at = 0; at < tokens.size(); at += piece) {
    const std::int64_t n = std::min(piece, tokens.size() - at);
    tokens.read(at, n, read.data());
    std::for_each(read.begin(), read.begin() + n, [&](TokenId token) { finder.add(token); });
  }
  if (!marked && finder.lines() != lines) {
    throw Error(fmt::format(
        "documents: the text has {} lines and {} lines end in its tokens; is the tokenizer's end "
        "of a line ({}) a word of the text?",
        lines, finder.lines(), tokens.eos()));
  }
  return tokens.in_documents(std::make_shared<const DocumentEnds>(finder.take()));
}

}  // namespace sluice
