// The other routes: tokens, llama.cpp's, and what the server says of itself.
#include <gtest/gtest.h>

#include <set>

#include "routes.hpp"
#include "server/support.hpp"

namespace sluice::server_test {
namespace {

TEST(Tokens, GoBothWays) {
  const Serving serving;
  const json tokens = serving.post("/tokenize", {{"prompt", "a dog\nsat"}}).object()["tokens"];
  EXPECT_EQ(tokens.size(), 9U);
  EXPECT_EQ(serving.post("/tokenize", {{"content", "a dog\nsat"}}).object()["tokens"], tokens);
  EXPECT_EQ(serving.post("/detokenize", {{"tokens", tokens}}).object()["prompt"], "a dog\nsat");
  EXPECT_EQ(serving.post("/detokenize", {{"tokens", tokens}}).object()["content"], "a dog\nsat");
  const json info = serving.get("/tokenizer_info").object();
  const json end = serving.post("/tokenize", {{"prompt", info["eos_token"]}}).object()["tokens"];
  EXPECT_EQ(end, json({info["eos_token_id"]}));
  EXPECT_EQ(
      serving.post("/tokenize", {{"prompt", ""}, {"add_special_tokens", true}}).object()["tokens"],
      end);
  EXPECT_EQ(serving.post("/tokenize", {{"prompt", "a"}, {"with_pieces", true}})
                .object()["tokens"][0]["piece"],
            "a");
  EXPECT_EQ(serving.post("/detokenize", {{"tokens", {100000}}}).status, 400);
  EXPECT_EQ(serving.post("/detokenize", json::object()).status, 400);
}

TEST(LlamaCompletion, AnswersAsLlamaDoes) {
  const Serving serving;
  json request = {{"prompt", "the"}, {"n_predict", 12}, {"seed", 4}, {"n_probs", 3}};
  const json whole = serving.post("/completion", request).object();
  EXPECT_EQ(whole["stop"], true);
  EXPECT_EQ(whole["stop_type"], "limit");
  EXPECT_EQ(whole["tokens_predicted"], 12);
  EXPECT_EQ(whole["tokens_evaluated"], 3);
  EXPECT_EQ(whole["tokens"].size(), 12U);
  ASSERT_EQ(whole["completion_probabilities"].size(), 12U);
  EXPECT_EQ(whole["completion_probabilities"][0]["top_logprobs"].size(), 3U);
  request["stream"] = true;
  const Answer answer = serving.post("/completion", request);
  std::string text;
  const auto list = events(answer.body);
  for (const json& event : list) {
    text += event["content"].get<std::string>();
    EXPECT_EQ(event["stop"], &event == &list.back());
  }
  EXPECT_EQ(text, whole["content"]);
  EXPECT_EQ(list.back()["stop_type"], "limit");
  request["stop"] = {text.substr(5, 2)};
  request["stream"] = false;
  const json stopped = serving.post("/completion", request).object();
  EXPECT_EQ(stopped["stop_type"], "word");
  EXPECT_EQ(stopped["stopping_word"], text.substr(5, 2));
  EXPECT_EQ(stopped["content"], text.substr(0, text.find(text.substr(5, 2))));
  EXPECT_EQ(serving.post("/completion", {{"prompt", {"a", "b"}}, {"n_predict", 2}}).object().size(),
            2U);
  EXPECT_EQ(serving.post("/completion", {{"n_predict", 2}}).status, 400);
  EXPECT_EQ(
      serving.post("/completion", {{"prompt", "a"}, {"n_predict", 2}, {"grammar", "x"}}).status,
      400);
}

TEST(State, IsToldInItsFormats) {
  const Serving serving;
  EXPECT_EQ(serving.get("/health").object()["status"], "ok");
  EXPECT_EQ(serving.get("/props").object()["total_slots"], 32);
  const json models = serving.get("/v1/models").object();
  EXPECT_EQ(models["object"], "list");
  EXPECT_EQ(models["data"][0]["object"], "model");
  serving.post("/v1/completions", {{"prompt", "the"}, {"max_tokens", 7}});
  EXPECT_EQ(serving.metric("sluice_http_requests_total{route=\"/v1/completions\",status=\"200\"}"),
            1);
  EXPECT_EQ(serving.metric("sluice_http_tokens_out_total{route=\"/v1/completions\"}"), 7);
  EXPECT_EQ(serving.metric("sluice_time_to_first_token_seconds_count{model=\"small\"}"), 1);
  EXPECT_GT(serving.metric("process_resident_memory_bytes"), 1e6);
  const Answer page = serving.get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_NE(page.field("Content-Security-Policy"), "");
  EXPECT_NE(page.body.find("<title>Sluice"), std::string::npos);
}

/// One table says what there is: the description has every route and every field that is checked.
TEST(OpenApi, DescribesWhatIsChecked) {
  const Serving serving;
  const json document = serving.get("/openapi.json").object();
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::set<std::string> ids;
  for (const server::Route& route : server::routes()) {
    std::string method = route.method;
    std::transform(method.begin(), method.end(), method.begin(), ::tolower);
    const json& operation = document["paths"][route.path][method];
    ASSERT_TRUE(operation.is_object()) << route.path;
    EXPECT_TRUE(ids.insert(operation["operationId"]).second) << route.path;
    if (route.request == nullptr) continue;
    const json& body = operation["requestBody"]["content"]["application/json"]["schema"];
    const auto& fields = route.request()->fields.fields();
    EXPECT_EQ(body["properties"].size(), fields.size());
    for (const Field& field : fields) {
      const json& property = body["properties"][field.name];
      EXPECT_FALSE(property["description"].get<std::string>().empty()) << field.name;
      EXPECT_TRUE(property.contains("type") || property.contains("oneOf")) << field.name;
    }
  }
  const json& n = document["paths"]["/v1/completions"]["post"]["requestBody"]["content"]
                          ["application/json"]["schema"]["properties"]["n"];
  EXPECT_EQ(n["type"], "integer");
  EXPECT_EQ(n["minimum"], 1);
  EXPECT_EQ(n["default"], 1);
}

TEST(Log, HasALineForEachRequest) {
  const Serving serving([](ServerOptions& options, const Models&) { options.log_texts = true; });
  serving.post("/v1/completions", {{"prompt", "the cat"}, {"max_tokens", 7}});
  EXPECT_TRUE(serving.logs([](const json&) { return true; }));
  ASSERT_EQ(serving.log().size(), 1U);
  const json line = serving.log()[0];
  EXPECT_EQ(line["route"], "/v1/completions");
  EXPECT_EQ(line["status"], 200);
  EXPECT_EQ(line["tokens_in"], 7);
  EXPECT_EQ(line["tokens_out"], 7);
  EXPECT_EQ(line["peer"], "127.0.0.1");
  EXPECT_EQ(line["text"], "the cat");
}

}  // namespace
}  // namespace sluice::server_test
