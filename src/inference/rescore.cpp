#include "sluice/inference/rescore.hpp"

#include <fmt/format.h>

#include <deque>
#include <istream>
#include <optional>
#include <set>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/text/line_parts.hpp"

namespace sluice {
namespace {

/// Hypotheses that are scored together: as many lists as fill some passes.
constexpr std::size_t most_hypotheses = 2048;

/// Reads hypotheses, whole lists and many at once.
class ListReader {
 public:
  ListReader(std::istream& in, const Rescorer& rescorer, const NbestCodec& codec)
      : in_(in), rescorer_(rescorer), codec_(codec) {}

  /// The next lists; empty after the last.
  std::vector<Hypothesis> read() {
    for (std::string line; std::getline(in_, line);) {
      if (line.ends_with('\r')) line.pop_back();
      Hypothesis hypothesis = rescorer_.parse(codec_, line, ++number_);
      const bool complete =
          begins_list(hypothesis) && !held_.empty() && (held_.size() >= most_hypotheses || !more());
      std::vector<Hypothesis> lists;
      // Where nothing more is at hand, what is complete is not kept waiting.
      if (complete) lists.swap(held_);
      held_.push_back(std::move(hypothesis));
      if (complete) return lists;
      if (!rescorer_.options().best && !more()) break;
    }
    return std::exchange(held_, {});
  }
  /// Whether there is more at hand.
  bool more() const { return in_.rdbuf()->in_avail() > 0; }

 private:
  /// Whether a list begins; the fault of one that ended before.
  bool begins_list(Hypothesis& hypothesis) {
    if (!hypothesis.fault.empty() || hypothesis.list == list_) return false;
    if (ended_.contains(hypothesis.list)) {
      hypothesis.fault = fmt::format(
          "line {}: the list {} ended before, expected its hypotheses together; sort the file by "
          "list",
          number_, in_quotes(hypothesis.list));
      return false;
    }
    ended_.insert(list_);
    list_ = hypothesis.list;
    return true;
  }

