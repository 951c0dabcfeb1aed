// /v1/score, /v1/rescore, /v1/perplexity and /v1/next.
#include <gtest/gtest.h>

#include <cmath>

#include "server/support.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/inference/next.hpp"
#include "sluice/inference/score.hpp"
#include "sluice/inference/session.hpp"

namespace sluice::server_test {
namespace {

TEST(ScoreRoute, LinesScoreAsTheLibrarySays) {
  for (const std::string kind : {"char", "word", "byte"}) {
    const Serving serving([&](ServerOptions& options, const Models& models) {
      options.models = {models.add("m", kind)};
    });
    const LoadedFrozenModel loaded = load_frozen_model(serving.models.path("m"));
    std::vector<std::string> lines;
    for (int i = 0; i < 40; ++i)
      lines.push_back(
          std::string("the cat sat on a mat").substr(0, static_cast<std::size_t>(i % 21)));
    const auto expected = score_lines(*loaded.model, *loaded.tokenizer, lines);
    const json answer = serving.post("/v1/score", {{"lines", lines}, {"words", true}}).object();
    ASSERT_EQ(answer["lines"].size(), lines.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const json& line = answer["lines"][i];
      EXPECT_NEAR(line["log_probability"], expected[i].log_probability,
                  1e-5 * std::abs(expected[i].log_probability));
      EXPECT_EQ(line["tokens"], expected[i].tokens);
      EXPECT_EQ(line["oov"], expected[i].oov);
      double sum = 0;
      std::int64_t tokens = 0;
      for (const json& word : line["words"]) {
        sum += word["log_probability"].get<double>();
        tokens += word["token_count"].get<std::int64_t>();
      }
      EXPECT_NEAR(sum, line["log_probability"], 1e-9);
      EXPECT_EQ(tokens, line["tokens"]);
      EXPECT_EQ(line["words"].back()["text"], "\n");
    }
  }
}

TEST(ScoreRoute, TextsAreToldOfWordByWord) {
  const Serving serving;
  EXPECT_TRUE(serving.post("/v1/score", {{"text", ""}}).object()["perplexity"].is_null());
  const std::string text = "the cat\n\na  \u00fcber dog ";
  const json answer =
      serving.post("/v1/score", {{"text", text}, {"words", true}, {"alternatives", 4}}).object();
  std::vector<std::string> words;
  std::vector<std::vector<int>> places;
  for (const json& word : answer["words"]) {
    words.push_back(word["text"]);
    places.push_back({word["begin"], word["end"]});
    for (const json& token : word["tokens"]) {
      ASSERT_EQ(token["expected"].size(), 4U);
      const auto rank = token["rank"].get<std::size_t>();
      EXPECT_GE(rank, 1U);
      if (rank <= 4) {
        EXPECT_EQ(token["expected"][rank - 1]["log_probability"], token["log_probability"]);
      } else {
        EXPECT_LE(token["log_probability"], token["expected"][3]["log_probability"]);
      }
    }
  }
  EXPECT_EQ(words,
            (std::vector<std::string>{"the", "cat", "\n", "\n", "a", "\u00fcber", "dog", " "}));
  EXPECT_EQ(places, (std::vector<std::vector<int>>{
                        {0, 3}, {4, 7}, {7, 8}, {8, 9}, {9, 10}, {12, 16}, {17, 20}, {21, 21}}));
  // The same text behind a context.
  const json first = serving.post("/v1/score", {{"text", "the ca"}}).object();
  const json rest = serving.post("/v1/score", {{"text", "t sat"}, {"context", "the ca"}}).object();
  const json whole = serving.post("/v1/score", {{"text", "the cat sat"}}).object();
  EXPECT_NEAR(first["log_probability"].get<double>() + rest["log_probability"].get<double>(),
              whole["log_probability"], 1e-4);
  EXPECT_EQ(serving.post("/v1/score", {{"text", ""}, {"words", true}}).object()["tokens"], 0);
}

TEST(ScoreRoute, PerplexityIsWhatEvaluationFinds) {
  const Serving serving;
  const LoadedFrozenModel loaded = load_frozen_model(serving.models.path("small"));
  const json answer = serving.post("/v1/perplexity", {{"text", sample}}).object();
  double nll = 0;
  Session session = loaded.model->session();
  std::int32_t before = loaded.tokenizer->eos();
  const auto ids = loaded.tokenizer->encode_text(sample);
  for (const std::int32_t id : ids) {
    session.feed(before);
    nll -= session.log_probabilities().span<float>()[static_cast<std::size_t>(id)];
    before = id;
  }
  EXPECT_EQ(answer["tokens"], ids.size());
  EXPECT_NEAR(answer["nll"], nll, 1e-4 * nll);
  EXPECT_NEAR(answer["perplexity"], std::exp(nll / static_cast<double>(ids.size())), 1e-3);
}

TEST(ScoreRoute, RescoringPutsTheBestFirst) {
  const Serving serving;
  const json request = {
      {"hypotheses",
       {{{"text", "zzz"}, {"score", -1}}, {{"text", "the cat"}, {"score", -2}}, "a dog"}},
      {"weight", 0.5},
      {"word_bonus", 2}};
  const json answer = serving.post("/v1/rescore", request).object();
  const json scores = serving.post("/v1/score", {{"lines", {"zzz", "the cat", "a dog"}}}).object();
  double before = INFINITY;
  for (const json& one : answer["hypotheses"]) {
    const auto i = one["index"].get<std::size_t>();
    const double words = i == 0 ? 1 : 2, given = i == 0 ? -1 : i == 1 ? -2 : 0;
    const double total =
        given + 0.5 * scores["lines"][i]["log_probability"].get<double>() + 2 * words;
    EXPECT_NEAR(one["total"], total, 1e-4);
    EXPECT_LE(one["total"], before);
    before = one["total"];
  }
  EXPECT_EQ(answer["best"], answer["hypotheses"][0]["text"]);
}

TEST(ScoreRoute, ALongNameComesBackShort) {
  const Serving serving;
  const Answer answer = serving.post("/v1/score", {{std::string(100'000, 'x'), 1}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_LT(answer.body.size(), 1000U);
  EXPECT_TRUE(answer.object()["error"]["param"].get<std::string>().starts_with("xxx"));
}

TEST(ScoreRoute, FaultsAreNamed) {
  const Serving serving([](ServerOptions& options, const Models&) { options.max_prompt = 30; });
  const auto refused = [&](const std::string& route, const json& request,
                           const std::string& param) {
    const Answer answer = serving.post(route, request);
    EXPECT_EQ(answer.status, 400) << request << answer.body;
    EXPECT_EQ(answer.object()["error"]["param"], param) << request;
  };
  refused("/v1/score", json::object(), "text");
  refused("/v1/score", {{"text", "a"}, {"lines", {"b"}}}, "text");
  refused("/v1/score", {{"lines", {"a", "b\nc"}}}, "lines[1]");
  refused("/v1/score", {{"text", std::string(31, 'a')}}, "text");
  refused("/v1/score", {{"text", "a"}, {"alternatives", 2}}, "alternatives");
  refused("/v1/perplexity", {{"text", ""}}, "text");
  refused("/v1/perplexity", json::object(), "text");
  refused("/v1/rescore", {{"hypotheses", json::array()}}, "hypotheses");
  refused("/v1/rescore", {{"hypotheses", {{{"txt", "a"}}}}}, "hypotheses");
  refused("/v1/next", {{"n", 0}}, "n");
  refused("/v1/next", {{"text", std::string(31, 'a')}}, "text");
}

TEST(NextRoute, WordsAreTheLibrarys) {
  const Serving serving;
  const LoadedFrozenModel loaded = load_frozen_model(serving.models.path("small"));
  const NextText next(make_predictor(loaded.model), *loaded.tokenizer);
  // What the text ends in is completed, unless it is told what words begin with.
  struct Case {
    std::string text, before, begun;
  };
  for (const Case& one : {Case{"the cat ", "the cat ", ""},
                          {"the ca", "the ", "ca"},
                          {"", "", ""},
                          {"the\nca", "the\n", "ca"}}) {
    const auto expected = next.words(one.before, {.top = 7, .starting_with = one.begun});
    json request = {{"text", one.text}, {"n", 7}};
    const json answer = serving.post("/v1/next", request).object();
    ASSERT_EQ(answer["next"].size(), expected.words.size());
    for (std::size_t i = 0; i < expected.words.size(); ++i) {
      EXPECT_EQ(answer["next"][i]["text"], expected.words[i].text);
      EXPECT_EQ(one.begun + answer["next"][i]["insert"].get<std::string>(), expected.words[i].text);
      EXPECT_NEAR(answer["next"][i]["probability"], expected.words[i].probability, 1e-9);
    }
    request = {{"text", one.before}, {"starting_with", one.begun}, {"n", 7}};
    EXPECT_EQ(serving.post("/v1/next", request).object()["next"], answer["next"]);
  }
}

TEST(NextRoute, WordModelsNameTheirWords) {
  const Serving serving([](ServerOptions& options, const Models& models) {
    options.models = {models.add("m", "word")};
  });
  const LoadedFrozenModel loaded = load_frozen_model(serving.models.path("m"));
  Session session = loaded.model->session();
  session.feed(std::vector<std::int32_t>{loaded.tokenizer->eos(),
                                         loaded.tokenizer->encode_prompt("the").front()});
  const Tensor logs = session.log_probabilities();
  const json answer = serving.post("/v1/next", {{"text", "the "}, {"n", 3}}).object();
  ASSERT_EQ(answer["next"].size(), 3U);
  for (const json& one : answer["next"]) {
    const auto id = loaded.tokenizer->encode_prompt(one["text"].get<std::string>()).front();
    EXPECT_NEAR(one["probability"], std::exp(logs.span<float>()[static_cast<std::size_t>(id)]),
                1e-6);
  }
}

}  // namespace
}  // namespace sluice::server_test
