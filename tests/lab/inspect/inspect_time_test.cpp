// Inspections: gradients over lags, loss over contexts.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "inspect_support.hpp"
#include "sluice/lab/inspect/inspect.hpp"
#include "support/model_configs.hpp"

namespace sluice::lab_test {
namespace {

using nlohmann::json;

/// Adds `delta` to one element of the token vectors.
class Nudge final : public Probe {
 public:
  Nudge(std::int64_t element, double delta) : element_(element), delta_(delta) {}
  bool wants(ProbePoint point) const override { return point == ProbePoint::embedded; }
  Variable see(const ProbePlace&, const Variable& x) override {
    const Tensor moved = x.value().clone();
    moved.data<double>()[element_] += delta_;
    return Variable(moved);
  }

 private:
  std::int64_t element_;
  double delta_;
};

class InspectTime : public Inspect {
 protected:
  /// The text's first `tokens` tokens.
  TokenShards part(std::int64_t tokens) const {
    std::vector<TokenId> ids(static_cast<std::size_t>(tokens));
    text_->read(0, tokens, ids.data());
    return {ids, tokenizer_->eos(), tokenizer_->size()};
  }

  /// The loss of token `target` after `context` tokens.
  static double loss_of(LanguageModel& model, const TokenShards& text, std::int64_t target,
                        std::int64_t context, Probe* probe) {
    const NoGrad guard;
    std::vector<TokenId> ids(static_cast<std::size_t>(context));
    std::vector<TokenId> targets = ids;
    text.read_pairs(target - context + 1, context, ids.data(), targets.data());
    ModelState state;
    const ForwardOptions options{.conv = ConvPath::direct, .probe = probe};
    const Variable hidden = model.hidden(ids, 1, context, state, options);
    const std::vector<std::int32_t> last = {static_cast<std::int32_t>(context - 1)};
    const std::vector<std::int32_t> next = {targets.back()};
    return *model.loss(gather_rows(hidden, last), next, options).value().data<double>();
  }

