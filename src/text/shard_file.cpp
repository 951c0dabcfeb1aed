#include "shard_file.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// The end of a shard file; before it are the tokens, from byte 0, padded to eight bytes. It is
/// written last, so a file that has one was written to the end. Numbers are little-endian, as on
/// every machine this runs on.
struct Footer {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t width = 0;  ///< bytes per token
  ShardKey key;
  CorpusInfo info;
  std::uint64_t checksum = 0;  ///< XXH3 of the tokens, their padding and the footer before this
};
static_assert(sizeof(Footer) == 80);

constexpr std::array<char, 8> shard_magic = {'S', 'L', 'U', 'I', 'T', 'O', 'K', '\n'};
/// To be raised when the format of the file changes, or the tokens that any tokenizer gives.
constexpr std::uint32_t shard_version = 1;

}  // namespace

TokenShards::Storage::Storage(std::vector<TokenId> tokens) : memory_(std::move(tokens)) {}

TokenShards::Storage::Storage(ReadableFile file, bool narrow)
    : file_(std::move(file)), narrow_(narrow) {}

void TokenShards::Storage::read(std::int64_t offset, std::int64_t n, TokenId* out) const {
  if (n == 0) return;
  const auto count = static_cast<std::size_t>(n);
  if (!file_) {
    std::copy_n(memory_.begin() + offset, count, out);
    return;
  }
  const auto first = static_cast<std::uint64_t>(offset);
  if (!narrow_) {
    file_->read(first * sizeof(TokenId), out, count * sizeof(TokenId));
    return;
  }
  // Into the second half of `out`, to be widened from there on: place i is read before it is
  // written.
  auto* const bytes = reinterpret_cast<std::byte*>(out);
  constexpr std::size_t width = sizeof(std::uint16_t);
  std::byte* const narrow = bytes + count * width;
  file_->read(first * width, narrow, count * width);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t token = 0;
    std::memcpy(&token, narrow + i * width, width);
    const TokenId wide = token;
    std::memcpy(bytes + i * sizeof(TokenId), &wide, sizeof wide);
  }
}

TokenShards::TokenShards(const std::vector<TokenId>& tokens, TokenId eos, std::int64_t vocabulary)
    : storage_(std::make_shared<const Storage>(tokens)), eos_(eos), vocabulary_(vocabulary) {
  info_.tokens = static_cast<std::int64_t>(tokens.size());
  for (const TokenId token : tokens) {
    if (token < 0 || token >= vocabulary) {
      throw Error(fmt::format("token {} is not in a vocabulary of {}", token, vocabulary));
    }
    info_.lines += token == eos ? 1 : 0;
  }
}

TokenShards::TokenShards(LoadedShard shard, const Tokenizer& tokenizer)
    : storage_(std::make_shared<const Storage>(std::move(shard.file), shard.narrow)),
      info_(shard.info),
      eos_(tokenizer.eos()),
      vocabulary_(tokenizer.size()) {}

void TokenShards::read(std::int64_t offset, std::int64_t n, TokenId* out) const {
  if (offset < 0 || n < 0 || offset > size() || n > size() - offset) {
    throw Error(fmt::format("cannot read {} tokens at {}: the corpus has {}", n, offset, size()));
  }
  storage_->read(offset, n, out);
}

void TokenShards::read_pairs(std::int64_t offset, std::int64_t n, TokenId* inputs,
                             TokenId* targets) const {
  read(offset, n, targets);
  if (n == 0) return;
  inputs[0] = eos_;
  if (offset > 0) read(offset - 1, 1, inputs);
  std::copy(targets, targets + n - 1, inputs + 1);
  if (!documents_) return;
  for (std::int64_t i = documents_->at(offset);
       i < documents_->count() && documents_->begin(i) < offset + n; ++i) {
    if (documents_->begin(i) >= offset) inputs[documents_->begin(i) - offset] = eos_;
  }
}

