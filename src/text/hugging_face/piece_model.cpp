#include "piece_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>

#include "../splitting.hpp"
#include "steps.hpp"

namespace sluice {
namespace {

/// "vocab" of an object of names and numbers.
PieceIds read_vocabulary(const Value& model, const FieldPlace& place) {
  const Value& vocabulary = need_field(model, "vocab", place);
  const auto* const fields = vocabulary.as<Value::Object>();
  if (fields == nullptr) place.field("vocab").refuse("an object", vocabulary);
  const std::int64_t most = most_number(fields->size());
  PieceIds ids;
  ids.reserve(fields->size());
  for (const auto& [name, value] : *fields) {
    const auto* const id = value.as<std::int64_t>();
    if (id == nullptr || *id < 0 || *id > most) {
      place.field("vocab").refuse(fmt::format("a token's number, {} at most", most), value);
    }
    if (!ids.emplace(name, static_cast<TokenId>(*id)).second) {
      place.refuse(fmt::format("token '{}' is there twice", name));
    }
  }
  return ids;
}

std::string optional_text(const Value& model, std::string_view name) {
  const Value* const found = model.find(name);
  const auto* const text = found == nullptr ? nullptr : found->as<std::string>();
  return text == nullptr ? "" : *text;
}

/// Byte-pair encoding (Sennrich et al. 2016).
class Bpe final : public PieceModel {
 public:
  Bpe(const Value& model, const FieldPlace& place)
      : prefix_(optional_text(model, "continuing_subword_prefix")),
        suffix_(optional_text(model, "end_of_word_suffix")),
        fuse_(flag_field(model, "fuse_unk", false)),
        whole_first_(flag_field(model, "ignore_merges", false)) {
    const Value* const dropout = model.find("dropout");
    if (dropout != nullptr && !dropout->is_null()) {
      place.refuse("dropout of merges is not supported");
    }
    ids_ = read_vocabulary(model, place);
    if (const std::string unk = optional_text(model, "unk_token"); !unk.empty()) unk_ = id_of(unk);
    if (flag_field(model, "byte_fallback", false)) find_bytes();
    const Value& merges = need_field(model, "merges", place);
    const auto* const list = merges.as<Value::List>();
    if (list == nullptr) place.field("merges").refuse("a list", merges);
    for (const Value& merge : *list) add_merge(merge, place.field("merges"));
  }

  std::string_view kind() const override { return "bpe"; }

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    if (whole_first_) {
      if (const TokenId id = id_of(piece); id >= 0) {
        out.push_back(id);
        return;
      }
    }
    std::vector<TokenId> start = letters(piece);
    merge(start, out);
  }

