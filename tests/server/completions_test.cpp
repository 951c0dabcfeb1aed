// /v1/completions: every field, in the shapes that OpenAI's clients and lm-evaluation-harness read.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/support.hpp"
#include "sluice/inference/generate.hpp"
#include "sluice/inference/score.hpp"

namespace sluice::server_test {
namespace {

using namespace std::string_literals;

const char* const route = "/v1/completions";

json completed(const Serving& serving, const json& request) {
  const Answer answer = serving.post(route, request);
  EXPECT_EQ(answer.status, 200) << answer.body;
  return answer.object();
}

std::string text_of(const json& answer, std::size_t choice = 0) {
  return answer["choices"][choice]["text"];
}

TEST(Completions, TextIsWhatGenerateMakes) {
  const Serving serving;
  const LoadedFrozenModel loaded = load_frozen_model(serving.models.path("small"));
  GenerateOptions options;
  options.tokens = 30;
  options.sampling.seed = 5;
  for (const std::string prompt : {"the cat", "", "the cat sat\nthe "}) {
    const auto expected = generate(*loaded.model, *loaded.tokenizer, prompt, options);
    const json answer = completed(serving, {{"prompt", prompt}, {"max_tokens", 30}, {"seed", 5}});
    EXPECT_EQ(text_of(answer), expected.text);
    EXPECT_EQ(answer["object"], "text_completion");
    EXPECT_EQ(answer["model"], "small");
    EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
    EXPECT_TRUE(answer["choices"][0]["logprobs"].is_null());
    EXPECT_EQ(answer["usage"]["prompt_tokens"], prompt.size());
    EXPECT_EQ(answer["usage"]["completion_tokens"], 30);
    EXPECT_EQ(answer["usage"]["total_tokens"], prompt.size() + 30);
  }
}

TEST(Completions, PromptMayBeAText_TextsIdsOrListsOfThem) {
  const Serving serving;
  const json ids = serving.post("/tokenize", {{"prompt", "the cat"}}).object()["tokens"];
  const json other = serving.post("/tokenize", {{"prompt", "a dog"}}).object()["tokens"];
  const json rest = {{"max_tokens", 8}, {"temperature", 0}};
  const auto with = [&](const json& prompt) {
    json request = rest;
    request["prompt"] = prompt;
    return completed(serving, request);
  };
  const json cat = with("the cat"), dog = with("a dog");
  EXPECT_EQ(text_of(with(ids)), text_of(cat));
  for (const json& both : {with({"the cat", "a dog"}), with({ids, other})}) {
    ASSERT_EQ(both["choices"].size(), 2U);
    EXPECT_EQ(text_of(both, 0), text_of(cat));
    EXPECT_EQ(text_of(both, 1), text_of(dog));
    EXPECT_EQ(both["choices"][1]["index"], 1);
    EXPECT_EQ(both["usage"]["completion_tokens"], 16);
  }
  EXPECT_EQ(text_of(with(nullptr)), text_of(with("")));
}

/// Adds up what lm-evaluation-harness does of an answer to its request.
struct Harness {
  double sum = 0;
  bool greedy = true;
};
Harness harness(const json& choice, std::size_t context) {
  const json& logs = choice["logprobs"]["token_logprobs"];
  const json& top = choice["logprobs"]["top_logprobs"];
  Harness result;
  for (std::size_t i = context; i + 1 < logs.size(); ++i) {
    result.sum += logs[i].get<double>();
    double best = -INFINITY;
    for (const auto& [name, log] : top[i].items()) best = std::max(best, log.get<double>());
    result.greedy = result.greedy && best == logs[i].get<double>();
  }
  return result;
}

TEST(Completions, HarnessSumsAreScores) {
  for (const std::string kind : {"char", "word", "byte", "bpe"}) {
    const Serving serving([&](ServerOptions& options, const Models& models) {
      std::string text;
      for (int i = 0; i < 40; ++i)
        text += sample + "zebra quartz jumps vexing fowl " + std::to_string(i) + "\n";
      options.models = {models.add("m", kind, 12, text)};
    });
    const LoadedFrozenModel loaded = load_frozen_model(serving.models.path("m"));
    const std::vector<std::string> lines = {"the cat sat on the mat", "a dog saw", "day"};
    const auto scores = score_lines(*loaded.model, *loaded.tokenizer, lines);
    const std::string end = serving.get("/tokenizer_info").object()["eos_token"];
    const auto encode = [&](const std::string& text) {
      return serving.post("/tokenize", {{"prompt", text}, {"add_special_tokens", false}})
          .object()["tokens"];
    };
    ASSERT_EQ(encode(end).size(), 1U) << kind;
    json prompts = json::array();
    for (const std::string& line : lines) {
      // The empty context is the end of a text; the line's own end is scored, too.
      json ids = encode(end);
      for (const auto& id : encode(line + end)) ids.push_back(id);
      prompts.push_back(ids);
    }
    const json answer = completed(serving, {{"model", "m"},
                                            {"prompt", prompts},
                                            {"temperature", 0},
                                            {"max_tokens", 1},
                                            {"logprobs", 1},
                                            {"seed", 1234},
                                            {"echo", true}});
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const json& choice = answer["choices"][i];
      const json& logprobs = choice["logprobs"];
      ASSERT_EQ(logprobs["token_logprobs"].size(), prompts[i].size() + 1) << kind;
      EXPECT_EQ(logprobs["tokens"].size(), prompts[i].size() + 1);
      EXPECT_EQ(logprobs["text_offset"].size(), prompts[i].size() + 1);
      EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
      EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
      EXPECT_NEAR(harness(choice, 1).sum, scores[i].log_probability,
                  1e-5 * std::abs(scores[i].log_probability))
          << kind;
    }
  }
}

TEST(Completions, GreedyContinuationsAreToldByEquality) {
  const Serving serving;
  const json made = completed(serving, {{"prompt", "the "}, {"max_tokens", 6}, {"temperature", 0}});
  const auto ask = [&](const std::string& text) {
    const json answer = completed(
        serving,
        {{"prompt", text}, {"max_tokens", 1}, {"logprobs", 1}, {"temperature", 0}, {"echo", true}});
    return harness(answer["choices"][0], 4).greedy;
  };
  EXPECT_TRUE(ask("the " + text_of(made)));
  EXPECT_FALSE(ask("the zq"));
}

TEST(Completions, LogprobsNameTokensAndOffsets) {
  const Serving serving;
  const json answer = completed(
      serving,
      {{"prompt", "the cat"}, {"max_tokens", 5}, {"logprobs", 3}, {"seed", 1}, {"echo", true}});
  const json& choice = answer["choices"][0];
  const json& logprobs = choice["logprobs"];
  std::string together;
  for (std::size_t i = 0; i < logprobs["tokens"].size(); ++i) {
    EXPECT_EQ(logprobs["text_offset"][i], together.size());
    together += logprobs["tokens"][i].get<std::string>();
    if (i == 0) {
      EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
      EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
      continue;
    }
    const json& top = logprobs["top_logprobs"][i];
    EXPECT_GE(top.size(), 3U);
    EXPECT_LE(top.size(), 4U);
    EXPECT_EQ(top[logprobs["tokens"][i].get<std::string>()], logprobs["token_logprobs"][i]);
  }
  EXPECT_EQ(together, text_of(answer));
  EXPECT_TRUE(together.starts_with("the cat"));
  // Without the prompt; none but the tokens' own; only the prompt.
  const json alone =
      completed(serving, {{"prompt", "the cat"}, {"max_tokens", 5}, {"logprobs", 0}, {"seed", 1}});
  EXPECT_EQ(alone["choices"][0]["logprobs"]["tokens"].size(), 5U);
  EXPECT_EQ(alone["choices"][0]["logprobs"]["text_offset"][0], 0);
  EXPECT_TRUE(alone["choices"][0]["logprobs"]["top_logprobs"].is_null());
  const json scored = completed(
      serving, {{"prompt", "the cat"}, {"max_tokens", 0}, {"logprobs", 1}, {"echo", true}});
  EXPECT_EQ(scored["choices"][0]["logprobs"]["tokens"].size(), 7U);
  EXPECT_EQ(text_of(scored), "the cat");
  EXPECT_EQ(scored["usage"]["completion_tokens"], 0);
}

TEST(Completions, StopTextsAcrossTokensEndIt) {
  const Serving serving;
  const json whole = completed(serving, {{"prompt", "the"}, {"max_tokens", 40}, {"seed", 3}});
  const std::string text = text_of(whole);
  const std::string stop = text.substr(10, 3);
  const std::size_t at = text.find(stop);
  for (const json& stops : {json(stop), json({"@never@", stop})}) {
    for (const bool stream : {false, true}) {
      const Answer answer = serving.post(route, {{"prompt", "the"},
                                                 {"max_tokens", 40},
                                                 {"seed", 3},
                                                 {"stop", stops},
                                                 {"logprobs", 1},
                                                 {"stream", stream}});
      std::string got, reason;
      json tokens = json::array();
      if (stream) {
        for (const json& event : events(answer.body)) {
          got += text_of(event);
          for (const json& token : event["choices"][0]["logprobs"]["tokens"])
            tokens.push_back(token);
          const json& finish = event["choices"][0]["finish_reason"];
          if (!finish.is_null()) reason = finish;
        }
      } else {
        got = text_of(answer.object());
        reason = answer.object()["choices"][0]["finish_reason"];
        tokens = answer.object()["choices"][0]["logprobs"]["tokens"];
      }
      EXPECT_EQ(got, text.substr(0, at));
      EXPECT_EQ(reason, "stop");
      // Those that the text has something of.
      std::string before, last;
      for (const json& token : tokens) {
        before += std::exchange(last, token.get<std::string>());
      }
      EXPECT_LT(before.size(), at);
      EXPECT_GE(before.size() + last.size(), at);
    }
  }
}

TEST(Completions, StreamsGiveTheSameInPieces) {
  const Serving serving;
  json request = {{"prompt", {"the cat", "a "}},
                  {"max_tokens", 20},
                  {"seed", 9},
                  {"n", 2},
                  {"echo", true},
                  {"logprobs", 2}};
  const json whole = completed(serving, request);
  request["stream"] = true;
  request["stream_options"] = {{"include_usage", true}};
  const Answer answer = serving.post(route, request);
  EXPECT_EQ(answer.field("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n"));
  std::vector<std::string> texts(4);
  std::vector<json> logs(4, json::array());
  std::vector<int> ends(4);
  const auto list = events(answer.body);
  for (std::size_t i = 0; i + 1 < list.size(); ++i) {
    EXPECT_TRUE(list[i]["usage"].is_null());
    EXPECT_EQ(list[i]["id"], list[0]["id"]);
    const json& choice = list[i]["choices"][0];
    const auto index = choice["index"].get<std::size_t>();
    texts[index] += choice["text"].get<std::string>();
    for (const json& log : choice["logprobs"]["token_logprobs"]) logs[index].push_back(log);
    ends[index] += choice["finish_reason"] == "length" ? 1 : 0;
  }
  EXPECT_TRUE(list.back()["choices"].empty());
  EXPECT_EQ(list.back()["usage"], whole["usage"]);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(texts[i], text_of(whole, i));
    EXPECT_EQ(logs[i].size(), whole["choices"][i]["logprobs"]["token_logprobs"].size());
    EXPECT_EQ(ends[i], 1);
  }
  EXPECT_NE(texts[0], texts[1]);
}

