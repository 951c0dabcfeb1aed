#pragma once
// Tokenizers: text to token ids and back. All are immutable once made, and safe to use from many
// threads at once.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/base/progress.hpp"
#include "sluice/text/source.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// A token's number, 0 <= id < Tokenizer::size().
using TokenId = std::int32_t;

/// A Unicode normal form that text is brought into before it is cut: none, NFC (an accent and its
/// letter become one), or NFKC (ligatures, full-width letters and the like become ordinary ones,
/// too).
enum class Normalization { none, nfc, nfkc };
const EnumNames<Normalization>& enum_names(Normalization);

/// What tokenizer to train.
struct TokenizerOptions {
  /// "word": words between white space (Unicode's White_Space, the no-break and the ideographic
  /// space too), the WikiText convention. "char": Unicode code points.
  /// "byte": bytes. "bpe", "unigram": subwords trained by SentencePiece. Or a path to what others
  /// made, taken as it is: a SentencePiece model, a tokenizer.json, a list of words (one a line),
  /// fairseq's dict.txt, a tokenizer's file, or the directory of a model (is_tokenizer_path).
  std::string kind = "word";
  /// Tokens in the vocabulary, `<eos>` and `<unk>` included: the most frequent are kept. 0 means
  /// all for word and char, 8000 for bpe and unigram; byte has always 256. bpe and unigram stop
  /// early when the text offers no more subwords, and need at least 258 plus the text's alphabet.
  std::int64_t vocabulary = 0;
  /// word and char: tokens seen fewer times than this become `<unk>`.
  std::int64_t min_count = 1;
  /// All but byte: kept with the tokenizer, which applies it to every text it cuts.
  Normalization normalize = Normalization::none;
  /// bpe and unigram: texts that are tokens whatever is around them, without blanks.
  std::vector<std::string> symbols = {};
  /// word and char: the vocabulary has 256 tokens for bytes, and what it lacks is spelled in them;
  /// there is no `<unk>` then. bpe and unigram do that in any case.
  bool byte_fallback = false;
  /// Not empty: a text that is a token of its own, for DocumentRule::mark; of word, char, bpe and
  /// unigram, among symbols. No field: the model's configuration has it.
  std::string document_mark = {};
};

/// A vocabulary, and the rules for splitting text into it.
///
/// Text is lines ended by '\n'; every line, blank ones and an unterminated last one included, is
/// followed by eos(). All but "byte" drop one '\r' at the end of a line, so Windows line ends read
/// as Unix ones.
///
/// Ids of word, char, bpe and unigram are in order of falling frequency in the training text (ties
/// by bytes), as adaptive softmax needs them. Ids of byte are the bytes' values, those of what
/// others made are theirs.
///
/// Cutting a line before an ASCII blank that follows none never changes its tokens: encoding the
/// parts one after another gives the tokens of the whole. A run of 64 KiB without one is cut there
/// by every kind ("word": into several words).
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// "word", "char", "byte", "bpe" or "unigram".
  virtual std::string_view kind() const = 0;
  /// Number of tokens in the vocabulary.
  virtual std::int64_t size() const = 0;
  /// The token that ends each line.
  virtual TokenId eos() const = 0;
  /// The token for text outside the vocabulary; -1 when there is no such text (byte, and all that
  /// fall back to bytes).
  virtual TokenId unk() const = 0;

  /// Appends the tokens of one line, without its '\n' and without eos(), to `out`. The text must be
  /// valid (check_text); invalid UTF-8 gives unk() or a replacement, never undefined behaviour.
  /// Returns how many of the tokens are unk() because the text is not in the vocabulary; a "<unk>"
  /// in the text itself is an ordinary word.
  virtual std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const = 0;

  /// The text to print for `next` when `previous` was printed before it (eos() at the start): a
  /// word with a blank before it unless it starts a line; a character; bytes, which may be part of
  /// a UTF-8 sequence; "\n" for eos(). Throws Error when `next` is not in the vocabulary.
  virtual std::string text_after(TokenId previous, TokenId next) const = 0;

  /// A printable name of the token: "the", "<eos>", "<unk>", "▁the", "<0x41>". Throws Error when it
  /// is not in the vocabulary.
  virtual std::string token(TokenId id) const = 0;

  /// The bytes of the tokenizer's file.
  virtual std::string serialize() const = 0;
  /// "tokenizer.json" (word, char, byte) or "tokenizer.model" (bpe, unigram: a SentencePiece model
  /// that other programs read, too).
  virtual std::string_view file_name() const = 0;

  /// The tokens of a text to be continued: eos() for every '\n', none after an unterminated last
  /// line.
  std::vector<TokenId> encode_prompt(std::string_view text) const;
  /// The tokens of a whole text: of every line, each followed by eos().
  std::vector<TokenId> encode_text(std::string_view text) const;
  /// The text of tokens that start a line: the inverse of encode_text(), except for words that
  /// became `<unk>`, white space between words ("word"), normal forms and '\r' before '\n'.
  std::string decode(std::span<const TokenId> tokens) const;
  /// Throws Error naming `name` and the offset (plus `offset`) of the first bad byte when the
  /// tokenizer cannot take `text`: NUL bytes or invalid UTF-8, for all but "byte".
  void check_text(std::string_view text, const std::string& name, std::int64_t offset = 0) const;
  /// Replaces DIRECTORY/file_name() atomically, and removes other tokenizers' files.
  void save(const std::filesystem::path& directory) const;
  /// A checksum of serialize(): equal for tokenizers that tokenise alike.
  std::uint64_t fingerprint() const;
};

