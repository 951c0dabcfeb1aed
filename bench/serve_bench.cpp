// What HTTP costs: the engine alone, and the same requests to a server in this process over
// loopback, by a client on the same cores.
//   serve_bench MODEL [--texts N] [--tokens N] [--rounds N] [--idle N]

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "sluice/inference/engine.hpp"
#include "sluice/server/server.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::int64_t resident_kilobytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE) / 1024;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

struct Figures {
  double tokens_per_second = 0;
  /// Median seconds to the first token of a text.
  double first_token = 0;
};

/// Tells when all texts have ended.
struct Texts {
  std::mutex mutex;
  std::condition_variable ended;
  int left = 0;
  std::vector<double> first;
};

class Listener : public sluice::EngineListener {
 public:
  explicit Listener(Texts& texts) : texts_(texts) {}
  bool token(const sluice::EngineToken&) override { return true; }
  void done(const sluice::EngineResult& result) override {
    const std::lock_guard lock(texts_.mutex);
    texts_.first.push_back(result.first_token_seconds);
    if (--texts_.left == 0) texts_.ended.notify_all();
  }

 private:
  Texts& texts_;
};

Figures engine_alone(sluice::Engine& engine, std::int32_t eos, int texts, int tokens) {
  Texts all;
  all.left = texts;
  const auto begin = Clock::now();
  for (int i = 0; i < texts; ++i) {
    sluice::EngineRequest request;
    request.prompt = {eos, static_cast<std::int32_t>(i % 20)};
    request.tokens = tokens;
    request.sampling.seed = static_cast<std::uint64_t>(i);
    engine.submit(std::move(request), std::make_shared<Listener>(all));
  }
  std::unique_lock lock(all.mutex);
  all.ended.wait(lock, [&] { return all.left == 0; });
  return {texts * tokens / since(begin), median(all.first)};
}

int connect_to(int port) {
  const int connected = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connected < 0 ||
      ::connect(connected, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect");
  }
  return connected;
}

/// Streams `texts` at once, each over a connection of its own.
Figures streamed(int port, int texts, int tokens, int first_seed = 0) {
  std::vector<pollfd> sockets;
  std::vector<Clock::time_point> sent;
  std::vector<double> first(static_cast<std::size_t>(texts), 0);
  const auto begin = Clock::now();
  for (int i = 0; i < texts; ++i) {
    const std::string body =
        fmt::format(R"({{"prompt":[{}],"max_tokens":{},"stream":true,"seed":{}}})", i % 20, tokens,
                    first_seed + i);
    const std::string request = fmt::format(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: "
        "close\r\nContent-Length: {}\r\n\r\n{}",
        body.size(), body);
    const int connected = connect_to(port);
    if (::send(connected, request.data(), request.size(), 0) < 0) throw std::runtime_error("send");
    sockets.push_back({connected, POLLIN, 0});
    sent.push_back(Clock::now());
  }
  std::string last(static_cast<std::size_t>(texts), ' ');
  int open = texts, complete = 0;
  std::vector<char> bytes(1 << 16);
  while (open > 0) {
    ::poll(sockets.data(), sockets.size(), -1);
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (sockets[i].revents == 0) continue;
      const auto size = ::recv(sockets[i].fd, bytes.data(), bytes.size(), 0);
      if (size <= 0) {
        ::close(sockets[i].fd);
        sockets[i].fd = -1;
        --open;
        continue;
      }
      const std::string_view piece(bytes.data(), static_cast<std::size_t>(size));
      if (first[i] == 0 && piece.find("data: ") != std::string_view::npos)
        first[i] = since(sent[i]);
      complete += piece.find("[DONE]") != std::string_view::npos ? 1 : 0;
    }
  }
  if (complete != texts)
    throw std::runtime_error(fmt::format("{} of {} streams complete", complete, texts));
  return {texts * tokens / since(begin), median(first)};
}

}  // namespace

int main(int argc, char** argv) {
  std::string model;
  int texts = 64, tokens = 200, rounds = 5, idle = 2000;
  CLI::App app("What HTTP costs");
  app.add_option("MODEL", model)->required();
  app.add_option("--texts", texts);
  app.add_option("--tokens", tokens);
  app.add_option("--rounds", rounds);
  app.add_option("--idle", idle);
  CLI11_PARSE(app, argc, argv);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  const auto loaded = sluice::load_frozen_model(model);
  sluice::Engine engine(loaded.model, {.queue = 4096});
  sluice::ServerOptions options;
  options.models = {model};
  options.port = 0;
  options.max_queue = 4096;
  options.log = sluice::LogFormat::none;
  sluice::Server server(options);
  const auto begin = Clock::now();
  server.load();
  fmt::print("loaded in {:.0f} ms\n", 1000 * since(begin));

  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    const Figures alone = engine_alone(engine, loaded.tokenizer->eos(), texts, tokens);
    const Figures http = streamed(server.port(), texts, tokens);
    ratios.push_back(http.tokens_per_second / alone.tokens_per_second);
    fmt::print("engine {:.0f} tokens/s, over HTTP {:.0f} tokens/s: {:.2f}\n",
               alone.tokens_per_second, http.tokens_per_second, ratios.back());
  }
  fmt::print("median ratio {:.2f}\n", median(ratios));

  // Requests come at random moments of the passes of those under way.
  std::mt19937 random(1);
  std::uniform_real_distribution<double> pause(0, 0.02);
  const auto first_tokens = [&](bool at_random) {
    std::vector<double> seconds;
    for (int i = 0; i < 40; ++i) {
      if (at_random) std::this_thread::sleep_for(std::chrono::duration<double>(pause(random)));
      seconds.push_back(streamed(server.port(), 1, 2, i).first_token);
    }
    return median(seconds);
  };
  const double alone = first_tokens(true);
  std::atomic<bool> enough = false;
  std::thread load([&] {
    while (!enough) streamed(server.port(), 31, tokens, 100);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const double under_load = first_tokens(true), back_to_back = first_tokens(false);
  enough = true;
  load.join();
  fmt::print("first token after {:.2f} ms alone, {:.2f} ms beside 31 others: {:.1f} times\n",
             1000 * alone, 1000 * under_load, under_load / alone);
  fmt::print("where each request comes as soon as the one before has ended: {:.1f} times\n",
             back_to_back / alone);

  const std::int64_t before = resident_kilobytes();
  std::vector<int> connections;
  for (int i = 0; i < idle; ++i) {
    connections.push_back(connect_to(server.port()));
    const std::string request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char answer[1024];
    if (::send(connections.back(), request.data(), request.size(), 0) < 0 ||
        ::recv(connections.back(), answer, sizeof answer, 0) <= 0) {
      throw std::runtime_error("no answer");
    }
  }
  fmt::print("{:.2f} KB for each of {} idle connections, each used once (both ends)\n",
             static_cast<double>(resident_kilobytes() - before) / idle, idle);
  for (const int connection : connections) ::close(connection);
  return 0;
}
