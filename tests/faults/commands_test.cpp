// Faults in commands that make something of a model, and in a server.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "faults.hpp"
#include "sluice/base/file.hpp"
#include "support.hpp"

namespace sluice::faults {
namespace {

namespace fs = std::filesystem;
using cli_test::Outcome;
using cli_test::Process;
using cli_test::ProcessOptions;
using cli_test::run;

const std::vector<std::string> sampled = {"file", "read", "stat", "map", "memory"};

/// What a command made of a model, a file or a pair of them, is whole or not there, and the next
/// call makes it.
TEST_F(Faults, OfCommandsThatMakeSomething) {
  const std::string model = path("work/model"), golden = SLUICE_GOLDEN;
  struct Maker {
    std::vector<std::string> arguments;
    std::string made;
  };
  const std::vector<Maker> makers = {
      {{"quantize", model, "--out", out()}, out() + "/runtime.safetensors"},
      {{"export", model, "--out", out()}, out() + "/whole.onnx"},
      {{"import", golden + "/import/fconv.pt", "--dictionary", golden + "/import/dict.txt", "--out",
        out()},
       out() + "/model.safetensors"},
      {{"arpa", golden + "/ngram/model.arpa", "--out", out()}, out()}};
  for (const auto& [arguments, made] : makers) {
    const auto prepare = [&] {
      clean();
      fs::copy(whole_, model, fs::copy_options::recursive);
    };
    prepare();
    ASSERT_EQ(run(arguments).status, 0) << arguments[0];
    const std::string bytes = read_file(made);
    inject({.name = arguments[0],
            .arguments = arguments,
            .prepare = prepare,
            .check =
                [&, &arguments = arguments, &made = made](const Outcome& ended) {
                  if (ended.status == 0 || fs::exists(made)) {
                    EXPECT_TRUE(read_file(made) == bytes) << "it was made otherwise";
                  }
                  EXPECT_TRUE(read_file(model + "/model.safetensors") == weights_);
                  if (ended.status == 0) return;
                  std::vector<std::string> again = arguments;
                  if (arguments[0] == "export" || arguments[0] == "import") {
                    again.emplace_back("--overwrite");
                  }
                  const Outcome next = run(again);
                  EXPECT_EQ(next.status, 0) << next.err;
                  EXPECT_TRUE(read_file(made) == bytes) << "it was made otherwise";
                }},
           exhaustive() ? of_all : sampled);
  }
}

/// A calibration that cannot be read is not taken for none.
TEST_F(Faults, OfClassification) {
  const std::string model = path("work/model"), made = path("made");
  std::string lines;
  for (int i = 0; i < 60; ++i) lines += i % 2 == 0 ? "a\tthe cat\n" : "b\tran to the sea\n";
  const std::string labelled = write("labelled.tsv", lines);
  ASSERT_EQ(
      run({"train",   "--data",    labelled, "--condition", "1",    "--out",       made, "--layers",
           "[(4,2)]", "--dim",     "4",      "--tokenizer", "word", "--min-count", "1",  "--batch",
           "2",       "--context", "8",      "--steps",     "4",    "--threads",   "1"})
          .status,
      0);
  const std::vector<std::string> calibrate = {"classify", model,    labelled,     "--condition",
                                              "1",        "--json", "--calibrate"};
  const std::vector<std::string> classify = {"classify", model, lines_, "--all", "--json"};
  const auto prepare = [&] {
    clean();
    fs::copy(made, model, fs::copy_options::recursive);
  };
  prepare();
  const Outcome found = run(calibrate);
  ASSERT_EQ(found.status, 0) << found.err;
  const std::string file = model + "/calibration.json", kept = read_file(file);
  inject({.name = "calibrate",
          .arguments = calibrate,
          .prepare = prepare,
          .check =
              [&](const Outcome& ended) {
                EXPECT_TRUE(ended.status != 0 || ended.out == found.out) << ended.out;
                if (ended.status == 0 || fs::exists(file)) {
                  EXPECT_EQ(read_file(file), kept);
                }
              }},
         exhaustive() ? of_all : sampled);
  const std::string said = run(classify).out;
  inject({.name = "classify",
          .arguments = classify,
          .prepare = [] {},
          .check =
              [&](const Outcome& ended) {
                EXPECT_TRUE(ended.status != 0 || ended.out == said) << ended.out;
              },
          .root = file,
          .most = 0},
         {"open", "read", "stat"});
}

/// What the server at `port` answers within some seconds; nothing when there is none.
std::string answer(int port, int seconds, const std::string& method, const std::string& target,
                   const std::string& body) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{.tv_sec = seconds, .tv_usec = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string all;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = method + " " + target +
                                " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                                "Content-Type: application/json\r\nContent-Length: " +
                                std::to_string(body.size()) + "\r\n\r\n" + body;
    static_cast<void>(::send(socket, request.data(), request.size(), MSG_NOSIGNAL));
    std::string part(4096, '\0');
    for (ssize_t got = 0; (got = ::recv(socket, part.data(), part.size(), 0)) > 0;) {
      all.append(part, 0, static_cast<std::size_t>(got));
    }
  }
  ::close(socket);
  return all;
}

/// A server that could not be started says why. One that was outlives an allocation that is
/// refused: it answers the next request, and ends when it is told to.
TEST_F(Faults, OfAServer) {
  const std::string model = path("work/model"), said = path("said");
  const auto serve = [&](const ProcessOptions& options) {
    ProcessOptions own = options;
    own.output_file = said;
    write_file(said, "");
    Process server({"serve", model, "--port", "0", "--threads", "1", "--log", "none"}, own);
    const std::string at = "127.0.0.1:";
    int port = 0;
    while (port == 0 && !server.ended_within(5)) {
      const std::string text = read_file(said);
      const std::size_t found = text.find(at);
      if (found != std::string::npos && text.ends_with('\n')) {
        port = std::stoi(text.substr(found + at.size()));
      }
    }
    std::string answers;
    if (port != 0) {
      const bool ever = std::any_of(
          own.environment.begin(), own.environment.end(), [](const std::string& setting) {
            return setting.starts_with("SLUICE_FAULT=") && setting.ends_with('+');
          });
      // Without any memory it may not even find out that a client is to be told so.
      const int seconds = ever ? 1 : 20;
      const std::string asked = R"({"prompt": "the", "max_tokens": 4})";
      answers = answer(port, seconds, "POST", "/v1/completions", asked);
      const auto healthy = [&] {
        const std::string health = answer(port, seconds, "GET", "/health", "");
        answers += health;
        return health.find("\"ok\"") != std::string::npos;
      };
      // The fault may be that of the first that asks, which comes too late then.
      EXPECT_TRUE(ever || healthy() || healthy()) << "it is gone";
      server.signal(SIGTERM);
      EXPECT_TRUE(server.ends()) << "it does not end when it is told to";
      if (HasFailure()) server.signal(SIGKILL);
    }
    Outcome ended = server.wait();
    ended.out = answers;
    const std::string ending = "sluice serve: ending; a second signal ends it at once\n";
    if (ended.err.starts_with(ending)) ended.err.erase(0, ending.size());
    return ended;
  };
  inject({.name = "serve",
          .arguments = {},
          .prepare =
              [&] {
                clean();
                fs::copy(whole_, model, fs::copy_options::recursive);
              },
          .check =
              [&](const Outcome& ended) {
                EXPECT_EQ(ended.out.find("internal error"), std::string::npos) << ended.out;
                EXPECT_TRUE(read_file(model + "/model.safetensors") == weights_);
              },
          .most = 12,
          .act = serve},
         exhaustive() ? of_all : std::vector<std::string>{"open", "read", "stat", "map", "memory"});
}

}  // namespace
}  // namespace sluice::faults
