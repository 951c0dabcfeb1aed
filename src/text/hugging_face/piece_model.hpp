#pragma once
// The models of Hugging Face tokenizers: from a piece of text to tokens.

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "../counting.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/value.hpp"
#include "sluice/text/tokenizer.hpp"

namespace sluice {

/// Tokens by name.
using PieceIds = std::unordered_map<std::string, TokenId, TextHash, std::equal_to<>>;

/// Cuts pieces of text into tokens of a vocabulary. Immutable.
class PieceModel {
 public:
  virtual ~PieceModel() = default;
  /// Appends the tokens of a piece that is not empty.
  virtual void encode(std::string_view piece, std::vector<TokenId>& out) const = 0;
  /// "bpe", "unigram" or "wordpiece".
  virtual std::string_view kind() const = 0;
  const PieceIds& ids() const { return ids_; }
  /// -1: there is none.
  TokenId unk() const { return unk_; }
  /// Whether what is not in the vocabulary is spelled in tokens <0x00> to <0xFF>.
  bool spells_bytes() const { return !bytes_.empty(); }

 protected:
  TokenId id_of(std::string_view name) const {
    const auto found = ids_.find(name);
    return found == ids_.end() ? -1 : found->second;
  }
  /// Finds the bytes' tokens; spells_bytes() stays false when one is missing.
  void find_bytes();
  /// Appends what stands for text that is not in the vocabulary: its bytes; or unk(), once for
  /// those that follow one another when `fuse`; or nothing.
  void add_unknown(std::string_view text, bool fuse, std::vector<TokenId>& out) const;

  PieceIds ids_;
  TokenId unk_ = -1;
  std::vector<TokenId> bytes_;
};

/// The largest number that a token of a file of so many may have.
std::int64_t most_number(std::size_t tokens);

/// The model that a tokenizer.json's "model" describes: BPE, Unigram or WordPiece. Throws, as
/// `place` says, for others and for what is malformed.
std::unique_ptr<const PieceModel> read_piece_model(const Value& model, const FieldPlace& place);

}  // namespace sluice
