#pragma once
// Corpora: text files tokenised once into a file of token ids.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/text/documents.hpp"
#include "sluice/text/labels.hpp"
#include "sluice/text/source.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Counts over a corpus. The end of an unterminated last line counts as a newline.
struct CorpusInfo {
  std::int64_t tokens = 0;      ///< tokens, one eos per line included
  std::int64_t lines = 0;       ///< lines
  std::int64_t oov = 0;         ///< what the vocabulary lacks; see Tokenizer::encode
  std::int64_t characters = 0;  ///< Unicode code points, newlines included, dropped '\r' not
  std::int64_t bytes = 0;       ///< bytes of the text read

  bool operator==(const CorpusInfo&) const = default;
};

struct LoadedShard;

/// A tokenised corpus, read piece by piece from its file, so it may be larger than memory.
/// Cheap to copy; copies share the file. Any number of threads may read one at once.
class TokenShards {
 public:
  /// Tokens held in memory (small texts, tests). `info` is derived: tokens, and lines as eos count.
  TokenShards(const std::vector<TokenId>& tokens, TokenId eos, std::int64_t vocabulary);

  /// Number of tokens.
  std::int64_t size() const { return info_.tokens; }
  const CorpusInfo& info() const { return info_; }
  /// The token that ends each line.
  TokenId eos() const { return eos_; }
  /// Size of the vocabulary that the ids are from.
  std::int64_t vocabulary() const { return vocabulary_; }

  /// The same with the labels of its tokens.
  TokenShards labelled(std::shared_ptr<const TokenLabels> labels) const {
    TokenShards other = *this;
    other.labels_ = std::move(labels);
    return other;
  }
  /// Null: it has none.
  const TokenLabels* labels() const { return labels_.get(); }

  /// The same with the ends of its documents.
  TokenShards in_documents(std::shared_ptr<const DocumentEnds> documents) const {
    TokenShards other = *this;
    other.documents_ = std::move(documents);
    return other;
  }
  /// Null: it is one document.
  const DocumentEnds* documents() const { return documents_.get(); }

  /// Copies tokens [offset, offset + n) to `out`. Throws Error when they are not all there.
  void read(std::int64_t offset, std::int64_t n, TokenId* out) const;

  /// Targets are tokens [offset, offset + n); inputs are the tokens one place earlier, with eos()
  /// before the first of the text and of each document, so that every token is predicted once.
  void read_pairs(std::int64_t offset, std::int64_t n, TokenId* inputs, TokenId* targets) const;

 private:
  class Storage;
  friend TokenShards tokenize_corpus(const std::vector<TextSource>& sources,
                                     const Tokenizer& tokenizer,
                                     const std::filesystem::path& cache_directory,
                                     const Progress& progress, const DocumentRule& documents,
                                     PieceWork* work);
  friend TokenShards tokenize_uncached(const std::vector<TextSource>& sources,
                                       const Tokenizer& tokenizer, const Progress& progress,
                                       const DocumentRule& documents);
  TokenShards(LoadedShard shard, const Tokenizer& tokenizer);

  std::shared_ptr<const Storage> storage_;
  std::shared_ptr<const TokenLabels> labels_;
  std::shared_ptr<const DocumentEnds> documents_;
  CorpusInfo info_;
  TokenId eos_ = 0;
  std::int64_t vocabulary_ = 0;
};

/// Tokenises `sources`, one after another, on all cores and in bounded memory, into one file in
/// `cache_directory` (made when missing), named after their paths and ranges. The file records the
/// tokenizer's fingerprint and a checksum of the text; when both still hold and the file is whole,
/// it is used as it is, else it is replaced. Reuse costs only reading the
/// text for its checksum. Two processes may do this at once. With a rule for documents, the tokens
/// are those of the text, with the mark, if there is one, in place of blank lines.
///
/// With `work` all its processes encode parts of the text, which is the same for all of them, and
/// the one that leads writes the file, in its directory, which all can read: the same file as one
/// process writes.
///
/// Throws Error for files that are missing, unreadable or directories, for a corpus without a
/// single byte, for NUL bytes or invalid UTF-8 (see Tokenizer::check_text) and when the cache
/// cannot be written (a full disk); nothing half-written is left behind.
TokenShards tokenize_corpus(const std::vector<TextSource>& sources, const Tokenizer& tokenizer,
                            const std::filesystem::path& cache_directory,
                            const Progress& progress = {}, const DocumentRule& documents = {},
                            PieceWork* work = nullptr);

/// The same for a text that is read once: the tokens are in a file without a name in $TMPDIR or
/// /tmp, which ends with the shards and with the process, whatever ends it.
TokenShards tokenize_uncached(const std::vector<TextSource>& sources, const Tokenizer& tokenizer,
                              const Progress& progress = {}, const DocumentRule& documents = {});

}  // namespace sluice
SLUICE_API_END