  std::istream& in_;
  const Rescorer& rescorer_;
  const NbestCodec& codec_;
  std::vector<Hypothesis> held_;
  std::set<std::string> ended_;
  std::string list_;
  std::int64_t number_ = 0;
};

/// Reads lists, has them scored as pieces of `work`, and hands them on in order.
template <class Handle>
void for_each_lists(std::istream& in, const Rescorer& rescorer, const NbestCodec& codec,
                    PieceWork& work, Handle&& handle) {
  ListReader reader(in, rescorer, codec);
  std::deque<std::vector<Hypothesis>> under_way;
  const auto read = [&]() -> std::optional<PieceWork::Piece> {
    std::vector<Hypothesis> lists = reader.read();
    if (lists.empty()) return std::nullopt;
    std::vector<std::string> texts;
    for (const Hypothesis& each : lists) {
      if (each.fault.empty()) texts.push_back(each.text);
    }
    under_way.push_back(std::move(lists));
    return PieceWork::Piece{pack(texts), reader.more()};
  };
  const auto score = [&](std::string_view piece) {
    std::vector<Hypothesis> hypotheses;
    for (std::string& text : unpack(piece)) hypotheses.emplace_back().text = std::move(text);
    rescorer.score(hypotheses);
    std::vector<double> scores;
    scores.reserve(hypotheses.size());
    for (const Hypothesis& each : hypotheses) scores.push_back(each.log_probability);
    return bytes_of_values(scores);
  };
  const auto write = [&](std::string_view result) {
    const std::vector<double> scores = values_of_bytes<double>(result);
    auto next = scores.begin();
    for (Hypothesis& each : under_way.front()) {
      if (each.fault.empty()) each.log_probability = *next++;
    }
    handle(under_way.front());
    under_way.pop_front();
  };
  work.stream(read, score, write);
}

}  // namespace

Rescorer::Rescorer(std::shared_ptr<const Predictor> predictor, const Tokenizer& tokenizer,
                   const RescoreOptions& options)
    : predictor_(std::move(predictor)), tokenizer_(&tokenizer), options_(options) {
  // What a scorer refuses.
  const LineScorer checked(predictor_, tokenizer, options.score);
  const std::string& context = options.score.context;
  const std::size_t last = context.find_last_not_of(" \t");
  const std::size_t length = last == std::string::npos ? 0 : last + 1;
  blanks_ = context.substr(length);
  std::vector<std::int32_t> before = tokenizer.encode_prompt(context.substr(0, length));
  if (options.score.bos) before.insert(before.begin(), tokenizer.eos());
  if (before.empty() && !predictor_->predicts_start()) {
    throw UsageError(
        "rescore: without the end of a line before and without a context, a model cannot score the "
        "first word; give it one of them");
  }
  predictor_->feed(start_, before);
}

Hypothesis Rescorer::parse(const NbestCodec& codec, const std::string& line,
                           std::int64_t number) const {
  const std::string where = fmt::format("line {}", number);
  Hypothesis hypothesis;
  try {
    hypothesis = codec.parse(line, where);
    tokenizer_->check_text(hypothesis.text, where);
    if (hypothesis.text.find('\n') != std::string::npos) {
      throw Error(fmt::format("{}: the text has a line end in it, expected one line", where));
    }
  } catch (const Error& error) {
    hypothesis.fault = error.what();
  }
  hypothesis.line = line;
  hypothesis.words = static_cast<std::int64_t>(word_spans(hypothesis.text).size());
  return hypothesis;
}

void Rescorer::score(std::span<Hypothesis> hypotheses) const {
  std::vector<std::vector<std::int32_t>> texts;
  for (const Hypothesis& hypothesis : hypotheses) {
    std::vector<std::int32_t> ids;
    if (hypothesis.fault.empty()) {
      tokenizer_->encode(blanks_ + hypothesis.text, ids);
      if (options_.score.eos) ids.push_back(tokenizer_->eos());
    }
    texts.push_back(std::move(ids));
  }
  std::vector<double> sums;
  if (options_.score.deterministic) {
    for (const std::vector<std::int32_t>& text : texts) {
      PredictorState state = start_;
      double sum = 0;
      for (const double nll : predictor_->nll(state, text)) sum -= nll;
      sums.push_back(sum);
    }
  } else {
    sums = score_sharing_prefixes(*predictor_, start_, texts);
  }
  for (std::size_t i = 0; i < sums.size(); ++i) hypotheses[i].log_probability = sums[i];
}

std::int64_t rescore_lines(std::istream& in, const Rescorer& rescorer, const NbestCodec& codec,
                           const LineOutput& output, PieceWork& work) {
  const std::optional<RescoreWeights>& weights = rescorer.options().weights;
  const bool best = rescorer.options().best;
  std::int64_t failed = 0;
  const RescoreWeights totals = weights.value_or(RescoreWeights());
  for_each_lists(in, rescorer, codec, work, [&](std::vector<Hypothesis>& hypotheses) {
    const Hypothesis* leader = nullptr;
    const auto end_list = [&] {
      if (leader != nullptr) output.line(codec.best(*leader, totals.total(*leader)));
      leader = nullptr;
    };
    for (const Hypothesis& hypothesis : hypotheses) {
      if (!hypothesis.fault.empty()) {
        ++failed;
        output.fault(hypothesis.fault);
        if (!best) output.line(codec.failed(hypothesis));
      } else if (!best) {
        output.line(codec.write(hypothesis,
                                weights ? std::optional(totals.total(hypothesis)) : std::nullopt));
      } else {
        if (leader != nullptr && leader->list != hypothesis.list) end_list();
        if (leader == nullptr || totals.total(hypothesis) > totals.total(*leader)) {
          leader = &hypothesis;
        }
      }
    }
    end_list();
    output.flush();
  });
  return failed;
}

std::int64_t rescore_lines(std::istream& in, const Rescorer& rescorer, const NbestCodec& codec,
                           const LineOutput& output) {
  OwnWork work;
  return rescore_lines(in, rescorer, codec, output, work);
}

std::vector<Hypothesis> read_rescored(std::istream& in, const Rescorer& rescorer,
                                      const NbestCodec& codec, const LineOutput& output,
                                      std::int64_t& failed, PieceWork& work) {
  std::vector<Hypothesis> all;
  for_each_lists(in, rescorer, codec, work, [&](std::vector<Hypothesis>& hypotheses) {
    for (Hypothesis& hypothesis : hypotheses) {
      if (hypothesis.fault.empty()) {
        all.push_back(std::move(hypothesis));
      } else {
        ++failed;
        output.fault(hypothesis.fault);
      }
    }
  });
  return all;
}

}  // namespace sluice
