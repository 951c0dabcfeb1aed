// SentencePiece models that others trained, as they are: with their normalisation and their blanks.
#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <array>
#include <utility>

#include "kinds.hpp"
#include "piece_order.hpp"
#include "sentencepiece_model.hpp"
#include "sluice/base/error.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

constexpr std::string_view piece_blank = "\xE2\x96\x81";  // U+2581

/// Encodes as SentencePiece does, a line at a time: pieces may reach over blanks, and a line may
/// get a blank in front. So only lines that are longer than any piece and any block are cut.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(std::string model, const std::string& name) : model_(std::move(model)) {
    const auto refuse = [&](std::string_view why) {
      return Error(fmt::format("cannot load the tokenizer '{}': {}", name, why));
    };
    load_sentencepiece(processor_, model_, name);
    eos_ = processor_.eos_id();
    if (eos_ < 0) {
      throw refuse(
          "it has no end-of-sentence piece, with which lines end here; train it with one "
          "(SentencePiece's eos_id)");
    }
    kind_ = model_kind(model_);
    if (kind_.empty()) throw refuse("it is neither a bpe nor a unigram model");
    prefix_ = adds_blank(model_);
    bytes_.assign(static_cast<std::size_t>(processor_.GetPieceSize()), -1);
    std::size_t found = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const int id = processor_.PieceToId(fmt::format("<0x{:02X}>", byte));
      if (!processor_.IsByte(id)) continue;
      bytes_[static_cast<std::size_t>(id)] = static_cast<int>(byte);
      ++found;
    }
    unk_ = found == 256 ? -1 : processor_.unk_id();
  }

  std::string_view kind() const override { return kind_; }
  std::int64_t size() const override { return processor_.GetPieceSize(); }
  TokenId eos() const override { return eos_; }
  TokenId unk() const override { return unk_; }

  std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const override {
    std::int64_t unknown = 0;
    line = without_return(line);
    while (!line.empty()) {
      std::size_t size = 0;
      while (size < line.size()) {
        const std::size_t next = segment_length(line.substr(size));
        if (size > 0 && size + next > longest_segment) break;
        size += next;
      }
      std::vector<int> ids;
      const auto status = processor_.Encode(line.substr(0, size), &ids);
      if (!status.ok()) {
        throw Error("cannot encode text: the tokenizer's model is damaged");
      }
      for (const int id : ids) unknown += id == unk_ ? 1 : 0;
      out.insert(out.end(), ids.begin(), ids.end());
      line.remove_prefix(size);
    }
    return unknown;
  }

  std::string text_after(TokenId previous, TokenId next) const override {
    require_token(next, size());
    if (next == eos_) return "\n";
    const int byte = bytes_[static_cast<std::size_t>(next)];
    if (byte >= 0) return {static_cast<char>(byte)};
    if (processor_.IsUnknown(next)) return "\xEF\xBF\xBD";
    if (processor_.IsControl(next)) return "";
    std::string text;
    std::string_view piece = processor_.IdToPiece(next);
    if (previous == eos_ && prefix_ && piece.starts_with(piece_blank)) {
      piece.remove_prefix(piece_blank.size());
    }
    while (!piece.empty()) {
      const bool blank = piece.starts_with(piece_blank);
      text += blank ? ' ' : piece.front();
      piece.remove_prefix(blank ? piece_blank.size() : 1);
    }
    return text;
  }

  std::string token(TokenId id) const override {
    require_token(id, size());
    return processor_.IdToPiece(id);
  }
  std::string serialize() const override { return model_; }
  std::string_view file_name() const override { return subword_file; }

 private:
  std::string model_;
  sentencepiece::SentencePieceProcessor processor_;
  std::string kind_;
  TokenId eos_ = -1;
  TokenId unk_ = -1;
  bool prefix_ = true;      // a line gets a blank in front
  std::vector<int> bytes_;  // by token: the byte it stands for, or -1
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string model,
                                                        const std::string& name) {
  return std::make_unique<SentencePieceTokenizer>(std::move(model), name);
}

}  // namespace sluice