 private:
  struct Merge {
    std::int64_t rank;
    TokenId made;
  };
  static std::uint64_t key(TokenId a, TokenId b) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(a)) << 32U |
           static_cast<std::uint32_t>(b);
  }

  void add_merge(const Value& merge, const FieldPlace& place) {
    std::string left, right;
    if (const auto* const text = merge.as<std::string>()) {
      const std::size_t blank = text->find(' ');
      if (blank == std::string::npos) place.refuse("two tokens", merge);
      left = text->substr(0, blank);
      right = text->substr(blank + 1);
    } else {
      const auto* const pair = merge.as<Value::List>();
      const bool two = pair != nullptr && pair->size() == 2 &&
                       (*pair)[0].as<std::string>() != nullptr &&
                       (*pair)[1].as<std::string>() != nullptr;
      if (!two) place.refuse("two tokens", merge);
      left = *(*pair)[0].as<std::string>();
      right = *(*pair)[1].as<std::string>();
    }
    const std::string tail = right.starts_with(prefix_) ? right.substr(prefix_.size()) : right;
    const TokenId a = id_of(left), b = id_of(right), made = id_of(left + tail);
    if (a < 0 || b < 0 || made < 0) {
      place.refuse(
          fmt::format("'{}' and '{}' or what they make is not in the vocabulary", left, right));
    }
    merges_.try_emplace(key(a, b), Merge{static_cast<std::int64_t>(merges_.size()), made});
  }

  /// The tokens of the characters.
  std::vector<TokenId> letters(std::string_view piece) const {
    std::vector<TokenId> tokens;
    const std::size_t all = piece.size();
    std::size_t at = 0;
    bool unknown_before = false;
    while (at < all) {
      const std::size_t length = whole_characters(piece.substr(at), 1);
      const std::string_view letter = piece.substr(at, length);
      std::string name = (at > 0 ? prefix_ : "") + std::string(letter);
      at += length;
      if (at == all) name += suffix_;
      const TokenId id = id_of(name);
      if (id >= 0) {
        tokens.push_back(id);
      } else {
        add_unknown(name, fuse_ && unknown_before, tokens);
      }
      unknown_before = id < 0;
    }
    return tokens;
  }

  /// Merges neighbours, those of the lowest rank first, the leftmost of them first.
  void merge(std::vector<TokenId>& tokens, std::vector<TokenId>& out) const {
    struct Candidate {
      std::int64_t rank;
      std::size_t left, right;
      TokenId a, b, made;
      bool operator>(const Candidate& other) const {
        return rank != other.rank ? rank > other.rank : left > other.left;
      }
    };
    const std::size_t none = tokens.size();
    std::vector<std::size_t> before(none), after(none);
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    const auto offer = [&](std::size_t left, std::size_t right) {
      if (left == none || right == none) return;
      const auto found = merges_.find(key(tokens[left], tokens[right]));
      if (found == merges_.end()) return;
      queue.push(
          {found->second.rank, left, right, tokens[left], tokens[right], found->second.made});
    };
    for (std::size_t i = 0; i < none; ++i) {
      before[i] = i == 0 ? none : i - 1;
      after[i] = i + 1;
    }
    for (std::size_t i = 0; i + 1 < none; ++i) offer(i, i + 1);
    while (!queue.empty()) {
      const Candidate best = queue.top();
      queue.pop();
      // What has merged since is no more.
      if (tokens[best.left] != best.a || tokens[best.right] != best.b ||
          after[best.left] != best.right) {
        continue;
      }
      tokens[best.left] = best.made;
      tokens[best.right] = -1;
      after[best.left] = after[best.right];
      if (after[best.left] != none) before[after[best.left]] = best.left;
      offer(before[best.left], best.left);
      offer(best.left, after[best.left]);
    }
    for (std::size_t i = 0; i < none; i = after[i]) out.push_back(tokens[i]);
  }

  std::string prefix_, suffix_;
  bool fuse_, whole_first_;
  std::unordered_map<std::uint64_t, Merge> merges_;
};

/// The longest token first (Schuster & Nakajima 2012; Devlin et al. 2019).
class WordPiece final : public PieceModel {
 public:
  WordPiece(const Value& model, const FieldPlace& place)
      : prefix_(optional_text(model, "continuing_subword_prefix")) {
    ids_ = read_vocabulary(model, place);
    unk_ = id_of(text_field(model, "unk_token", place));
    if (unk_ < 0) place.refuse("its unk_token is not in the vocabulary");
    const Value* const most = model.find("max_input_chars_per_word");
    if (most != nullptr && most->as<std::int64_t>() != nullptr) most_ = *most->as<std::int64_t>();
    for (const auto& [name, id] : ids_) longest_ = std::max(longest_, name.size());
  }

  std::string_view kind() const override { return "wordpiece"; }

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    const std::size_t before = out.size();
    const auto characters =
        std::count_if(piece.begin(), piece.end(), [](char c) { return !continues_character(c); });
    std::size_t at = 0;
    while (characters <= most_ && at < piece.size()) {
      std::size_t length = std::min(piece.size() - at, longest_);
      TokenId id = -1;
      for (; length > 0; --length) {
        const bool cut = at + length < piece.size() && continues_character(piece[at + length]);
        if (cut) continue;
        id = id_of((at > 0 ? prefix_ : "") + std::string(piece.substr(at, length)));
        if (id >= 0) break;
      }
      if (id < 0) break;
      out.push_back(id);
      at += length;
    }
    if (at == piece.size()) return;
    out.resize(before);
    out.push_back(unk_);
  }

 private:
  std::string prefix_;
  std::int64_t most_ = 100;
  std::size_t longest_ = 0;
};

