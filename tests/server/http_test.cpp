// Connections and who may ask: what clients may do, rightly or not.
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>

#include "api_keys.hpp"
#include "dispatch.hpp"
#include "http_server.hpp"
#include "server/support.hpp"
#include "sluice/base/error.hpp"

namespace sluice::server_test {
namespace {

using namespace std::string_literals;

const json short_request = {{"prompt", "the"}, {"max_tokens", 2}, {"temperature", 0}};

/// Tokens of a text that no test waits for.
constexpr std::int64_t endless_tokens = 10'000'000;

std::string completion(const json& request, const std::string& fields = "") {
  return Client::text_of("POST", "/v1/completions", request.dump(), fields);
}

TEST(Http, ConnectionsAreUsedAgainAndRequestsMayBeSentAhead) {
  const Serving serving;
  Client client = serving.client();
  const Answer first = client.post("/v1/completions", short_request);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(client.post("/v1/completions", short_request).object()["choices"],
            first.object()["choices"]);
  std::string many;
  for (int i = 0; i < 50; ++i)
    many += completion(short_request) + Client::text_of("GET", "/health");
  client.send(many);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.answer().object()["choices"], first.object()["choices"]);
    EXPECT_EQ(client.answer().object()["status"], "ok");
  }
  EXPECT_EQ(client.request("HEAD", "/health").status, 200);
  EXPECT_EQ(client.get("/health", "Connection: close\r\n").field("Connection"), "close");
  EXPECT_TRUE(client.closed());
}

TEST(Http, OldClientsGetOneAnswer) {
  const Serving serving;
  Client client = serving.client();
  json request = short_request;
  request["stream"] = true;
  const std::string body = request.dump();
  client.send("POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const Answer answer = client.answer();
  EXPECT_EQ(answer.field("Transfer-Encoding"), "");
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n"));
}

TEST(Http, BodiesAreWaitedForWhereTheClientAsks) {
  const Serving serving;
  Client client = serving.client();
  const std::string whole = completion(short_request, "Expect: 100-continue\r\n");
  const std::size_t head = whole.find("\r\n\r\n") + 4;
  client.send(whole.substr(0, head));
  EXPECT_EQ(client.answer().status, 100);
  client.send(whole.substr(head));
  EXPECT_EQ(client.answer().status, 200);
}

TEST(Http, PathsAndMethodsThatAreNotThereAreSaid) {
  const Serving serving;
  EXPECT_EQ(serving.get("/v1/nothing").status, 404);
  EXPECT_EQ(serving.get("/v1/completions").status, 405);
  EXPECT_EQ(serving.client().request("DELETE", "/health").status, 405);
  EXPECT_EQ(serving.client().request("BREW", "/health").status, 405);
  const json error = serving.get("/v1/nothing").object()["error"];
  EXPECT_TRUE(error["message"].is_string());
}

TEST(Http, LimitsEndWhatIsTooLong) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.max_header = 1024;
    options.max_body = 2000;
  });
  EXPECT_EQ(serving.client().get("/health", "X: " + std::string(1100, 'x') + "\r\n").status, 431);
  EXPECT_EQ(serving.client().request("POST", "/tokenize", std::string(2001, ' ')).status, 413);
}

TEST(Http, LimitsEndWhatIsTooSlow) {
  const Serving serving(
      [](ServerOptions& options, const Models&) { options.request_seconds = 0.3; });
  Client slow = serving.client();
  slow.send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
  const Answer late = slow.answer();
  EXPECT_EQ(late.status, 408);
  EXPECT_EQ(late.field("Connection"), "close");
  EXPECT_TRUE(slow.closed());
}

TEST(Http, LimitsEndWhatLiesIdle) {
  const Serving serving([](ServerOptions& options, const Models&) { options.idle_seconds = 0.3; });
  Client idle = serving.client();
  EXPECT_TRUE(idle.closed());
  // One that has been answered; its time may be over before it asks, and then another tries.
  EXPECT_TRUE(eventually([&] {
    Client used = serving.client();
    try {
      used.get("/health");
    } catch (const std::runtime_error&) {
      return false;
    }
    return used.closed();
  }));
}

TEST(Http, OneConnectionTooManyIsClosed) {
  const Serving serving([](ServerOptions& options, const Models&) { options.max_connections = 3; });
  std::vector<Client> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(serving.client());
    held.back().get("/health");
  }
  EXPECT_TRUE(serving.client().closed());
  EXPECT_EQ(held[1].get("/health").status, 200);
}

