// Subwords: SentencePiece, fed with counted words and with its pieces put in order of frequency.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <numeric>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "counting.hpp"
#include "kinds.hpp"
#include "normalize.hpp"
#include "piece_order.hpp"
#include "sentencepiece_model.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "sluice/text/documents.hpp"
#include "splitting.hpp"

namespace sluice {
namespace {

namespace sp = sentencepiece;

constexpr std::int64_t default_vocabulary = 8000;
constexpr std::int64_t sample_bytes = 100'000'000;
/// What lines end with in the models that are trained here, and in no others.
constexpr const char* own_eos = "<|eos|>";
constexpr std::string_view blank_mark = "\xE2\x96\x81";  // U+2581, SentencePiece's blank

/// Segments that were encoded before on this thread: text repeats its words, and a lookup is about
/// twenty times faster than segmentation.
class SegmentCache {
 public:
  /// Forgets what belongs to another tokenizer.
  void own(std::uint64_t owner) {
    if (owner_ == owner) return;
    owner_ = owner;
    forget();
  }
  bool append_to(std::string_view segment, std::vector<TokenId>& out) const {
    const auto found = entries_.find(segment);
    if (found == entries_.end()) return false;
    const auto begin = tokens_.begin() + found->second.first;
    out.insert(out.end(), begin, begin + found->second.second);
    return true;
  }
  void add(std::string_view segment, std::span<const TokenId> tokens) {
    constexpr std::size_t most_entries = 1U << 17;
    constexpr std::size_t longest = 64;
    if (segment.size() > longest) return;
    if (entries_.size() == most_entries) forget();
    entries_.emplace(segment, std::pair(static_cast<std::ptrdiff_t>(tokens_.size()),
                                        static_cast<std::ptrdiff_t>(tokens.size())));
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  }

 private:
  void forget() {
    entries_.clear();
    tokens_.clear();
  }

  std::uint64_t owner_ = 0;
  std::unordered_map<std::string, std::pair<std::ptrdiff_t, std::ptrdiff_t>, TextHash,
                     std::equal_to<>>
      entries_;
  std::vector<TokenId> tokens_;
};

class SubwordTokenizer final : public Tokenizer {
 public:
  /// Throws Error when `model` is not a model that this class trained.
  SubwordTokenizer(std::string model, const std::string& name) : model_(std::move(model)) {
    static std::atomic<std::uint64_t> instances{0};
    instance_ = ++instances;
    const auto refuse = [&](std::string_view why) {
      return Error(fmt::format("cannot load the tokenizer '{}': {}", name, why));
    };
    load_sentencepiece(processor_, model_, name);
    eos_ = processor_.eos_id();
    if (eos_ < 0) throw refuse("it has no end-of-line token");
    for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
      byte_ids_[byte] = processor_.PieceToId(fmt::format("<0x{:02X}>", byte));
      if (!processor_.IsByte(byte_ids_[byte])) throw refuse("it has no byte fallback");
    }
    bytes_.assign(static_cast<std::size_t>(processor_.GetPieceSize()), -1);
    for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
      bytes_[static_cast<std::size_t>(byte_ids_[byte])] = static_cast<int>(byte);
    }
    kind_ = model_kind(model_);
    if (kind_.empty()) throw refuse("it is neither a bpe nor a unigram model");
    // A normal form, and words, one a line.
    const std::string note = model_note(model_);
    if (note.empty()) return;
    std::size_t end = note.find('\n');
    try {
      form_ = parse_enum<Normalization>(note.substr(0, end));
    } catch (const Error&) {
      throw refuse("its normal form is unknown: it was written by a newer version");
    }
    while (end != std::string::npos) {
      const std::size_t begin = end + 1;
      end = note.find('\n', begin);
      words_.push_back(note.substr(begin, end - begin));
      const auto id =
          static_cast<TokenId>(processor_.GetPieceSize()) + static_cast<TokenId>(words_.size()) - 1;
      if (!may_be_added(words_.back()) || !ids_of_words_.emplace(words_.back(), id).second) {
        throw refuse("its added words are damaged");
      }
    }
  }

