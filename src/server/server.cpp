#include "sluice/server/server.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "dispatch.hpp"
#include "http_server.hpp"
#include "services.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

using namespace server;

/// How often models that are new, or were replaced, are looked at.
constexpr std::chrono::seconds look_every{1};

HttpLimits http_limits(const ServerOptions& options) {
  HttpLimits limits;
  limits.request.header = static_cast<std::size_t>(options.max_header);
  limits.request.body = static_cast<std::size_t>(options.max_body);
  limits.receiving = std::max(limits.receiving, 4 * options.max_body);
  limits.connections = options.max_connections;
  limits.request_seconds = options.request_seconds;
  limits.idle_seconds = options.idle_seconds;
  limits.stall_seconds = options.stall_seconds;
  return limits;
}

ServerOptions checked(ServerOptions options) {
  check_fields(field_parts(std::as_const(options)), {.where = "server"});
  return options;
}

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, Log log)
      : services(checked(std::move(options)), std::move(log)),
        http(services.options.host, static_cast<int>(services.options.port),
             http_limits(services.options),
             {.handle =
                  [this](std::shared_ptr<Exchange> exchange) {
                    dispatch(services, std::move(exchange));
                  },
              .finished =
                  [this](const HttpRequest& request, const RequestNote& note,
                         const RequestOutcome& outcome) {
                    services.metrics.request(note, outcome);
                    services.log.request(request, note, outcome);
                  }}) {
    services.counts = &http.counts();
    services.loopback = http.loopback();
    http.start();
    keeper = std::thread([this] { keep(); });
  }

  ~Impl() { end(0); }

  bool end(double seconds) {
    if (std::exchange(ended, true)) return true;
    services.ending.store(true);
    {
      const std::lock_guard lock(mutex);
      keeper_ends = true;
    }
    wake.notify_all();
    keeper.join();
    // Where memory runs out nobody is waited for, and what is left ends with its owner.
    const auto tried = [](auto&& step) {
      try {
        return step();
      } catch (const std::bad_alloc&) {
        return false;
      }
    };
    const bool all = tried([&] { return http.drain(seconds); });
    // Requests first, then what they wait for; connections are gone when nobody can answer any
    // more.
    services.pool.stop();
    tried([&] {
      services.models.stop();
      return true;
    });
    http.stop();
    services.log.finish();
    return all;
  }

  void keep() {
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, look_every, [this] { return keeper_ends; })) {
      lock.unlock();
      try {
        services.models.warm_new();
        services.models.release_unused();
      } catch (const std::exception&) {
        // For want of memory: the next time, perhaps.
      }
      lock.lock();
    }
  }

  Services services;
  HttpServer http;
  std::mutex mutex;
  std::condition_variable wake;
  bool keeper_ends = false, ended = false;
  std::thread keeper;
};

Server::Server(ServerOptions options, Log log)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(log))) {}
Server::~Server() = default;

void Server::load() {
  impl_->services.models.load();
  impl_->services.loading.store(false);
}

void Server::reload() {
  impl_->services.load_keys();
  impl_->services.models.load();
}

bool Server::stop() { return impl_->end(impl_->services.options.drain_seconds); }

int Server::port() const { return impl_->http.port(); }

std::string Server::address() const {
  std::string host = impl_->services.options.host;
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return fmt::format("http://{}:{}/", host, port());
}

}  // namespace sluice