// By the time that passes, and by the bytes that wait: each limit alone.
TEST(Http, WhoDoesNotReadIsLetGo) {
  for (const bool by_time : {true, false}) {
    server::HttpLimits limits;
    limits.stall_seconds = by_time ? 0.3 : 3600;
    limits.unread = by_time ? std::numeric_limits<std::size_t>::max() : std::size_t{1} << 20;
    std::atomic<bool> gone{false}, said{false};
    std::shared_ptr<server::Exchange> held;
    server::HttpHooks hooks;
    hooks.handle = [&](std::shared_ptr<server::Exchange> exchange) {
      exchange->open({.type = "text/plain"});
      // More than the system keeps.
      for (int i = 0; i < 64; ++i) exchange->write(std::string(std::size_t{1} << 20, 'x'));
      held = exchange;
      exchange->when_gone([&] { gone = true; });
    };
    hooks.finished = [&](const auto&, const auto&, const server::RequestOutcome& outcome) {
      said = outcome.gone;
    };
    server::HttpServer http("127.0.0.1", 0, limits, hooks);
    http.start();
    Client client(http.port());
    client.send(Client::text_of("GET", "/"));
    EXPECT_TRUE(eventually([&] { return gone.load(); })) << by_time;
    EXPECT_TRUE(eventually([&] { return http.counts().connections == 0; })) << by_time;
    held.reset();
    EXPECT_TRUE(eventually([&] { return said.load(); })) << by_time;
  }
}

TEST(Http, TextsForThoseWhoDoNotReadAreNotMade) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.stall_seconds = 0.3;
    options.max_tokens = 1000000;
  });
  Client client = serving.client();
  const int small = 4096;
  ::setsockopt(client.socket(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  client.send(
      completion({{"prompt", "the"}, {"max_tokens", 1000000}, {"stream", true}, {"logprobs", 20}}));
  EXPECT_TRUE(
      serving.metric_becomes("sluice_http_requests_gone_total{route=\"/v1/completions\"}", 1));
  EXPECT_TRUE(serving.metric_becomes("sluice_requests_running{model=\"small\"}", 0));
}

TEST(Http, WhoTakesNoAnswersIsLetGo) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.stall_seconds = 0.3;
    options.idle_seconds = 3600;
  });
  Client client = serving.client();
  client.get("/health");  // so that it is among the connections
  const int small = 4096;
  ::setsockopt(client.socket(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  // Answers of more bytes than the system keeps.
  std::string many;
  for (int i = 0; i < 4000; ++i) many += "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::thread sender([&] { client.send(many); });
  EXPECT_TRUE(serving.metric_becomes("sluice_http_connections", 1));
  client.end_sending();  // a sender that would wait on
  sender.join();
}

TEST(Http, ClientsThatGoTakeTheirRequestsWithThem) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.max_tokens = endless_tokens;
    options.max_sessions = 4;
  });
  const json whole = {{"prompt", "the"}, {"max_tokens", endless_tokens}};
  json stream = whole;
  stream["stream"] = true;
  for (int i = 0; i < 8; ++i) {
    Client client = serving.client();
    client.send(completion(i % 2 == 0 ? whole : stream));
    if (i % 2 == 1) client.answer(true);
    if (i % 4 < 2) {
      client.reset();
    } else {
      client.close();
    }
  }
  Client half = serving.client();
  half.send(completion(whole));
  half.end_sending();
  EXPECT_TRUE(half.closed());
  EXPECT_TRUE(serving.metric_becomes("sluice_requests_running{model=\"small\"}", 0));
  EXPECT_TRUE(serving.metric_becomes("sluice_requests_waiting{model=\"small\"}", 0));
  EXPECT_TRUE(serving.metric_becomes("sluice_http_open_requests", 1));
  // One that only ends its sending still gets a quick answer.
  Client quick = serving.client();
  quick.send(Client::text_of("GET", "/health"));
  quick.end_sending();
  EXPECT_EQ(quick.answer().status, 200);
}

