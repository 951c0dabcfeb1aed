// Clients that mean harm: the server stays up, keeps nothing of theirs, and serves the others.
#include <gtest/gtest.h>

#include <sys/resource.h>

#include "request_reader.hpp"
#include "server/support.hpp"
#include "sluice/base/random.hpp"

namespace sluice::server_test {
namespace {

const json small_request = {{"prompt", "the"}, {"max_tokens", 2}, {"temperature", 0}};

/// Everything that requests hold is given back.
void expect_clean(const Serving& serving) {
  EXPECT_TRUE(serving.metric_becomes("sluice_requests_running{model=\"small\"}", 0));
  EXPECT_TRUE(serving.metric_becomes("sluice_requests_waiting{model=\"small\"}", 0));
  EXPECT_TRUE(serving.metric_becomes("sluice_http_open_requests", 1));
  EXPECT_TRUE(serving.metric_becomes("sluice_http_connections", 1));
}

/// A request with some of its bytes changed, left out, doubled or cut off.
std::string mutated(std::string bytes, std::uint64_t seed) {
  const RandomKey key{seed, 15, 0};
  std::uint64_t draw = 0;
  const auto below = [&](std::size_t n) {
    return static_cast<std::size_t>(key.bits(draw++) % std::max<std::size_t>(n, 1));
  };
  for (std::size_t i = 0, changes = 1 + below(4); i < changes && !bytes.empty(); ++i) {
    const std::size_t at = below(bytes.size());
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 1:
        bytes.erase(at, 1 + below(8));
        break;
      case 2:
        bytes.insert(at, bytes.substr(below(bytes.size()), below(40)));
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        bytes.insert(at, std::string(below(60), "[{\"\\\x80 9"[below(8)]));
        break;
      default:
        std::swap(bytes[at], bytes[below(bytes.size())]);
    }
  }
  return bytes;
}

std::vector<std::string> seeds() {
  return {
      Client::text_of("POST", "/v1/completions",
                      R"({"prompt":[[1,2,3]],"max_tokens":1,"logprobs":1,"echo":true,"n":2})"),
      Client::text_of("POST", "/v1/completions",
                      R"({"prompt":"the c\u00e4t","max_tokens":3,"stream":true,"stop":["a","b"]})"),
      Client::text_of("POST", "/completion",
                      R"({"prompt":["a","b"],"n_predict":2,"logit_bias":[[3,-1.5]]})"),
      Client::text_of("POST", "/v1/score",
                      R"({"lines":["the cat","a"],"words":true,"alternatives":3})"),
      Client::text_of("POST", "/v1/rescore",
                      R"({"hypotheses":[{"text":"a","score":-1},"b"],"weight":0.5})"),
      Client::text_of("POST", "/v1/next", R"({"text":"the c","n":3})"),
      Client::text_of("POST", "/tokenize", R"({"content":"a b","with_pieces":true})"),
      Client::text_of("POST", "/detokenize", R"({"tokens":[1,2,3]})"),
      Client::text_of("GET", "/metrics"),
      Client::text_of("GET", "/v1/models/small")};
}

TEST(Hostile, TenThousandMutatedRequests) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.max_tokens = 20;
    options.log = LogFormat::none;
  });
  const auto list = seeds();
  const json expected = serving.post("/v1/completions", small_request).object()["choices"];
  // Sent ahead of each other over connections that end as they please.
  for (std::uint64_t i = 0; i < 10000; i += 50) {
    Client client = serving.client();
    for (std::uint64_t k = i; k < i + 50; ++k) {
      if (!client.send(mutated(list[k % list.size()], k))) break;
    }
    if (i % 100 == 0) {
      client.end_sending();
      client.closed();
    } else {
      client.reset();
    }
  }
  EXPECT_EQ(serving.post("/v1/completions", small_request).object()["choices"], expected);
  expect_clean(serving);
}

