#include "sluice/text/corpus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "reading.hpp"
#include "shard_file.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// A checksum of the sources' text and of where each ends.
std::uint64_t text_checksum(const std::vector<TextSource>& sources) {
  std::uint64_t sum = 0;
  for (const TextSource& source : sources) {
    const TextFile file(source);
    const std::string parts = fmt::format("{} {} {}", sum, file.checksum(), file.size());
    sum = checksum(parts.data(), parts.size());
  }
  return sum;
}

fs::path shard_path(const std::vector<TextSource>& sources, const fs::path& cache_directory) {
  std::string names;
  for (const TextSource& source : sources) {
    names += fs::absolute(source.path).lexically_normal().string();
    names += '\0';
    if (!source.whole()) names += fmt::format("{}-{}", source.begin, source.end) + '\0';
  }
  return cache_directory / fmt::format("tokens-{}.bin", checksum_hex(names.data(), names.size()));
}

struct EncodedBlock {
  std::vector<TokenId> tokens;
  CorpusInfo info;
};

void encode_block(const Block& block, const Tokenizer& tokenizer, EncodedBlock& out) {
  tokenizer.check_text(block.text, block.source->title(), block.offset);
  const bool bytes_kept = tokenizer.kind() == "byte";
  out.tokens.clear();
  out.info = {};
  out.info.characters = count_characters(block.text);
  out.info.bytes = static_cast<std::int64_t>(block.text.size());
  for_each_line(block, [&](std::string_view line, bool ended) {
    out.info.oov += tokenizer.encode(line, out.tokens);
    if (!ended) return;
    out.tokens.push_back(tokenizer.eos());
    ++out.info.lines;
    if (!bytes_kept && without_return(line).size() != line.size()) --out.info.characters;
  });
  // The newline that an unterminated last line lacks.
  if (block.ends_source && block.text.back() != '\n') ++out.info.characters;
}

/// Writes the tokens of blocks one after another, with a mark in place of empty lines and at the
/// end of files where the rule has one, and never two in a row.
class MarkedWriter {
 public:
  MarkedWriter(ShardWriter& out, const DocumentRule& rule, TokenId eos)
      : out_(out), rule_(rule), eos_(eos) {}

  /// Returns how many tokens were written.
  std::int64_t write(const std::vector<TokenId>& tokens, bool ends_source) {
    if (rule_.mark < 0) {
      out_.write(tokens);
      return static_cast<std::int64_t>(tokens.size());
    }
    marked_.clear();
    for (const TokenId token : tokens) {
      const bool empty = token == eos_ && line_is_empty_ && rule_.end == DocumentEnd::blank_lines;
      add(empty ? rule_.mark : token);
      line_is_empty_ = token == eos_;
    }
    if (ends_source) add(rule_.mark);
    out_.write(marked_);
    return static_cast<std::int64_t>(marked_.size());
  }

 private:
  void add(TokenId token) {
    if (token != rule_.mark || !after_mark_) marked_.push_back(token);
    after_mark_ = token == rule_.mark;
  }

  ShardWriter& out_;
  DocumentRule rule_;
  TokenId eos_;
  std::vector<TokenId> marked_;
  bool after_mark_ = true;  // a text does not begin with one
  bool line_is_empty_ = true;
};

/// What the tokens are made by: a mark is among them.
std::uint64_t rules_checksum(const Tokenizer& tokenizer, const DocumentRule& documents) {
  if (documents.mark < 0) return tokenizer.fingerprint();
  const std::string parts =
      fmt::format("{} {} {}", tokenizer.fingerprint(), name_of(documents.end), documents.mark);
  return checksum(parts.data(), parts.size());
}

struct Cutting {
  const Tokenizer& tokenizer;
  const DocumentRule& documents;
};

void write_shard(OutputFile& file, const std::vector<TextSource>& sources, const Cutting& by,
                 const ShardKey& key, const Progress& progress) {
  BlockReader reader(sources);
  ShardWriter writer(file, by.tokenizer.size());
  MarkedWriter marked(writer, by.documents, by.tokenizer.eos());
  CorpusInfo info;
  std::vector<EncodedBlock> encoded;
  reader.for_each_round(progress, "tokenising", [&](const std::vector<Block>& round) {
    encoded.resize(std::max(encoded.size(), round.size()));
    parallel_for(
        static_cast<std::int64_t>(round.size()), 1, [&](std::int64_t begin, std::int64_t end) {
          for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
            encode_block(round[i], by.tokenizer, encoded[i]);
          }
        });
    for (std::size_t i = 0; i < round.size(); ++i) {
      info.tokens += marked.write(encoded[i].tokens, round[i].ends_source);
      info.lines += encoded[i].info.lines;
      info.oov += encoded[i].info.oov;
      info.characters += encoded[i].info.characters;
      info.bytes += encoded[i].info.bytes;
    }
  });
  writer.finish(key, info);
}

/// What was read back of the file `name`; throws when that is nothing.
LoadedShard require_shard(std::optional<LoadedShard> loaded, const std::string& name) {
  if (loaded) return std::move(*loaded);
  throw Error(fmt::format(
      "cannot read back '{}' just after writing it: another process changed it, or the disk fails",
      name));
}

}  // namespace

TokenShards tokenize_corpus(const std::vector<TextSource>& sources, const Tokenizer& tokenizer,
                            const fs::path& cache_directory, const Progress& progress,
                            const DocumentRule& documents) {
  std::error_code error;
  fs::create_directories(cache_directory, error);
  if (error) {
    throw Error(fmt::format("cannot make the directory '{}': {}", cache_directory.string(),
                            error.message()));
  }
  const fs::path path = shard_path(sources, cache_directory);
  const ShardKey key{rules_checksum(tokenizer, documents), text_checksum(sources)};
  std::optional<LoadedShard> loaded = load_shard(path, key);
  if (!loaded) {
    AtomicFile file(path);
    write_shard(file, sources, {tokenizer, documents}, key, progress);
    file.commit();
    loaded = load_shard(path, key);
  }
  TokenShards tokens(require_shard(std::move(loaded), path.string()), tokenizer);
  return documents ? in_documents(tokens, sources, documents) : tokens;
}

TokenShards tokenize_uncached(const std::vector<TextSource>& sources, const Tokenizer& tokenizer,
                              const Progress& progress, const DocumentRule& documents) {
  const ShardKey key{tokenizer.fingerprint(), 0};  // nobody else will ask for the text
  ScratchFile file;
  write_shard(file, sources, {tokenizer, documents}, key, progress);
  const TokenShards tokens(require_shard(read_shard(file.reader(), key), "the file of tokens"),
                           tokenizer);
  return documents ? in_documents(tokens, sources, documents) : tokens;
}

}  // namespace sluice