TEST(Http, TooManyWaitingAreSentAway) {
  const Serving serving([](ServerOptions& options, const Models&) {
    options.max_sessions = 1;
    options.max_queue = 2;
    options.max_tokens = endless_tokens;
  });
  // The one that runs is sent nothing, so that it does not end because nobody reads.
  json request = {{"prompt", "the"}, {"max_tokens", endless_tokens}};
  std::vector<Client> held;
  held.push_back(serving.client());
  held.back().send(completion(request));
  EXPECT_TRUE(serving.metric_becomes("sluice_requests_running{model=\"small\"}", 1));
  request["stream"] = true;
  for (int i = 0; i < 2; ++i) {
    held.push_back(serving.client());
    held.back().send(completion(request));
    EXPECT_EQ(held.back().answer(true).status, 200);
  }
  const Answer answer = serving.post("/v1/completions", short_request);
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.field("Retry-After"), "1");
  // Of a request for several texts none is left behind.
  EXPECT_EQ(serving.post("/v1/completions", {{"prompt", {"a", "b"}}, {"max_tokens", 3}}).status,
            429);
  held.clear();
  EXPECT_TRUE(serving.metric_becomes("sluice_requests_waiting{model=\"small\"}", 0));
  // They are counted until each was told that it is done.
  EXPECT_TRUE(
      eventually([&] { return serving.post("/v1/completions", short_request).status == 200; }));
}

TEST(Access, KeysAreAskedFor) {
  const Serving serving([](ServerOptions& options, const Models& models) {
    options.api_key_file = models.path("keys");
    write_file(options.api_key_file, "# ours\nsecret-key-1 anna\n\nsecret-key-2\n");
  });
  EXPECT_EQ(serving.get("/health").status, 200);
  EXPECT_EQ(serving.get("/openapi.json").status, 200);
  const Answer without = serving.post("/v1/completions", short_request);
  EXPECT_EQ(without.status, 401);
  EXPECT_EQ(without.object()["error"]["code"], "invalid_api_key");
  for (const char* wrong : {"secret-key-", "secret-key-12", "Secret-key-1", "", "anna"}) {
    const std::string field = "Authorization: Bearer "s + wrong + "\r\n";
    EXPECT_EQ(serving.post("/v1/completions", short_request, field).status, 401) << wrong;
    EXPECT_EQ(serving.get("/metrics", field).status, 401);
  }
  EXPECT_EQ(serving.post("/v1/completions", short_request, "Authorization: bearer secret-key-1\r\n")
                .status,
            200);
  EXPECT_EQ(serving.post("/v1/models/reload", {}, "Authorization: Bearer secret-key-2\r\n").status,
            200);
  EXPECT_TRUE(serving.logs([](const json& line) { return line.value("key", "") == "anna"; }));
  for (const json& line : serving.log()) {
    EXPECT_EQ(line.dump().find("secret"), std::string::npos);
    EXPECT_FALSE(line.contains("text"));
  }
}

TEST(Access, KeyFilesAreChecked) {
  using server::ApiKeys;
  EXPECT_THROW(ApiKeys("short\n", "f"), Error);
  EXPECT_THROW(ApiKeys("long-enough\nlong-enough x\n", "f"), Error);
  EXPECT_THROW(ApiKeys("# nothing\n\n", "f"), Error);
  EXPECT_EQ(ApiKeys("long-enough the name \r\n", "f").name_of("Bearer  long-enough"), "the name");
  EXPECT_FALSE(ApiKeys("long-enough\n", "f").name_of("Basic long-enough"));
}

TEST(Access, OtherNamesOfThisMachineAreRefused) {
  const Serving serving;
  for (const char* host :
       {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""}) {
    const Answer answer = serving.get("/health", "Host: "s + host + "\r\n");
    EXPECT_EQ(answer.status, 403) << host;
    EXPECT_NE(answer.body.find("adds that to the hosts that it allows"), std::string::npos)
        << answer.body;
  }
  for (const char* host : {"localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"}) {
    EXPECT_EQ(serving.get("/health", "Host: "s + host + "\r\n").status, 200) << host;
  }
  EXPECT_TRUE(server::names_this_machine("lm.example:80", {"lm.example"}));
}

TEST(Access, PagesOfOthersMayNotCallUnlessTold) {
  const std::string origin = "Origin: https://page.example\r\n";
  {
    const Serving serving;
    const Answer answer = serving.get("/health", origin);
    EXPECT_EQ(answer.status, 403);
    EXPECT_NE(answer.body.find("allows them by cors_origins"), std::string::npos) << answer.body;
    EXPECT_EQ(serving.client().request("OPTIONS", "/v1/completions", "", origin).status, 403);
    EXPECT_EQ(serving.get("/health", "Origin: http://localhost\r\n").status, 200);
  }
  const Serving serving([](ServerOptions& options, const Models&) {
    options.cors_origins = {"https://page.example"};
  });
  const Answer asked = serving.client().request("OPTIONS", "/v1/completions", "", origin);
  EXPECT_EQ(asked.status, 204);
  EXPECT_EQ(asked.field("Access-Control-Allow-Origin"), "https://page.example");
  const Answer answer = serving.post("/v1/completions", short_request, origin);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.field("Access-Control-Allow-Origin"), "https://page.example");
  EXPECT_EQ(serving.get("/health", "Origin: https://other.example\r\n").status, 403);
}