  /// The same with more words (with_words()).
  std::unique_ptr<Tokenizer> with(const std::vector<std::string>& words) const {
    std::string note(name_of(form_));
    for (const std::string& word : words_) note += '\n' + word;
    std::unordered_set<std::string> added;
    std::string buffer;
    for (const std::string& word : words) {
      const std::string text(normalized(word, form_, buffer));
      const bool fits = may_be_added(text) && !ids_of_words_.contains(text);
      if (fits && added.insert(text).second) note += '\n' + text;
    }
    return std::make_unique<SubwordTokenizer>(with_note(model_, note), kind_);
  }

  std::string_view kind() const override { return kind_; }
  std::int64_t size() const override {
    return processor_.GetPieceSize() + static_cast<std::int64_t>(words_.size());
  }
  TokenId eos() const override { return eos_; }
  TokenId unk() const override { return -1; }

  std::int64_t encode(std::string_view line, std::vector<TokenId>& out) const override {
    thread_local SegmentCache cache;
    cache.own(instance_);
    std::string buffer;
    for_each_segment(without_return(line), [&](std::string_view segment) {
      if (cache.append_to(segment, out)) return;
      const std::size_t before = out.size();
      const std::string_view text = normalized(segment, form_, buffer);
      const auto word = ids_of_words_.find(text);
      if (word != ids_of_words_.end()) {
        out.push_back(word->second);
      } else {
        encode_segment(text, out);
      }
      cache.add(segment, std::span(out).subspan(before));
    });
    return 0;
  }

  std::string text_after(TokenId /*previous*/, TokenId next) const override {
    require_token(next, size());
    if (next == eos_) return "\n";
    if (const std::string* const word = added_word(next)) return *word;
    const int byte = bytes_[static_cast<std::size_t>(next)];
    if (byte >= 0) return {static_cast<char>(byte)};
    if (processor_.IsUnknown(next)) return "\xEF\xBF\xBD";
    std::string text;
    std::string_view piece = processor_.IdToPiece(next);
    while (!piece.empty()) {
      const bool blank = piece.substr(0, blank_mark.size()) == blank_mark;
      text += blank ? ' ' : piece.front();
      piece.remove_prefix(blank ? blank_mark.size() : 1);
    }
    return text;
  }

  std::string token(TokenId id) const override {
    require_token(id, size());
    const std::string* const word = added_word(id);
    if (word == nullptr) return processor_.IdToPiece(id);
    std::string name;
    for (const char byte : *word) byte == ' ' ? name += blank_mark : name += byte;
    return name;
  }
  std::string serialize() const override { return model_; }
  std::string_view file_name() const override { return subword_file; }

 private:
  void encode_segment(std::string_view segment, std::vector<TokenId>& out) const {
    // SentencePiece would read a U+2581 in the text as a blank, so it is encoded as bytes.
    while (!segment.empty()) {
      const std::size_t mark = segment.find(blank_mark);
      const std::string_view plain = segment.substr(0, mark);
      if (!plain.empty()) {
        std::vector<int> ids;
        const auto status = processor_.Encode(plain, &ids);
        if (!status.ok()) {
          throw Error("cannot encode text: the tokenizer's model is damaged");
        }
        out.insert(out.end(), ids.begin(), ids.end());
      }
      if (mark == std::string_view::npos) return;
      for (const char byte : blank_mark) {
        out.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
      }
      segment.remove_prefix(mark + blank_mark.size());
    }
  }

  /// Whether the text is one segment.
  static bool may_be_added(std::string_view word) {
    return !word.empty() && word.size() < longest_segment && !is_blank(word.back()) &&
           segment_length(word) == word.size() && valid_text_length(word) == word.size() &&
           word.find(blank_mark) == std::string_view::npos;
  }
  /// Null for a piece of the model.
  const std::string* added_word(TokenId id) const {
    const auto pieces = static_cast<std::size_t>(processor_.GetPieceSize());
    const auto at = static_cast<std::size_t>(id);
    return at < pieces ? nullptr : &words_[at - pieces];
  }

