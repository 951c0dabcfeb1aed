#pragma once
// A server of small models in this process, and clients that speak to it over real sockets.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "inference/support.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/server/server.hpp"
#include "support/eventually.hpp"

namespace sluice::server_test {

using nlohmann::json;
namespace fs = std::filesystem;

inline const std::string sample =
    "the cat sat on the mat\nthe dog ran to the cat\na bird sang all day long\n"
    "we saw a dog and a cat\n";

struct Answer {
  int status = 0;
  std::string head, body;
  json object() const { return json::parse(body); }
  std::string field(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

/// A connection. Reading fails the test's thread with an exception when nothing comes for so long
/// as `patience` allows.
class Client {
 public:
  explicit Client(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(socket_);
      throw std::runtime_error("connect failed");
    }
  }
  ~Client() { close(); }
  Client(Client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), held_(std::move(other.held_)) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client& operator=(Client&&) = delete;

  /// False when the other side does not take all of it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void end_sending() { ::shutdown(socket_, SHUT_WR); }
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// Closes so that the other side gets a reset.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  int socket() const { return socket_; }

  /// Whether the other side closes; what it sends before is dropped.
  bool closed() {
    try {
      while (more()) held_.clear();
    } catch (const std::runtime_error&) {
      return false;
    }
    return true;
  }

  std::string line() {
    std::size_t end = 0;
    while ((end = held_.find('\n')) == std::string::npos) need();
    return taken(end + 1);
  }

  std::string bytes(std::size_t size) { return count(size); }

  /// The whole answer, its body put together.
  Answer answer(bool head_only = false) {
    std::size_t end = 0;
    while ((end = held_.find("\r\n\r\n")) == std::string::npos) need();
    Answer answer;
    answer.head = taken(end + 4);
    answer.status = std::stoi(answer.head.substr(9, 3));
    if (head_only || answer.status == 100) return answer;
    if (answer.field("Transfer-Encoding") == "chunked") {
      while (true) {
        const std::size_t size = std::stoul(line(), nullptr, 16);
        answer.body += count(size);
        count(2);
        if (size == 0) return answer;
      }
    }
    const std::string length = answer.field("Content-Length");
    if (length.empty()) {
      while (more()) {
      }
      answer.body = std::exchange(held_, {});
    } else {
      answer.body = count(std::stoul(length));
    }
    return answer;
  }

  Answer request(const std::string& method, const std::string& path, const std::string& body = "",
                 const std::string& fields = "") {
    send(text_of(method, path, body, fields));
    return answer(method == "HEAD");
  }
  Answer post(const std::string& path, const json& body, const std::string& fields = "") {
    return request("POST", path, body.dump(), fields);
  }
  Answer get(const std::string& path, const std::string& fields = "") {
    return request("GET", path, "", fields);
  }

  static std::string text_of(const std::string& method, const std::string& path,
                             const std::string& body = "", const std::string& fields = "") {
    const std::string host =
        fields.find("Host: ") == std::string::npos ? "Host: localhost\r\n" : "";
    return method + " " + path + " HTTP/1.1\r\n" + host + fields +
           (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") +
           "\r\n" + body;
  }

 private:
  /// Receives some; false at the end.
  bool more() {
    constexpr auto most = std::chrono::milliseconds(patience).count();
    pollfd poll_for{socket_, POLLIN, 0};
    if (::poll(&poll_for, 1, static_cast<int>(most)) <= 0)
      throw std::runtime_error("no answer came");
    char bytes[16384];
    const auto size = ::recv(socket_, bytes, sizeof bytes, 0);
    if (size <= 0) return false;
    held_.append(bytes, static_cast<std::size_t>(size));
    return true;
  }
  void need() {
    if (!more()) throw std::runtime_error("the answer broke off");
  }
  std::string taken(std::size_t size) {
    std::string text = held_.substr(0, size);
    held_.erase(0, size);
    return text;
  }
  std::string count(std::size_t size) {
    while (held_.size() < size) need();
    return taken(size);
  }

  int socket_;
  std::string held_;
};

/// The data of server-sent events, [DONE] left out.
inline std::vector<json> events(const std::string& body) {
  std::vector<json> list;
  for (std::size_t at = 0; (at = body.find("data: ", at)) != std::string::npos;) {
    at += 6;
    const std::string data = body.substr(at, body.find("\n\n", at) - at);
    if (data != "[DONE]") list.push_back(json::parse(data));
  }
  return list;
}

/// A directory of models that is removed at the end.
class Models {
 public:
  Models() {
    std::string name = (fs::temp_directory_path() / "sluice-server-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    directory_ = name;
  }
  ~Models() { fs::remove_all(directory_); }
  Models(const Models&) = delete;
  Models& operator=(const Models&) = delete;

  /// A small model over a tokenizer of that kind. `dim` tells models apart.
  fs::path add(const std::string& name, const std::string& kind, std::int64_t dim = 12,
               const std::string& text = sample) const {
    const auto tokenizer = testing_support::tokenizer(kind, text);
    const auto model = testing_support::model("[(12,3)]*2", tokenizer->size(), {}, dim);
    fs::create_directories(directory_ / name);
    ModelDirectory(directory_ / name).save(*model, *tokenizer);
    return directory_ / name;
  }
  fs::path path(const std::string& name) const { return directory_ / name; }

 private:
  fs::path directory_;
};

/// A server of one small model over characters, changed as a test needs it.
class Serving {
 public:
  explicit Serving(const std::function<void(ServerOptions&, const Models&)>& change = {}) {
    ServerOptions options;
    options.port = 0;
    options.log = LogFormat::json;
    if (change) change(options, models);
    if (options.models.empty()) options.models = {models.add("small", "char")};
    server = std::make_unique<Server>(std::move(options), [this](std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(json::parse(line));
    });
    server->load();
  }

  Client client() const { return Client(server->port()); }
  Answer post(const std::string& path, const json& body, const std::string& fields = "") const {
    return client().post(path, body, fields);
  }
  Answer get(const std::string& path, const std::string& fields = "") const {
    return client().get(path, fields);
  }
  /// The value of a metric without labels, or with those given; NaN where there is none.
  double metric(const std::string& name) const {
    const std::string text = "\n" + get("/metrics").body;
    const std::size_t at = text.find("\n" + name + " ");
    if (at == std::string::npos) return std::nan("");
    return std::stod(text.substr(at + name.size() + 2));
  }
  /// Waits until a metric has a value; the request that asks counts as one that is open.
  bool metric_becomes(const std::string& name, double value) const {
    return eventually([&] { return metric(name) == value; });
  }
  std::vector<json> log() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  /// Waits for such a line: it is written behind its answer, by another thread.
  bool logs(const std::function<bool(const json&)>& such) const {
    return eventually([&] {
      const std::vector<json> lines = log();
      return std::any_of(lines.begin(), lines.end(), such);
    });
  }

  Models models;

 private:
  mutable std::mutex mutex_;
  std::vector<json> lines_;

 public:
  /// The first to end: it writes its log until then.
  std::unique_ptr<Server> server;
};

}  // namespace sluice::server_test