/// The likeliest cut, tokens being independent of one another (Kudo 2018).
class Unigram final : public PieceModel {
 public:
  Unigram(const Value& model, const FieldPlace& place) {
    const Value& vocabulary = need_field(model, "vocab", place);
    const auto* const list = vocabulary.as<Value::List>();
    if (list == nullptr) place.field("vocab").refuse("a list", vocabulary);
    double least = 0;
    for (const Value& each : *list) {
      const auto* const pair = each.as<Value::List>();
      const bool whole = pair != nullptr && pair->size() == 2;
      const auto* const name = whole ? (*pair)[0].as<std::string>() : nullptr;
      const auto* const real = whole ? (*pair)[1].as<double>() : nullptr;
      const auto* const integer = whole ? (*pair)[1].as<std::int64_t>() : nullptr;
      if (name == nullptr || (real == nullptr && integer == nullptr)) {
        place.field("vocab").refuse("a token and its score", each);
      }
      const double score = real != nullptr ? *real : static_cast<double>(*integer);
      ids_.insert_or_assign(*name, static_cast<TokenId>(scores_.size()));
      scores_.push_back(score);
      least = std::min(least, score);
      longest_ = std::max(longest_, name->size());
    }
    const Value* const unk = model.find("unk_id");
    if (unk != nullptr && unk->as<std::int64_t>() != nullptr) {
      unk_ = static_cast<TokenId>(*unk->as<std::int64_t>());
      if (unk_ < 0 || static_cast<std::size_t>(unk_) >= scores_.size()) {
        place.refuse("its unk_id is not in the vocabulary");
      }
    }
    if (flag_field(model, "byte_fallback", false)) find_bytes();
    constexpr double penalty = 10;
    unknown_score_ = least - penalty;
  }

  std::string_view kind() const override { return "unigram"; }

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    struct Best {
      double score = -std::numeric_limits<double>::infinity();
      std::size_t from = 0;
      TokenId id = -1;
    };
    std::vector<Best> best(piece.size() + 1);
    best[0].score = 0;
    for (std::size_t at = 0; at < piece.size(); at += whole_characters(piece.substr(at), 1)) {
      const std::size_t letter = whole_characters(piece.substr(at), 1);
      for (std::size_t length = letter; length <= std::min(longest_, piece.size() - at);
           length +=
           at + length < piece.size() ? whole_characters(piece.substr(at + length), 1) : 1) {
        const TokenId id = id_of(piece.substr(at, length));
        if (id < 0) continue;
        const double score = best[at].score + scores_[static_cast<std::size_t>(id)];
        if (score > best[at + length].score) best[at + length] = {score, at, id};
      }
      // Less than of any letter that is known.
      const double unknown = best[at].score + unknown_score_;
      if (unknown > best[at + letter].score) best[at + letter] = {unknown, at, -1};
    }
    std::vector<std::pair<std::size_t, std::size_t>> cuts;
    for (std::size_t end = piece.size(); end > 0; end = best[end].from) {
      cuts.emplace_back(best[end].from, end);
    }
    bool unknown_before = false;
    for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
      const TokenId id = best[cut->second].id;
      if (id >= 0 && id != unk_) {
        out.push_back(id);
        unknown_before = false;
      } else {
        add_unknown(piece.substr(cut->first, cut->second - cut->first), unknown_before, out);
        unknown_before = true;
      }
    }
  }

 private:
  std::vector<double> scores_;
  std::size_t longest_ = 0;
  double unknown_score_ = 0;
};

}  // namespace

std::int64_t most_number(std::size_t tokens) {
  // Files leave few numbers out. Every number costs memory, also those that nobody uses.
  constexpr std::int64_t spare = 10'000;
  return 2 * static_cast<std::int64_t>(tokens) + spare;
}

void PieceModel::find_bytes() {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const TokenId id = id_of(fmt::format("<0x{:02X}>", byte));
    if (id < 0) {
      bytes_.clear();
      return;
    }
    bytes_.push_back(id);
  }
}

void PieceModel::add_unknown(std::string_view text, bool fuse, std::vector<TokenId>& out) const {
  if (spells_bytes()) {
    for (const char byte : text) out.push_back(bytes_[static_cast<unsigned char>(byte)]);
  } else if (unk_ >= 0 && !fuse) {
    out.push_back(unk_);
  }
}

std::unique_ptr<const PieceModel> read_piece_model(const Value& model, const FieldPlace& place) {
  const Value* const named = model.find("type");
  // Files of older versions do not say it: Unigram alone has a list for a vocabulary.
  std::string type = named == nullptr ? "" : text_field(model, "type", place);
  if (type.empty()) {
    const Value* const vocabulary = model.find("vocab");
    const bool list = vocabulary != nullptr && vocabulary->as<Value::List>() != nullptr;
    type = model.find("merges") != nullptr ? "BPE" : list ? "Unigram" : "WordPiece";
  }
  if (type == "BPE") return std::make_unique<Bpe>(model, place);
  if (type == "WordPiece") return std::make_unique<WordPiece>(model, place);
  if (type == "Unigram") return std::make_unique<Unigram>(model, place);
  place.refuse(
      fmt::format("its model '{}' is not supported: BPE, Unigram and WordPiece are", type));
}

}  // namespace sluice
