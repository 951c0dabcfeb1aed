#include "sluice/text/corpus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

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
  std::int64_t write(std::span<const TokenId> tokens, bool ends_source) {
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

/// What comes of a block: how many tokens, which follow each other behind those of all its round,
/// and whether a source ends there.
struct BlockTokens {
  std::int64_t tokens = 0, ends_source = 0;
};

/// Has the text encoded, and writes it to `file` where one is given: in the process that leads.
void write_shard(OutputFile* file, const std::vector<TextSource>& sources, const Cutting& by,
                 const ShardKey& key, const Progress& progress, PieceWork& work) {
  BlockReader reader(sources);
  std::optional<ShardWriter> writer;
  std::optional<MarkedWriter> marked;
  if (file != nullptr) {
    writer.emplace(*file, by.tokenizer.size());
    marked.emplace(*writer, by.documents, by.tokenizer.eos());
  }
  CorpusInfo all;
  std::vector<EncodedBlock> encoded;
  const auto encode = [&](const Round& round) {
    const std::vector<Block>& blocks = round.blocks;
    encoded.resize(std::max(encoded.size(), blocks.size()));
    parallel_for(
        static_cast<std::int64_t>(blocks.size()), 1, [&](std::int64_t begin, std::int64_t end) {
          for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
            encode_block(blocks[i], by.tokenizer, encoded[i]);
          }
        });
    CorpusInfo info;
    std::vector<BlockTokens> of_blocks;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      of_blocks.push_back(
          {static_cast<std::int64_t>(encoded[i].tokens.size()), blocks[i].ends_source ? 1 : 0});
      info.tokens += of_blocks.back().tokens;
      info.lines += encoded[i].info.lines;
      info.oov += encoded[i].info.oov;
      info.characters += encoded[i].info.characters;
      info.bytes += encoded[i].info.bytes;
    }
    std::string bytes = pack(std::vector{bytes_of_value(info), bytes_of_values(of_blocks)});
    const auto before = static_cast<std::uint64_t>(bytes.size());
    bytes.insert(0, bytes_of_value(before));
    bytes.reserve(bytes.size() + static_cast<std::size_t>(info.tokens) * sizeof(TokenId));
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::vector<TokenId>& tokens = encoded[i].tokens;
      bytes.append(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof tokens[0]);
    }
    return bytes;
  };
  const auto write = [&](std::string_view result) {
    const auto before = values_of_bytes<std::uint64_t>(result.substr(0, sizeof(std::uint64_t)));
    result.remove_prefix(sizeof(std::uint64_t));
    const std::vector<std::string> facts = unpack(result.substr(0, before.front()));
    // The tokens lie as they must: a string's bytes begin where any value may, and what is before
    // them has a multiple of eight.
    const auto* tokens = reinterpret_cast<const TokenId*>(result.data() + before.front());
    for (const BlockTokens& block : values_of_bytes<BlockTokens>(facts[1])) {
      const auto count = static_cast<std::size_t>(block.tokens);
      all.tokens += marked->write({tokens, count}, block.ends_source != 0);
      tokens += count;
    }
    const auto info = values_of_bytes<CorpusInfo>(facts[0]).front();
    all.lines += info.lines;
    all.oov += info.oov;
    all.characters += info.characters;
    all.bytes += info.bytes;
  };
  reader.for_each_round(work, progress, "tokenising", encode, write);
  if (writer) writer->finish(key, all);
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
                            const DocumentRule& documents, PieceWork* shared) {
  OwnWork own;
  PieceWork& work = shared != nullptr ? *shared : own;
  std::error_code error;
  fs::create_directories(cache_directory, error);
  if (error) {
    throw Error(fmt::format("cannot make the directory '{}': {}", cache_directory.string(),
                            error.message()));
  }
  // What the text is called, and what it has in it, as the process that leads sees it.
  std::optional<LoadedShard> loaded;
  const std::vector<std::string> facts = unpack(work.share([&] {
    const fs::path path = shard_path(sources, cache_directory);
    const ShardKey key{rules_checksum(tokenizer, documents), text_checksum(sources)};
    loaded = load_shard(path, key, tokenizer.size());
    return pack(std::vector<std::string>{path.string(), bytes_of_value(key),
                                         bytes_of_value(loaded.has_value())});
  }));
  const fs::path path = facts[0];
  const auto key = values_of_bytes<ShardKey>(facts[1]).front();
  if (values_of_bytes<char>(facts[2]).front() == 0) {
    std::optional<AtomicFile> file;
    if (work.leads()) file.emplace(path);
    write_shard(file ? &*file : nullptr, sources, {tokenizer, documents}, key, progress, work);
    // Others read it when it is there.
    work.share([&] {
      file->commit();
      return std::string();
    });
  }
  if (!loaded) loaded = load_shard(path, key, tokenizer.size());
  TokenShards tokens(require_shard(std::move(loaded), path.string()), tokenizer);
  return documents ? in_documents(tokens, sources, documents) : tokens;
}

TokenShards tokenize_uncached(const std::vector<TextSource>& sources, const Tokenizer& tokenizer,
                              const Progress& progress, const DocumentRule& documents) {
  const ShardKey key{tokenizer.fingerprint(), 0};  // nobody else will ask for the text
  ScratchFile file;
  OwnWork work;
  write_shard(&file, sources, {tokenizer, documents}, key, progress, work);
  const TokenShards tokens(
      require_shard(read_shard(file.reader(), key, tokenizer.size()), "the file of tokens"),
      tokenizer);
  return documents ? in_documents(tokens, sources, documents) : tokens;
}

}  // namespace sluice
