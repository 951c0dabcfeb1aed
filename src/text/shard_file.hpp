#pragma once
// The file of a tokenised corpus: header, tokens, checksum.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sluice/base/detail/readable_file.hpp"
#include "sluice/base/file.hpp"
#include "sluice/text/corpus.hpp"

namespace sluice {

/// What a shard file was made from.
struct ShardKey {
  std::uint64_t tokenizer = 0;  ///< Tokenizer::fingerprint
  std::uint64_t text = 0;       ///< checksum of the text
  bool operator==(const ShardKey&) const = default;
};

/// Where a TokenShards' tokens are: two or four bytes each, in a file or in memory.
class TokenShards::Storage {
 public:
  explicit Storage(std::vector<TokenId> tokens);
  Storage(ReadableFile file, bool narrow);
  void read(std::int64_t offset, std::int64_t n, TokenId* out) const;

 private:
  std::vector<TokenId> memory_;
  std::optional<ReadableFile> file_;
  bool narrow_ = false;  // tokens are uint16
};

/// Writes a shard file.
class ShardWriter {
 public:
  /// Vocabularies of at most 65536 take two bytes per token. `file` must outlive it.
  ShardWriter(OutputFile& file, std::int64_t vocabulary);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  void write(std::span<const TokenId> tokens);
  void finish(const ShardKey& key, const CorpusInfo& info);

 private:
  struct Hash;
  void put(const void* data, std::size_t size);

  OutputFile& file_;
  std::unique_ptr<Hash> hash_;
  std::vector<std::uint16_t> narrow_buffer_;
  bool narrow_;
};

/// A shard file that is whole, and made from what `key` says.
struct LoadedShard {
  ReadableFile file;
  CorpusInfo info;
  bool narrow;
};

/// The shard in `file`; nothing when it is made from something else, of another version, cut short,
/// damaged, or has tokens that are not below `vocabulary`.
std::optional<LoadedShard> read_shard(ReadableFile file, const ShardKey& key,
                                      std::int64_t vocabulary);
/// The same of the file at `path`; nothing when it is missing, or no regular file.
std::optional<LoadedShard> load_shard(const std::filesystem::path& path, const ShardKey& key,
                                      std::int64_t vocabulary);

}  // namespace sluice