/// Whether TokenizerOptions::kind is a path: not the name of a kind, with a '/' or '.' in it or
/// there.
bool is_tokenizer_path(const std::string& kind);

/// The kinds of tokenizer, in the order in which help lists them.
const std::vector<std::string>& tokenizer_kinds();

/// The fields of TokenizerOptions (base/fields.hpp).
const FieldTable& tokenizer_fields();
FieldParts field_parts(TokenizerOptions& options);
FieldParts field_parts(const TokenizerOptions& options);

/// Trains a tokenizer on `sources` (see TextInputs for directories and the like). The result
/// depends on the options and the text alone. bpe and unigram learn from a sample of the lines when
/// there are more than 100 MB of them.
///
/// Throws UsageError for an unknown kind (nearest names), a vocabulary or min_count out of range,
/// and for choices that a file leaves none about; Error for a file that is missing, unreadable or a
/// directory, for NUL bytes or invalid UTF-8 (the offset of the first bad byte) and when there is
/// no text at all.
std::unique_ptr<Tokenizer> train_tokenizer(const TokenizerOptions& options,
                                           const std::vector<TextSource>& sources,
                                           const Progress& progress = {});
/// The same by all processes of `work`, which count parts of the text and all get the tokenizer
/// that one process makes. The sources are the same texts for all of them.
std::unique_ptr<Tokenizer> train_tokenizer(const TokenizerOptions& options,
                                           const std::vector<TextSource>& sources,
                                           const Progress& progress, PieceWork& work);

/// A tokenizer that somebody made: a SentencePiece model, Hugging Face's tokenizer.json, a list of
/// words (one a line), fairseq's dict.txt, a file that Tokenizer::save() wrote, or the directory of
/// a model. Of a list, `options` say the normal form and whether what is not in it is spelled in
/// bytes. In front of the words of a dict.txt stand the four tokens that it leaves out (<s>, <pad>,
/// </s>, <unk>), and </s> ends lines; a list that names neither "<eos>" nor "</s>" gets "<eos>" in
/// front, one without "<unk>" that, or the bytes, at the end. Throws Error for anything else,
/// UsageError for other options.
std::unique_ptr<Tokenizer> read_tokenizer(const std::filesystem::path& path,
                                          const TokenizerOptions& options = {});

/// A word tokenizer of these tokens, each once, "<eos>" and "<unk>" among them: words are what
/// ASCII blanks separate, the convention of n-gram toolkits.
std::unique_ptr<Tokenizer> make_word_tokenizer(std::vector<std::string> tokens);

/// Loads what save() wrote into `directory`. Throws Error when the file is missing, truncated or
/// not a tokenizer.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& directory);
/// Whether it is the name that some tokenizer's file has.
bool is_tokenizer_file(std::string_view name);
/// The file that load_tokenizer() reads there.
std::filesystem::path tokenizer_file(const std::filesystem::path& directory);
/// Removes what save() may have written into `directory`.
void remove_tokenizer(const std::filesystem::path& directory);

}  // namespace sluice
SLUICE_API_END