TEST(Completions, BestOfAnswersTheMostProbable) {
  const Serving serving;
  json request = {{"prompt", "the"}, {"max_tokens", 6}, {"seed", 2}, {"n", 6}, {"logprobs", 0}};
  const json all = completed(serving, request);
  const auto mean = [](const json& choice) {
    const auto logs = choice["logprobs"]["token_logprobs"].get<std::vector<double>>();
    return std::accumulate(logs.begin(), logs.end(), 0.0) / static_cast<double>(logs.size());
  };
  std::string best;
  double most = -INFINITY;
  for (const json& choice : all["choices"]) {
    if (mean(choice) > most) {
      most = mean(choice);
      best = choice["text"];
    }
  }
  request["n"] = 1;
  request["best_of"] = 6;
  const json answer = completed(serving, request);
  ASSERT_EQ(answer["choices"].size(), 1U);
  EXPECT_EQ(text_of(answer), best);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 36);
}

TEST(Completions, BiasAndPenaltiesChangeWhatIsDrawn) {
  const Serving serving;
  const json z = serving.post("/tokenize", {{"prompt", "z"}}).object()["tokens"][0];
  const json d = serving.post("/tokenize", {{"prompt", "d"}}).object()["tokens"][0];
  json bias = json::object();
  bias[std::to_string(d.get<int>())] = 100;
  EXPECT_EQ(text_of(completed(serving, {{"prompt", "a"}, {"max_tokens", 4}, {"logit_bias", bias}})),
            "dddd");
  const std::string text = text_of(completed(serving, {{"prompt", "a"},
                                                       {"max_tokens", 8},
                                                       {"temperature", 0},
                                                       {"frequency_penalty", 60},
                                                       {"logit_bias", bias}}));
  EXPECT_EQ(std::count(text.begin(), text.end(), 'd'), 2);
  EXPECT_TRUE(text.starts_with("d"));
}