  std::string model_;
  sp::SentencePieceProcessor processor_;
  std::string kind_;
  Normalization form_ = Normalization::none;
  TokenId eos_ = -1;
  std::array<TokenId, 256> byte_ids_{};
  std::vector<int> bytes_;  // by piece: the byte it stands for, or -1
  // Segments that are a token each, behind the model's pieces, which they leave as they are: it
  // would find symbols of its own inside longer words, too.
  std::vector<std::string> words_;
  std::unordered_map<std::string, TokenId, TextHash, std::equal_to<>> ids_of_words_;
  std::uint64_t instance_ = 0;
};

/// Sentences with their counts, as the trainer's tsv format has them.
class Sentences final : public sp::SentenceIterator {
 public:
  explicit Sentences(std::vector<std::string> lines) : lines_(std::move(lines)) {}
  bool done() const override { return at_ == lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sp::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> lines_;
  std::size_t at_ = 0;
};

/// Bytes of a sentence that the trainers take.
constexpr std::size_t longest_sentence = 4000;

using SortedCounts = std::vector<std::pair<std::string, std::int64_t>>;

/// What the trainer learns from: every word, with its count. The bpe trainer needs no more.
///
/// The unigram trainer takes as first candidates the substrings that different characters follow at
/// different places, most often seen first, each sentence as often as it stands there. Words in the
/// sentences one by one would all be followed by the same, the end; and so would they be in text
/// with a blank after every word, as WikiText is. So a frequent word goes in twice in a row, and
/// words stand in the list in proportion to their counts. Rare words do not go in twice: whole,
/// they would keep what they share, their endings, from becoming candidates. WikiText-2's
/// validation text takes 18% fewer of 8000 subwords than with the training text's lines as
/// sentences.
///
/// The trainers leave longer sentences out (those of text without blanks, say), so words are cut.
std::vector<std::string> sentences_of(const SortedCounts& words, bool unigram) {
  constexpr std::int64_t frequent = 20;
  constexpr std::int64_t most_sentences = 200'000;  // about; more words only if more are distinct
  std::int64_t total = 0;
  for (const auto& [word, count] : words) total += count;
  std::vector<std::string> sentences;
  const auto add = [&](std::string_view word, std::int64_t count) {
    const bool twice = unigram && count >= frequent && word.front() == ' ';
    const std::int64_t weight = twice ? count / 2 : count;
    const double share = static_cast<double>(weight) / static_cast<double>(total);
    const std::int64_t copies =
        unigram
            ? std::clamp<std::int64_t>(static_cast<std::int64_t>(share * most_sentences), 1, weight)
            : 1;
    for (std::int64_t i = 0; i < copies; ++i) {
      const std::int64_t rest = i == 0 ? weight % copies : 0;
      sentences.push_back(fmt::format("{}{}\t{}", word, twice ? word : "", weight / copies + rest));
    }
    if (twice && count % 2 == 1) sentences.push_back(fmt::format("{}\t1", word));
  };
  for (const auto& [word, count] : words) {
    // The trainer's own format reserves the tab; U+2581 is its blank.
    if (word.find('\t') != std::string::npos || word.find(blank_mark) != std::string::npos) {
      continue;
    }
    for_each_part(word, longest_sentence / 2,
                  [&, count = count](std::string_view part) { add(part, count); });
  }
  return sentences;
}

/// How often each token of `tokenizer` occurs in the words.
std::vector<std::int64_t> token_counts(const Tokenizer& tokenizer, const SortedCounts& words) {
  std::vector<std::int64_t> total(static_cast<std::size_t>(tokenizer.size()), 0);
  std::mutex mutex;
  parallel_for(
      static_cast<std::int64_t>(words.size()), 1024, [&](std::int64_t begin, std::int64_t end) {
        std::vector<std::int64_t> counts(total.size(), 0);
        std::vector<TokenId> tokens;
        for (std::int64_t i = begin; i < end; ++i) {
          const auto& [word, count] = words[static_cast<std::size_t>(i)];
          tokens.clear();
          tokenizer.encode(word, tokens);
          for (const TokenId token : tokens) {
            counts[static_cast<std::size_t>(token)] += count;
          }
        }
        const std::lock_guard<std::mutex> guard(mutex);
        std::transform(counts.begin(), counts.end(), total.begin(), total.begin(), std::plus<>());
      });
  return total;
}

}  // namespace

