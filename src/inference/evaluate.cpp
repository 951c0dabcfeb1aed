#include "sluice/inference/evaluate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/inference/detail/pass_rows.hpp"

namespace sluice {
namespace {

/// Positions in one forward pass: enough rows for fast matrix products, little memory.
constexpr std::int64_t rows_per_pass = 2048;
constexpr std::int64_t most_segments = 32;
/// At most one position in this many is spent on warming up.
constexpr std::int64_t warm_up_share = 32;

/// A part of a text, up to `end`, read as `segments` windows side by side. Window s covers
/// positions [start + s·stride, start + s·stride + length) and scores them all but its first
/// `warm_up`, which the window before it scores; the first window scores all but its first `lead`.
struct Plan {
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::int64_t lead = 0;
  std::int64_t segments = 1;
  std::int64_t warm_up = 0;
  std::int64_t stride = 0;
  std::int64_t length = 0;
  std::int64_t chunk = 0;
};

Plan plan(std::int64_t size, std::optional<std::int64_t> receptive_field,
          const EvalOptions& options) {
  Plan plan;
  plan.warm_up = receptive_field ? *receptive_field - 1 : options.warm_up;
  plan.end = options.end > 0 ? options.end : size;
  plan.start = std::max<std::int64_t>(options.begin - plan.warm_up, 0);
  plan.lead = options.begin - plan.start;
  const std::int64_t tokens = plan.end - plan.start;
  // Segments of nothing but warm-up score nothing; more of them than tokens are of no use.
  const std::int64_t own = std::max<std::int64_t>(tokens - plan.warm_up, 1);
  plan.segments = !receptive_field && options.warm_up == 0 ? 1 : options.segments;
  if (plan.segments == 0) {
    const std::int64_t affordable =
        plan.warm_up == 0 ? most_segments : own / (warm_up_share * plan.warm_up);
    plan.segments = std::clamp<std::int64_t>(affordable, 1, most_segments);
  }
  plan.segments = std::min(plan.segments, own);
  plan.stride = (own + plan.segments - 1) / plan.segments;
  plan.length = std::min(plan.stride + plan.warm_up, tokens);
  plan.chunk =
      options.chunk > 0 ? options.chunk : std::max<std::int64_t>(rows_per_pass / plan.segments, 1);
  plan.chunk = std::min(plan.chunk, plan.length);
  return plan;
}

/// Parts of a corpus that are read in one pass, and the labels of their tokens if it has any.
struct CorpusPass {
  detail::PassRows rows;
  std::vector<std::int32_t> labels;

  /// The text of `state` reads `count` tokens from `begin` on, all but the first `skipped` scored.
  void add(const TokenShards& corpus, StackState& state, std::int64_t begin, std::int64_t count,
           std::int64_t skipped) {
    const auto row = static_cast<std::size_t>(rows.rows());
    std::vector<std::int32_t> targets(static_cast<std::size_t>(count));
    corpus.read_pairs(begin, count, rows.make_room(state, targets.size()).data(), targets.data());
    if (corpus.labels() != nullptr) {
      labels.resize(row + targets.size());
      corpus.labels()->read(begin, count, labels.data() + row);
    }
    for (auto t = static_cast<std::size_t>(skipped); t < targets.size(); ++t) {
      rows.ask(static_cast<std::int64_t>(row + t), targets[t]);
    }
  }
};

/// Reads the windows' tokens from `offset` on, at most plan.chunk of each.
CorpusPass read_pass(const Plan& plan, const TokenShards& corpus, std::int64_t offset,
                     std::vector<StackState>& states) {
  CorpusPass pass;
  const std::int64_t time = std::min(plan.chunk, plan.length - offset);
  for (std::int64_t s = 0; s < plan.segments; ++s) {
    const std::int64_t begin = plan.start + s * plan.stride + offset;
    const std::int64_t present = std::clamp<std::int64_t>(plan.end - begin, 0, time);
    if (present == 0) continue;
    const std::int64_t skipped =
        std::clamp<std::int64_t>((s == 0 ? plan.lead : plan.warm_up) - offset, 0, present);
    pass.add(corpus, states[static_cast<std::size_t>(s)], begin, present, skipped);
  }
  return pass;
}

/// A part of a document: read from `start` on, scored from `begin` to `end`.
struct Window {
  std::int64_t start = 0, begin = 0, end = 0;
};

/// Documents as windows, one after another. Long ones are several, each warmed up by what is before
/// it in the document, where that is exact or asked for.
class Windows {
 public:
  Windows(const TokenShards& corpus, std::optional<std::int64_t> receptive_field,
          const EvalOptions& options)
      : documents_(*corpus.documents()),
        next_(options.begin),
        end_(options.end > 0 ? options.end : corpus.size()) {
    if (!receptive_field && options.warm_up == 0) return;
    warm_up_ = receptive_field ? *receptive_field - 1 : options.warm_up;
    length_ = std::max(rows_per_pass, warm_up_share * warm_up_);
  }

