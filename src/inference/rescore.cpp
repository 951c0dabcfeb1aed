#include "sluice/inference/rescore.hpp"

#include <fmt/format.h>

#include <istream>
#include <set>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/text/line_parts.hpp"

namespace sluice {
namespace {

/// Hypotheses that are scored together: as many lists as fill some passes.
constexpr std::size_t most_hypotheses = 2048;

/// Reads hypotheses and hands on whole lists, many at once.
template <class Handle>
void for_each_lists(std::istream& in, const Rescorer& rescorer, const NbestCodec& codec,
                    Handle&& handle) {
  std::vector<Hypothesis> held;
  std::set<std::string> ended;
  std::string list;
  std::int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    Hypothesis hypothesis = rescorer.parse(codec, line, ++number);
    const bool sound = hypothesis.fault.empty();
    if (sound && hypothesis.list != list) {
      if (ended.contains(hypothesis.list)) {
        hypothesis.fault = fmt::format(
            "line {}: the list {} ended before, expected its hypotheses together; sort "
            "the file by list",
            number, in_quotes(hypothesis.list));
      } else {
        ended.insert(list);
        list = hypothesis.list;
        // Where nothing more is at hand, what is complete is not kept waiting.
        if (held.size() >= most_hypotheses || in.rdbuf()->in_avail() <= 0) {
          handle(held);
          held.clear();
        }
      }
    }
    held.push_back(std::move(hypothesis));
    if (!rescorer.options().best && in.rdbuf()->in_avail() <= 0) {
      handle(held);
      held.clear();
    }
  }
  handle(held);
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
                           const LineOutput& output) {
  const auto& [score, weights, best] = rescorer.options();
  std::int64_t failed = 0;
  const RescoreWeights totals = weights.value_or(RescoreWeights());
  for_each_lists(in, rescorer, codec, [&](std::vector<Hypothesis>& hypotheses) {
    rescorer.score(hypotheses);
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

std::vector<Hypothesis> read_rescored(std::istream& in, const Rescorer& rescorer,
                                      const NbestCodec& codec, const LineOutput& output,
                                      std::int64_t& failed) {
  std::vector<Hypothesis> all;
  for_each_lists(in, rescorer, codec, [&](std::vector<Hypothesis>& hypotheses) {
    rescorer.score(hypotheses);
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