TEST(Server, EndsWhenWhatRunsHasEnded) {
  Serving serving([](ServerOptions& options, const Models&) {
    options.request_seconds = options.drain_seconds = 240;
  });
  Client client = serving.client(), idle = serving.client(), later = serving.client();
  idle.get("/health");
  later.send("POST /v1/completions HTTP/1.1\r\n");
  client.send(completion({{"prompt", "the"}, {"max_tokens", 300}, {"stream", true}}));
  client.answer(true);
  std::thread stopping([&] { EXPECT_TRUE(serving.server->stop()); });
  EXPECT_TRUE(idle.closed());
  // A request that comes now is refused, the one that runs is answered whole.
  later.send("Host: localhost\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(later.answer().status, 503);
  std::string body;
  for (std::string line = client.line(); line != "0\r\n"; line = client.line()) body += line;
  EXPECT_NE(body.find("data: [DONE]"), std::string::npos);
  later.close();
  client.close();
  stopping.join();
  EXPECT_THROW(serving.client(), std::runtime_error);
}

TEST(Server, CutsOffWhatTakesTooLong) {
  Serving serving([](ServerOptions& options, const Models&) {
    options.drain_seconds = 0.2;
    options.max_tokens = endless_tokens;
  });
  // It is sent nothing: a stream would end by itself where its client does not keep up.
  Client client = serving.client();
  client.send(completion({{"prompt", "the"}, {"max_tokens", endless_tokens}}));
  EXPECT_TRUE(serving.metric_becomes("sluice_requests_running{model=\"small\"}", 1));
  EXPECT_FALSE(serving.server->stop());
  EXPECT_TRUE(client.closed());
}

TEST(Server, ReloadsWithoutBreakingStreams) {
  const Serving serving;
  const LoadedFrozenModel before = load_frozen_model(serving.models.path("small"));
  const json long_request = {{"prompt", "the"}, {"max_tokens", 3000}, {"temperature", 0}};
  const json expected = serving.post("/v1/completions", long_request).object()["choices"];
  Client client = serving.client();
  json request = long_request;
  request["stream"] = true;
  client.send(completion(request));
  client.answer(true);
  serving.models.add("small", "char", 20);
  serving.server->reload();
  std::string body;
  for (std::string line = client.line(); line != "0\r\n"; line = client.line()) body += line;
  std::string text;
  for (const json& event : events(body)) text += event["choices"][0]["text"].get<std::string>();
  EXPECT_EQ(text, expected[0]["text"].get<std::string>());
  EXPECT_NE(serving.post("/v1/completions", long_request).object()["choices"], expected);
  // A directory that cannot be read changes nothing.
  const json now = serving.post("/v1/completions", short_request).object()["choices"];
  write_file(serving.models.path("small") / "config.json", "{");
  EXPECT_THROW(serving.server->reload(), Error);
  EXPECT_EQ(serving.post("/v1/completions", short_request).object()["choices"], now);
  EXPECT_EQ(serving.post("/v1/models/reload", {}).status, 403);
}

TEST(Server, RefusesWhatItCannotServe) {
  ServerOptions options;
  options.port = 0;
  EXPECT_THROW(Server{options}, UsageError);
  const Models models;
  options.models = {models.add("m", "char"), models.path("m")};
  EXPECT_THROW(Server{options}, UsageError);
  options.models = {models.path("m")};
  options.host = "example.com";
  try {
    const Server served(options);
    ADD_FAILURE() << "listens on a name";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "server: 'host' must be a numeric address or localhost, got \"example.com\"");
  }
  options.host = "127.0.0.1";
  options.max_sessions = 0;
  EXPECT_THROW(Server{options}, UsageError);
  options.max_sessions = 1;
  const Server first(options);
  options.port = first.port();
  EXPECT_THROW(Server{options}, Error);
  // Not loaded yet.
  EXPECT_EQ(Client(first.port()).get("/health").status, 503);
  EXPECT_EQ(Client(first.port()).post("/v1/completions", short_request).status, 503);
}

}  // namespace
}  // namespace sluice::server_test