  std::optional<Window> next() {
    if (next_ >= end_) return std::nullopt;
    const std::int64_t document = documents_.at(next_);
    const std::int64_t first = documents_.begin(document);
    Window window{first, next_, std::min(documents_.end(document), end_)};
    if (length_ > 0) {
      window.start = std::max(first, next_ - warm_up_);
      window.end = std::min(window.end, next_ + length_);
    }
    next_ = window.end;
    return window;
  }

 private:
  const DocumentEnds& documents_;
  std::int64_t next_, end_;
  std::int64_t warm_up_ = 0, length_ = 0;  // a length of 0: whole documents
};

/// Reads windows side by side, each from a state of nothing; one that is done makes room for the
/// next.
class WindowReader {
 public:
  WindowReader(const TokenShards& corpus, const Windows& windows, const EvalOptions& options)
      : corpus_(corpus),
        windows_(windows),
        chunk_(options.chunk),
        places_(static_cast<std::size_t>(options.segments > 0 ? options.segments : most_segments)) {
  }

  /// The next pass; one without rows when all is read.
  CorpusPass next() {
    std::vector<Place*> reading;
    for (Place& place : places_) {
      if (place.at == place.window.end) {
        const std::optional<Window> window = windows_.next();
        if (!window) continue;
        place = {*window, window->start, {}};
      }
      reading.push_back(&place);
    }
    CorpusPass pass;
    const auto texts = static_cast<std::int64_t>(std::max<std::size_t>(reading.size(), 1));
    const std::int64_t most =
        chunk_ > 0 ? chunk_ : std::max<std::int64_t>(rows_per_pass / texts, 1);
    for (Place* place : reading) read(*place, most, pass);
    return pass;
  }

 private:
  struct Place {
    Window window;
    std::int64_t at = 0;
    StackState state;
  };

  void read(Place& place, std::int64_t most, CorpusPass& pass) {
    const std::int64_t count = std::min(most, place.window.end - place.at);
    const std::int64_t skipped = std::clamp<std::int64_t>(place.window.begin - place.at, 0, count);
    pass.add(corpus_, place.state, place.at, count, skipped);
    place.at += count;
  }

  const TokenShards& corpus_;
  Windows windows_;
  std::int64_t chunk_;
  std::vector<Place> places_;
};

void check(std::int64_t vocabulary, const TokenShards& corpus, const EvalOptions& options) {
  if (options.segments < 0 || options.chunk < 0 || options.warm_up < 0) {
    throw UsageError(
        fmt::format("evaluate: segments, chunk and warm_up must not be negative, got {}, {} and {}",
                    options.segments, options.chunk, options.warm_up));
  }
  if (options.begin < 0 || options.end > corpus.size() ||
      options.begin >= (options.end > 0 ? options.end : corpus.size() + 1)) {
    throw UsageError(fmt::format("evaluate: tokens {} to {} are no part of a text of {}",
                                 options.begin, options.end, corpus.size()));
  }
  if (corpus.size() == 0) throw Error("evaluate: the text has no tokens; give it some");
  if (corpus.vocabulary() != vocabulary) {
    throw Error(
        fmt::format("evaluate: the text was cut into tokens of a vocabulary of {} and the "
                    "model has {}; use the model's tokenizer",
                    corpus.vocabulary(), vocabulary));
  }
}

/// Sums over tokens that were scored.
struct Sums {
  double nll = 0;
  /// Of those in the vocabulary.
  double known_nll = 0;
  std::int64_t tokens = 0, known = 0;

