#include "http_server.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <ctime>
#include <exception>
#include <future>
#include <thread>

#include "connection.hpp"
#include "sluice/base/error.hpp"

namespace sluice::server {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// How often times are looked at: what passes them ends that much later.
constexpr std::chrono::milliseconds look_every{100};
constexpr std::chrono::milliseconds accept_again{50};
constexpr std::chrono::milliseconds poll_every{5};

std::string date_now() {
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time(nullptr)));
}

asio::ip::address address_of(const std::string& host, error_code& error) {
  return asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
}

}  // namespace

bool is_address(const std::string& host) {
  error_code error;
  static_cast<void>(address_of(host, error));
  return !error;
}

struct HttpServer::State {
  Hub hub;
  tcp::acceptor acceptor{hub.io};
  asio::steady_timer timer{hub.io};
  asio::steady_timer pause{hub.io};
  asio::executor_work_guard<asio::io_context::executor_type> work{hub.io.get_executor()};
  std::thread thread;
  int port = 0;
  bool loopback = false;

  void listen(const std::string& host, int wanted) {
    error_code error;
    const asio::ip::address address = address_of(host, error);
    const tcp::endpoint at(address, static_cast<std::uint16_t>(wanted));
    const auto check = [&](const char* what) {
      if (!error) return;
      throw Error(fmt::format("cannot {} {} port {}: {}; choose another port or host", what, host,
                              wanted, error.message()));
    };
    check("use");
    acceptor.open(at.protocol(), error);
    check("open a socket for");
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor.bind(at, error);
    check("bind to");
    acceptor.listen(4096, error);
    check("listen on");
    port = acceptor.local_endpoint().port();
    loopback = address.is_loopback();
  }

  void accept() {
    acceptor.async_accept([this](const error_code& error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
      if (error) {  // out of file descriptors, say: those that close make room
        pause.expires_after(accept_again);
        pause.async_wait([this](const error_code& ended) {
          if (!ended) accept();
        });
        return;
      }
      try {
        take(std::move(socket));
      } catch (const std::exception&) {
        // There is no memory for another: it is closed, and the next one is waited for.
        hub.counts.refused.fetch_add(1);
      }
      accept();
    });
  }

  void take(tcp::socket socket) {
    if (hub.counts.connections.load() >= hub.limits.connections) {
      hub.counts.refused.fetch_add(1);
      return;  // closes it
    }
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    auto connection =
        std::make_shared<Connection>(hub, std::move(socket), peer.address().to_string());
    hub.connections.insert(connection);
    hub.counts.accepted.fetch_add(1);
    hub.counts.connections.fetch_add(1);
    connection->guarded([&] { connection->start(); });
  }

  void look_at_times() {
    timer.expires_after(look_every);
    timer.async_wait([this](const error_code& error) {
      if (error) return;
      try {
        hub.date = date_now();
        const auto now = Clock::now();
        for (const auto& connection : all()) {
          connection->guarded([&] { connection->check_times(now); });
        }
      } catch (const std::exception&) {
        // Without memory, later.
      }
      look_at_times();
    });
  }

  /// A copy: a connection that closes leaves the set.
  std::vector<std::shared_ptr<Connection>> all() const {
    return {hub.connections.begin(), hub.connections.end()};
  }

  /// Runs `action` on the thread, and waits for it.
  template <class Do>
  void on_thread(Do action) {
    std::promise<void> done;
    asio::post(hub.io, [&] {
      try {
        action();
        done.set_value();
      } catch (const std::exception&) {
        done.set_exception(std::current_exception());
      }
    });
    done.get_future().get();
  }

  /// Until there is nothing more to do. A handler that fails for want of memory ends by itself.
  void run() {
    while (true) {
      try {
        hub.io.run();
        return;
      } catch (const std::exception&) {
        continue;
      }
    }
  }

  void close_acceptor() {
    error_code ignored;
    acceptor.close(ignored);
  }
};

HttpServer::HttpServer(const std::string& host, int port, const HttpLimits& limits, HttpHooks hooks)
    : state_(std::make_shared<State>()) {
  state_->hub.limits = limits;
  state_->hub.hooks = std::move(hooks);
  state_->hub.date = date_now();
  state_->listen(host, port);
}

HttpServer::~HttpServer() { stop(); }

void HttpServer::start() {
  state_->accept();
  state_->look_at_times();
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

int HttpServer::port() const { return state_->port; }
bool HttpServer::loopback() const { return state_->loopback; }
const HttpCounts& HttpServer::counts() const { return state_->hub.counts; }

bool HttpServer::drain(double seconds) {
  if (!state_->thread.joinable()) return true;
  state_->on_thread([this] {
    state_->close_acceptor();
    state_->hub.draining = true;
    for (const auto& connection : state_->all()) connection->drain();
  });
  const auto limit = Clock::now() + std::chrono::duration<double>(seconds);
  // Those that only wait for their client to close are not waited for.
  for (bool busy = true; true; std::this_thread::sleep_for(poll_every)) {
    state_->on_thread([&] {
      const auto all = state_->all();
      busy = std::any_of(all.begin(), all.end(), [](const auto& one) { return one->busy(); });
    });
    if (!busy || Clock::now() >= limit) return !busy;
  }
}

void HttpServer::stop() {
  if (!state_->thread.joinable()) return;
  state_->on_thread([this] {
    state_->close_acceptor();
    state_->timer.cancel();
    state_->pause.cancel();
    for (const auto& connection : state_->all()) connection->close();
    state_->work.reset();
  });
  state_->hub.io.stop();
  state_->thread.join();
}

}  // namespace sluice::server