std::unique_ptr<Tokenizer> train_subword_tokenizer(const TokenizerOptions& options,
                                                   const std::vector<TextSource>& sources,
                                                   const Progress& progress, PieceWork& work) {
  const Counting counting{
      .unit = Unit::blank_word, .form = options.normalize, .sample_bytes = sample_bytes};
  TextCounts counts = count_units(sources, counting, progress, work);
  if (!work.leads()) return nullptr;
  const std::int64_t lines = counts.lines;
  const SortedCounts words = by_frequency(std::move(counts.units));
  std::vector<std::string> sentences = sentences_of(words, options.kind == "unigram");
  if (sentences.empty()) {
    throw Error(fmt::format("cannot train a {} tokenizer: the text in '{}' has no words",
                            options.kind, sources.front().path.string()));
  }
  const std::int64_t size = options.vocabulary == 0 ? default_vocabulary : options.vocabulary;
  if (progress) progress(0, "learning subwords");
  std::vector<std::string> symbols = options.symbols;
  if (!options.document_mark.empty()) symbols.push_back(options.document_mark);
  Sentences iterator(std::move(sentences));
  std::string model;
  const auto status = sp::SentencePieceTrainer::Train(
      {
          {"model_type", options.kind},
          {"vocab_size", std::to_string(size)},
          {"hard_vocab_limit", "false"},
          {"input_format", "tsv"},
          {"byte_fallback", "true"},
          {"normalization_rule_name", "identity"},
          {"add_dummy_prefix", "false"},
          {"remove_extra_whitespaces", "false"},
          {"allow_whitespace_only_pieces", "true"},
          {"user_defined_symbols", fmt::format("{}", fmt::join(symbols, ","))},
          {"unk_id", "0"},
          {"eos_id", "1"},
          {"bos_id", "-1"},
          // Not the usual names: the trainer ignores their occurrences in the text.
          {"unk_piece", "<|unk|>"},
          {"eos_piece", own_eos},
          // A fixed number: the order of its sums, and so the result, depends on it.
          {"num_threads", "8"},
          {"minloglevel", "4"},
      },
      &iterator, &model);
  if (!status.ok()) {
    // What SentencePiece says of it is for those who call that.
    throw Error(fmt::format(
        "cannot train a {} tokenizer of {} tokens: the text has more characters than fit, or fewer "
        "pieces; try another size",
        options.kind, size));
  }
  const std::string name = options.kind;
  if (options.normalize != Normalization::none) {
    model = with_note(model, name_of(options.normalize));
  }
  const SubwordTokenizer trained(model, name);
  std::vector<std::int64_t> used = token_counts(trained, words);
  used[static_cast<std::size_t>(trained.eos())] = lines;
  // How many documents there are is not known here; frequent tokens are the cheap ones.
  if (!options.document_mark.empty()) {
    used[static_cast<std::size_t>(
        document_rule(DocumentEnd::blank_lines, options.document_mark, trained).mark)] = lines;
  }
  std::vector<std::size_t> order(used.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return used[a] > used[b]; });
  return std::make_unique<SubwordTokenizer>(reorder_pieces(model, order), name);
}

bool takes_words(const Tokenizer& tokenizer) {
  return dynamic_cast<const SubwordTokenizer*>(&tokenizer) != nullptr;
}

std::unique_ptr<Tokenizer> with_words(const Tokenizer& before,
                                      const std::vector<std::string>& words) {
  return dynamic_cast<const SubwordTokenizer&>(before).with(words);
}

std::unique_ptr<Tokenizer> parse_subword_tokenizer(std::string_view bytes,
                                                   const std::string& name) {
  if (!has_piece(bytes, own_eos)) return make_sentencepiece_tokenizer(std::string(bytes), name);
  return std::make_unique<SubwordTokenizer>(std::string(bytes), name);
}

}  // namespace sluice