  void add(const Sums& other) {
    nll += other.nll;
    known_nll += other.known_nll;
    tokens += other.tokens;
    known += other.known;
  }
};

/// One evaluation: what is summed while a text is scored, and what it comes to.
class Summing {
 public:
  Summing(const TokenShards& corpus, const EvalOptions& options)
      : corpus_(corpus), options_(options), start_(std::chrono::steady_clock::now()) {}

  void add(std::span<const double> nll, std::span<const std::int32_t> targets) {
    for (std::size_t i = 0; i < nll.size(); ++i) {
      sums_.nll += nll[i];
      if (targets[i] == options_.unknown) continue;
      sums_.known_nll += nll[i];
      ++sums_.known;
    }
    sums_.tokens += static_cast<std::int64_t>(nll.size());
    if (options_.progress) options_.progress(sums_.tokens, corpus_.size());
  }
  void add(const Sums& sums) { sums_.add(sums); }
  const Sums& sums() const { return sums_; }

  EvalResult result() const {
    EvalResult result;
    result.nll = sums_.nll;
    result.tokens = sums_.tokens;
    result.perplexity = std::exp(result.nll / static_cast<double>(result.tokens));
    if (sums_.known > 0) {
      result.known_perplexity = std::exp(sums_.known_nll / static_cast<double>(sums_.known));
    }
    result.characters = corpus_.info().characters;
    if (result.characters > 0) {
      result.bits_per_character =
          result.nll / std::numbers::ln2 / static_cast<double>(result.characters);
    }
    result.oov = corpus_.info().oov;
    result.vocabulary = corpus_.vocabulary();
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    result.tokens_per_second = static_cast<double>(result.tokens) / result.seconds;
    return result;
  }