struct ShardWriter::Hash {
  Hash() : state(XXH3_createState()) { XXH3_64bits_reset(state); }
  ~Hash() { XXH3_freeState(state); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  XXH3_state_t* state;
  std::uint64_t bytes = 0;
};

namespace {

/// Whether all tokens of `T` in the bytes are of the vocabulary.
template <class T>
bool all_below(std::int64_t vocabulary, std::span<const char> bytes) {
  T most = 0;
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(T)) {
    T token = 0;
    std::memcpy(&token, bytes.data() + i, sizeof token);
    most = std::max(most, token);
  }
  return static_cast<std::int64_t>(most) < vocabulary;
}

/// Whether the footer has the checksum of what is before it, and all tokens are of the vocabulary:
/// a checksum is no signature, and tokens are indices.
bool is_whole(const ReadableFile& file, const Footer& footer, std::int64_t vocabulary) {
  constexpr std::uint64_t piece = std::uint64_t{1} << 20;
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       XXH3_freeState);
  XXH3_64bits_reset(state.get());
  const std::uint64_t bytes = file.size() - sizeof footer.checksum;
  const auto token_bytes = static_cast<std::uint64_t>(footer.info.tokens) * footer.width;
  std::vector<char> buffer(std::min(bytes, piece));
  bool known = true;
  for (std::uint64_t at = 0; at < bytes; at += piece) {
    const std::uint64_t n = std::min(piece, bytes - at);
    file.read(at, buffer.data(), n);
    XXH3_64bits_update(state.get(), buffer.data(), n);
    const std::span<const char> tokens(buffer.data(),
                                       at < token_bytes ? std::min(n, token_bytes - at) : 0);
    known = known && (footer.width == 2 ? all_below<std::uint16_t>(vocabulary, tokens)
                                        : all_below<std::uint32_t>(vocabulary, tokens));
  }
  return known && XXH3_64bits_digest(state.get()) == footer.checksum;
}

}  // namespace

ShardWriter::ShardWriter(OutputFile& file, std::int64_t vocabulary)
    : file_(file), hash_(std::make_unique<Hash>()), narrow_(vocabulary <= 65536) {}

ShardWriter::~ShardWriter() = default;

void ShardWriter::put(const void* data, std::size_t size) {
  XXH3_64bits_update(hash_->state, data, size);
  hash_->bytes += size;
  file_.write(data, size);
}

void ShardWriter::write(std::span<const TokenId> tokens) {
  if (narrow_) {
    narrow_buffer_.assign(tokens.begin(), tokens.end());
    put(narrow_buffer_.data(), narrow_buffer_.size() * sizeof(std::uint16_t));
  } else {
    put(tokens.data(), tokens.size_bytes());
  }
}

void ShardWriter::finish(const ShardKey& key, const CorpusInfo& info) {
  const std::uint64_t zeros = 0;
  put(&zeros, (8 - hash_->bytes % 8) % 8);
  Footer footer;
  footer.magic = shard_magic;
  footer.version = shard_version;
  footer.width = narrow_ ? 2 : 4;
  footer.key = key;
  footer.info = info;
  put(&footer, offsetof(Footer, checksum));
  footer.checksum = XXH3_64bits_digest(hash_->state);
  file_.write(&footer.checksum, sizeof footer.checksum);
}

std::optional<LoadedShard> load_shard(const std::filesystem::path& path, const ShardKey& key,
                                      std::int64_t vocabulary) {
  if (!std::filesystem::is_regular_file(path)) return std::nullopt;
  return read_shard(ReadableFile(path), key, vocabulary);
}

std::optional<LoadedShard> read_shard(ReadableFile file, const ShardKey& key,
                                      std::int64_t vocabulary) {
  const std::uint64_t size = file.size();
  if (size < sizeof(Footer)) return std::nullopt;
  Footer footer;
  file.read(size - sizeof footer, &footer, sizeof footer);
  if (footer.magic != shard_magic || footer.version != shard_version || footer.key != key ||
      (footer.width != 2 && footer.width != 4)) {
    return std::nullopt;
  }
  const std::uint64_t room = size - sizeof footer;
  const auto tokens = static_cast<std::uint64_t>(footer.info.tokens);
  if (footer.info.tokens < 0 || tokens > room / footer.width ||
      (tokens * footer.width + 7) / 8 * 8 != room || !is_whole(file, footer, vocabulary)) {
    return std::nullopt;
  }
  return LoadedShard{std::move(file), footer.info, footer.width == 2};
}

}  // namespace sluice