TEST(Hostile, BodiesThatAreNoRequests) {
  const Serving serving;
  const auto status = [&](const std::string& body) {
    return serving.client().request("POST", "/v1/completions", body).status;
  };
  EXPECT_EQ(status(std::string(100000, '[')), 400);
  EXPECT_EQ(status("{\"prompt\":" + std::string(50000, '[') + std::string(50000, ']') + "}"), 400);
  EXPECT_EQ(status("{\"prompt\":\"" + std::string(7 << 20, 'a') + "\"}"), 400);
  EXPECT_EQ(status(std::string(10 << 20, ' ')), 413);
  EXPECT_EQ(status("{\"prompt\":\"\xc3\"}"), 400);
  EXPECT_EQ(status("{\"prompt\":\"a\",\"max_tokens\":1e400}"), 400);
  EXPECT_EQ(status("{\"prompt\":\"a\",\"max_tokens\":99999999999999999999}"), 400);
  EXPECT_EQ(status("{\"prompt\":\"a\",\"seed\":1.5}"), 400);
  std::string many = "{\"prompt\":\"a\"";
  for (int i = 0; i < 20000; ++i) many += ",\"x" + std::to_string(i) + "\":1";
  EXPECT_EQ(status(many + "}"), 400);
  expect_clean(serving);
}

TEST(Hostile, SlowSendersHoldNobodyUp) {
  const Serving serving(
      [](ServerOptions& options, const Models&) { options.request_seconds = 0.7; });
  std::vector<Client> slow;
  for (int i = 0; i < 500; ++i) slow.push_back(serving.client());
  const std::string request = Client::text_of("POST", "/v1/completions", small_request.dump());
  for (std::size_t byte = 0; byte < 3; ++byte) {
    for (Client& client : slow) client.send(request.substr(byte, 1));
    EXPECT_EQ(serving.post("/v1/completions", small_request).status, 200);
  }
  for (Client& client : slow) EXPECT_EQ(client.answer().status, 408);
  slow.clear();
  expect_clean(serving);
}

TEST(Hostile, AbortsAtAnyMomentLeaveNothing) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.max_sessions = 8;
    options.max_queue = 16;
    options.max_tokens = 5000;
  });
  const RandomKey key{3, 15, 0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 40; ++i) {
        Client client = serving.client();
        const std::uint64_t draw = key.bits(t * 1000 + i);
        json request = {
            {"prompt", {"the cat", "a"}}, {"max_tokens", 1 + draw % 3000}, {"logprobs", 3}};
        request["stream"] = draw % 2 == 0;
        client.send(Client::text_of(
            "POST", i % 5 == 0 ? "/v1/score" : "/v1/completions",
            i % 5 == 0 ? json({{"text", std::string(2000, 'a')}}).dump() : request.dump()));
        std::this_thread::sleep_for(std::chrono::microseconds(draw % 20000));
        if (draw % 3 == 0) client.reset();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(serving.post("/v1/completions", small_request).status, 200);
  expect_clean(serving);
}

TEST(Hostile, TwoThousandStreamsAtOnce) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.max_queue = 4000;
    options.deterministic = true;
    options.log = LogFormat::none;
  });
  constexpr int streams = 2000;
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  ASSERT_GT(files.rlim_cur, 2 * streams + 100U) << "raise the limit of open files (ulimit -Hn)";
  const auto request = [](int i) {
    return json{{"prompt", "the cat"}, {"max_tokens", 8}, {"seed", i % 40}, {"stream", true}};
  };
  const auto text = [](const std::string& body) {
    std::string made;
    for (const json& event : events(body)) made += event["choices"][0]["text"].get<std::string>();
    return made;
  };
  std::vector<std::string> alone;
  for (int i = 0; i < 40; ++i)
    alone.push_back(text(serving.post("/v1/completions", request(i)).body));
  std::vector<Client> clients;
  for (int i = 0; i < streams; ++i) {
    clients.push_back(serving.client());
    ASSERT_TRUE(clients.back().send(Client::text_of("POST", "/v1/completions", request(i).dump())));
  }
  for (int i = 0; i < streams; ++i) {
    const Answer answer = clients[static_cast<std::size_t>(i)].answer();
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n"));
    EXPECT_EQ(text(answer.body), alone[static_cast<std::size_t>(i % 40)]) << i;
  }
  clients.clear();
  expect_clean(serving);
}

}  // namespace
}  // namespace sluice::server_test