 private:
  const TokenShards& corpus_;
  const EvalOptions& options_;
  std::chrono::steady_clock::time_point start_;
  Sums sums_;
};

void add_pass(const FrozenModel& model, const CorpusPass& pass, Summing& summing) {
  Tensor hidden = pass.rows.read(model, pass.labels);
  if (pass.rows.targets().empty()) return;  // all of it warms up
  summing.add(pass.rows.nll(model, std::move(hidden)), pass.rows.targets());
}

Sums score_part(const FrozenModel& model, const TokenShards& corpus, const EvalOptions& options) {
  Summing summing(corpus, options);
  if (corpus.documents() != nullptr) {
    WindowReader reader(corpus, Windows(corpus, model.receptive_field(), options), options);
    for (CorpusPass pass = reader.next(); !pass.rows.empty(); pass = reader.next()) {
      add_pass(model, pass, summing);
    }
    return summing.sums();
  }
  const Plan plan = sluice::plan(corpus.size(), model.receptive_field(), options);
  std::vector<StackState> states(static_cast<std::size_t>(plan.segments));
  for (std::int64_t offset = 0; offset < plan.length; offset += plan.chunk) {
    add_pass(model, read_pass(plan, corpus, offset, states), summing);
  }
  return summing.sums();
}

/// Parts that a text is scored in when several processes may share them: at most this many, each
/// long enough for segments_per_part segments side by side that are as long as a segment should be.
constexpr std::int64_t most_parts = 64;
constexpr std::int64_t segments_per_part = 8;
constexpr std::int64_t least_segment = 256;

std::int64_t part_count(std::int64_t size, std::optional<std::int64_t> receptive_field) {
  if (!receptive_field) return 1;
  const std::int64_t segment = std::max(warm_up_share * (*receptive_field - 1), least_segment);
  return std::clamp<std::int64_t>(size / (segments_per_part * segment), 1, most_parts);
}

}  // namespace

EvalResult evaluate(const FrozenModel& model, const TokenShards& corpus,
                    const EvalOptions& options) {
  check(model.vocabulary(), corpus, options);
  Summing summing(corpus, options);
  summing.add(score_part(model, corpus, options));
  return summing.result();
}

EvalResult evaluate_parts(const FrozenModel& model, const TokenShards& corpus,
                          const EvalOptions& options, PieceWork& work) {
  check(model.vocabulary(), corpus, options);
  Summing summing(corpus, options);
  const std::int64_t size = corpus.size(), parts = part_count(size, model.receptive_field());
  const auto bound = [&](std::int64_t part) {
    return size / parts * part + size % parts * part / parts;
  };
  const auto results = work.map(parts, [&](std::int64_t part) {
    EvalOptions of_part = options;
    of_part.begin = bound(part);
    of_part.end = bound(part + 1);
    if (options.progress) {
      // What is before it others have, or are at.
      of_part.progress = [&](std::int64_t done, std::int64_t all) {
        options.progress(of_part.begin + done, all);
      };
    }
    return bytes_of_value(score_part(model, corpus, of_part));
  });
  for (const std::string& of_part : results) summing.add(values_of_bytes<Sums>(of_part).front());
  return summing.result();
}

namespace {

/// Calls body(nll, targets) for the tokens of the corpus, part by part.
template <class Body>
void for_each_token(const Predictor& predictor, const TokenShards& corpus,
                    const EvalOptions& options, Body&& body) {
  check(predictor.vocabulary(), corpus, options);
  const std::int64_t chunk = options.chunk > 0 ? options.chunk : rows_per_pass;
  const DocumentEnds whole({corpus.size()});
  const DocumentEnds& documents = corpus.documents() != nullptr ? *corpus.documents() : whole;
  for (std::int64_t i = 0; i < documents.count(); ++i) {
    PredictorState state;
    for (std::int64_t offset = documents.begin(i); offset < documents.end(i); offset += chunk) {
      const std::int64_t count = std::min(chunk, documents.end(i) - offset);
      std::vector<std::int32_t> inputs(static_cast<std::size_t>(count)), targets(inputs.size());
      corpus.read_pairs(offset, count, inputs.data(), targets.data());
      if (offset == documents.begin(i)) predictor.feed(state, std::span(inputs).first(1));
      body(predictor.nll(state, targets), targets);
    }
  }
}

}  // namespace

EvalResult evaluate(const Predictor& predictor, const TokenShards& corpus,
                    const EvalOptions& options) {
  Summing summing(corpus, options);
  for_each_token(predictor, corpus, options,
                 [&](const std::vector<double>& nll, const std::vector<std::int32_t>& targets) {
                   summing.add(nll, targets);
                 });
  return summing.result();
}

std::vector<double> token_nll(const Predictor& predictor, const TokenShards& corpus,
                              const EvalOptions& options) {
  std::vector<double> all;
  for_each_token(predictor, corpus, options,
                 [&](const std::vector<double>& nll, const std::vector<std::int32_t>&) {
                   all.insert(all.end(), nll.begin(), nll.end());
                   if (options.progress) {
                     options.progress(static_cast<std::int64_t>(all.size()), corpus.size());
                   }
                 });
  return all;
}

MixtureWeights tune_mixture(std::span<const std::vector<double>> nll) {
  if (nll.empty() || nll.front().empty()) {
    throw Error("mixture: weights are found for models on a text, and there is none of either");
  }
  const std::size_t models = nll.size(), tokens = nll.front().size();
  for (const std::vector<double>& model : nll) {
    if (model.size() == tokens) continue;
    throw Error(fmt::format("mixture: models read {} and {} tokens, expected the same text", tokens,
                            model.size()));
  }
  constexpr std::int64_t most_iterations = 1000;
  constexpr double settled = 1e-7;
  MixtureWeights result;
  result.weights.assign(models, 1 / static_cast<double>(models));
  for (double change = 1; change > settled && result.iterations < most_iterations;) {
    std::vector<double> share(models);
    double sum = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      // Relative to the model that knows best, so that nothing vanishes.
      double least = nll[0][t];
      for (const std::vector<double>& model : nll) least = std::min(least, model[t]);
      double total = 0;
      for (std::size_t m = 0; m < models; ++m) {
        total += result.weights[m] * std::exp(least - nll[m][t]);
      }
      for (std::size_t m = 0; m < models; ++m) {
        share[m] += result.weights[m] * std::exp(least - nll[m][t]) / total;
      }
      sum += least - std::log(total);
    }
    change = 0;
    for (std::size_t m = 0; m < models; ++m) {
      share[m] /= static_cast<double>(tokens);
      change = std::max(change, std::abs(share[m] - result.weights[m]));
    }
    result.weights = std::move(share);
    result.perplexity = std::exp(sum / static_cast<double>(tokens));
    ++result.iterations;
  }
  return result;
}

}  // namespace sluice