TEST(Completions, WhatCannotBeServedIsRefused) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.max_prompt = 50;
    options.max_tokens = 60;
    options.max_choices = 8;
  });
  const auto refused = [&](const json& request, const std::string& param, int status = 400) {
    const Answer answer = serving.post(route, request);
    EXPECT_EQ(answer.status, status) << request << answer.body;
    const json error = answer.object()["error"];
    EXPECT_EQ(error["param"], param.empty() ? json() : json(param)) << request;
    EXPECT_TRUE(error["message"].is_string() && error["type"].is_string());
    EXPECT_TRUE(error.contains("code"));
  };
  refused({{"prompt", "a"}, {"model", "other"}}, "model", 404);
  refused({{"prompt", "a"}, {"max_tokns", 3}}, "max_tokns");
  refused({{"prompt", "a"}, {"max_tokens", -1}}, "max_tokens");
  refused({{"prompt", "a"}, {"max_tokens", 61}}, "max_tokens");
  refused({{"prompt", std::string(51, 'a')}}, "prompt");
  refused({{"prompt", json::array()}}, "prompt");
  refused({{"prompt", {1, "a"}}}, "prompt");
  refused({{"prompt", {1, 1000}}}, "prompt");
  refused({{"prompt", {1, -1}}}, "prompt");
  refused({{"prompt", 3}}, "prompt");
  refused({{"prompt", "a\u0000b"s}}, "prompt");
  refused({{"prompt", "a"}, {"temperature", -0.5}}, "temperature");
  refused({{"prompt", "a"}, {"temperature", "hot"}}, "temperature");
  refused({{"prompt", "a"}, {"top_p", 0}}, "top_p");
  refused({{"prompt", "a"}, {"n", 0}}, "n");
  refused({{"prompt", "a"}, {"n", 9}}, "n");
  refused({{"prompt", "a"}, {"n", 3}, {"best_of", 2}}, "best_of");
  refused({{"prompt", "a"}, {"best_of", 2}, {"stream", true}}, "best_of");
  refused({{"prompt", "a"}, {"logprobs", 21}}, "logprobs");
  refused({{"prompt", "a"}, {"suffix", "b"}}, "suffix");
  refused({{"prompt", "a"}, {"stop", ""}}, "stop");
  refused({{"prompt", "a"}, {"stop", 3}}, "stop");
  refused({{"prompt", "a"}, {"logit_bias", {{"x", 1}}}}, "logit_bias");
  refused({{"prompt", "a"}, {"logit_bias", {{"1000", 1}}}}, "logit_bias");
  refused({{"prompt", "a"}, {"stream_options", {{"include_usage", true}}}}, "stream_options");
  refused(json::array(), "");
  // The operator's limits go by the names of their settings.
  const auto says = [&](const json& request, const std::string& limit) {
    const std::string body = serving.post(route, request).body;
    EXPECT_NE(body.find("(the server's limit " + limit + ")"), std::string::npos) << body;
  };
  says({{"prompt", "a"}, {"max_tokens", 61}}, "max_tokens");
  says({{"prompt", std::string(51, 'a')}}, "max_prompt");
  says({{"prompt", "a"}, {"n", 9}}, "max_choices");
  for (const char* body :
       {"", "{", "null", "{\"prompt\": \"\xff\"}", "{\"prompt\": \"\\ud800\"}"}) {
    EXPECT_EQ(serving.client().request("POST", route, body).status, 400) << body;
  }
  EXPECT_EQ(completed(serving, {{"prompt", "a"},
                                {"suffix", nullptr},
                                {"user", "x"},
                                {"stop", nullptr}})["usage"]["completion_tokens"],
            16);
}

TEST(Completions, ServesSeveralModels) {
  const Serving serving([](ServerOptions& options, const Models& models) {
    options.models = {models.add("one", "char", 12), models.add("two", "word", 16)};
  });
  const json list = serving.get("/v1/models").object();
  ASSERT_EQ(list["data"].size(), 2U);
  EXPECT_EQ(list["data"][1]["id"], "two");
  EXPECT_EQ(serving.get("/v1/models/two").object()["id"], "two");
  EXPECT_EQ(serving.get("/v1/models/three").status, 404);
  const json one = completed(serving, {{"prompt", "the"}, {"max_tokens", 1}});
  const json two = completed(serving, {{"model", "two"}, {"prompt", "the"}, {"max_tokens", 1}});
  EXPECT_EQ(one["model"], "one");
  EXPECT_EQ(two["model"], "two");
  EXPECT_EQ(one["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(two["usage"]["prompt_tokens"], 1);
}

}  // namespace
}  // namespace sluice::server_test