  ModelConfig recurrent(const std::string& arch) const {
    ModelConfig config = test::with_arch(this->config("", ""), arch);
    config.shape<RecurrentShape>().depth = 2;
    config.shape<RecurrentShape>().hidden = 8;
    return config;
  }
  ModelConfig transformer() const {
    ModelConfig config = test::with_arch(this->config("", ""), "transformer");
    config.shape<TransformerShape>() = {
        .depth = 2, .heads = 2, .window = 4, .positions = "none", .ffn = "swiglu", .ffn_width = 8};
    return config;
  }
};

// Every token of a short text, central differences of h = 2e-6; to 1e-7 of the largest norm.
TEST_F(InspectTime, LagGradientsEqualCentralDifferences) {
  constexpr std::int64_t lag = 4, dim = 6, tokens = 24;
  const TokenShards text = part(tokens);
  for (const ModelConfig& config : {this->config("[(8,3),(8,2,1)]", "glu"), recurrent("rnn"),
                                    recurrent("lstm"), transformer()}) {
    const auto model = make_model(config, 3, DType::f64);
    const json got = as_json(
        inspect_model(*model, *tokenizer_, text,
                      {.layers = false, .context = false, .most_lag = lag, .lag_positions = 1000}));
    const auto norms = got["lags"]["norm"].get<std::vector<double>>();
    ASSERT_EQ(norms.size(), lag + 1U);
    EXPECT_EQ(got["lags"]["positions"], tokens - 2 * lag);
    for (std::int64_t k = 0; k <= lag; ++k) {
      double mean = 0;
      for (std::int64_t target = 2 * lag; target < tokens; ++target) {
        double squares = 0;
        for (std::int64_t c = 0; c < dim; ++c) {
          constexpr double h = 2e-6;
          const std::int64_t element = (2 * lag - k) * dim + c;
          Nudge up(element, h);
          Nudge down(element, -h);
          const double slope = (loss_of(*model, text, target, 2 * lag + 1, &up) -
                                loss_of(*model, text, target, 2 * lag + 1, &down)) /
                               (2 * h);
          squares += slope * slope;
        }
        mean += std::sqrt(squares) / static_cast<double>(tokens - 2 * lag);
      }
      EXPECT_NEAR(norms[static_cast<std::size_t>(k)], mean, 1e-7 * std::max(1.0, norms[0]))
          << config.summary() << ", lag " << k;
    }
  }
}

TEST_F(InspectTime, NothingReachesBeyondTheReceptiveField) {
  const auto model = make_model(config("[(8,3),(8,1),(8,4,1)]", "glu"), 3);
  ASSERT_EQ(model->receptive_field(), 6);
  const json got = as_json(
      inspect_model(*model, *tokenizer_, *text_,
                    {.layers = false, .most_lag = 20, .lag_positions = 300, .most_context = 64}));
  for (std::size_t k = 0; k <= 20; ++k) {
    const double norm = got["lags"]["norm"][k];
    if (k < 6) {
      EXPECT_GT(norm, 0) << k;
    } else {
      EXPECT_EQ(norm, 0) << k;
    }
  }
  const auto loss = got["context"]["loss"].get<std::vector<double>>();
  EXPECT_EQ(got["context"]["tokens"], (std::vector<int>{1, 2, 4, 8, 16, 32, 64}));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_GT(std::abs(loss[i] - loss[3]), 1e-4) << i;
  for (std::size_t i = 4; i < loss.size(); ++i) EXPECT_NEAR(loss[i], loss[3], 1e-6) << i;
}

TEST_F(InspectTime, ContextLossesEqualOneWindowAtATime) {
  const TokenShards text = part(40);
  for (const ModelConfig& config : {this->config("[(8,3),(8,2,1)]", "glu"), recurrent("gru")}) {
    const auto model = make_model(config, 3, DType::f64);
    const json got = as_json(inspect_model(
        *model, *tokenizer_, text,
        {.layers = false, .lags = false, .most_context = 16, .context_positions = 1000}));
    const std::vector<std::int64_t> contexts = {1, 2, 4, 8, 16};
    ASSERT_EQ(got["context"]["tokens"], contexts);
    EXPECT_EQ(got["context"]["positions"], 25);
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      double sum = 0;
      for (std::int64_t target = 15; target < 40; ++target) {
        sum += loss_of(*model, text, target, contexts[i], nullptr);
      }
      EXPECT_NEAR(got["context"]["loss"][i], sum / 25, 1e-12);
      EXPECT_NEAR(got["context"]["perplexity"][i], std::exp(sum / 25), 1e-9);
    }
  }
}

// What is measured of documents is the mean of what is measured of each by itself, however the
// model reads; one that is too short for a lag or a context has no part in it.
TEST_F(InspectTime, NothingReachesAcrossDocuments) {
  const std::vector<std::int64_t> sizes = {24, 20, 2, 30};
  const TokenShards all = part(76);
  std::vector<TokenId> ids(76);
  all.read(0, 76, ids.data());
  const TokenShards documents =
      all.in_documents(std::make_shared<DocumentEnds>(std::vector<std::int64_t>{24, 44, 46, 76}));
  const InspectOptions options{
      .most_lag = 4, .lag_positions = 1000, .most_context = 4, .context_positions = 1000};
  for (const ModelConfig& config :
       {this->config("[(8,3),(8,2,1)]", "glu"), recurrent("lstm"), transformer()}) {
    const auto model = make_model(config, 3, DType::f64);
    const Inspection found = inspect_model(*model, *tokenizer_, documents, options);
    double loss = 0;
    std::vector<double> lags(5), contexts(3), surprisal;
    std::int64_t lag_positions = 0, context_positions = 0;
    auto first = ids.cbegin();
    for (const std::int64_t size : sizes) {
      const TokenShards one(std::vector<TokenId>(first, first + size), tokenizer_->eos(),
                            tokenizer_->size());
      first += size;
      const Inspection own = inspect_model(*model, *tokenizer_, one, options);
      loss += own.loss * static_cast<double>(size) / 76;
      for (const TokenSurprisal& token : own.surprisal) surprisal.push_back(token.nats);
      if (size < 16) continue;
      lag_positions += own.lags->positions;
      context_positions += own.context->positions;
      for (std::size_t k = 0; k < lags.size(); ++k) {
        lags[k] += own.lags->norm[k] * static_cast<double>(own.lags->positions);
      }
      for (std::size_t c = 0; c < contexts.size(); ++c) {
        contexts[c] += own.context->loss[c] * static_cast<double>(own.context->positions);
      }
    }
    EXPECT_NEAR(found.loss, loss, 1e-12);
    ASSERT_EQ(found.surprisal.size(), surprisal.size());
    for (std::size_t i = 0; i < surprisal.size(); ++i) {
      EXPECT_NEAR(found.surprisal[i].nats, surprisal[i], 1e-12) << i;
    }
    ASSERT_EQ(found.lags->norm.size(), lags.size());
    EXPECT_EQ(found.lags->positions, lag_positions);
    for (std::size_t k = 0; k < lags.size(); ++k) {
      EXPECT_NEAR(found.lags->norm[k], lags[k] / static_cast<double>(lag_positions), 1e-12) << k;
    }
    ASSERT_EQ(found.context->loss.size(), contexts.size());
    EXPECT_EQ(found.context->positions, context_positions);
    for (std::size_t c = 0; c < contexts.size(); ++c) {
      EXPECT_NEAR(found.context->loss[c], contexts[c] / static_cast<double>(context_positions),
                  1e-12);
    }
  }
}

// Half of the tokens at least have what a lag or a context needs.
TEST_F(InspectTime, ShortDocumentsHaveFewerLags) {
  const auto model = make_model(config("[(8,2)]", "glu"), 3);
  std::vector<std::int64_t> ends;
  for (std::int64_t end = 10; end <= 200; end += 10) ends.push_back(end);
  const TokenShards text = part(200).in_documents(std::make_shared<DocumentEnds>(std::move(ends)));
  const Inspection found =
      inspect_model(*model, *tokenizer_, text,
                    {.layers = false, .lag_positions = 1000, .context_positions = 1000});
  EXPECT_EQ(found.lags->norm.size(), 3U);  // 10 - 2 · 2 is half at least, 10 - 2 · 3 is not
  EXPECT_EQ(found.lags->positions, 20 * 6);
  EXPECT_EQ(found.context->tokens.back(), 4);  // 5 at most
  EXPECT_EQ(found.context->positions, 20 * 6);
}

TEST_F(InspectTime, ProgressEndsAtOneAndMayStopIt) {
  const auto model = make_model(config("[(8,2)]", "glu"), 3);
  std::vector<double> fractions;
  InspectOptions options{.tokens = 1500};
  options.progress = [&](double fraction, std::string_view) { fractions.push_back(fraction); };
  inspect_model(*model, *tokenizer_, *text_, options);
  EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
  EXPECT_DOUBLE_EQ(fractions.back(), 1);
  struct Stop {};
  options.progress = [&](double, std::string_view) { throw Stop(); };
  EXPECT_THROW(inspect_model(*model, *tokenizer_, *text_, options), Stop);
}

}  // namespace
}  // namespace sluice::lab_test
