#pragma once
// One connection of an HttpServer. Everything here runs on the server's thread, Exchange's methods
// excepted, which hand over to it.

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "http_server.hpp"

namespace sluice::server {

using Clock = std::chrono::steady_clock;

class Connection;

/// What all connections of a server share.
struct Hub {
  HttpLimits limits;
  HttpHooks hooks;
  HttpCounts counts;
  boost::asio::io_context io{1};
  std::unordered_set<std::shared_ptr<Connection>> connections;
  /// Bytes of requests that are not complete.
  std::int64_t receiving = 0;
  bool draining = false;
  /// For the Date field; made anew every second.
  std::string date;
  /// What was read last: connections that wait hold no buffer.
  std::array<char, std::size_t{64} << 10> scratch{};
};

/// What an exchange and its connection both see.
struct ExchangeLink {
  std::atomic<bool> gone{false};
  /// Whether there was no memory to pass on what the exchange said: the connection closes.
  std::atomic<bool> lost{false};
  std::mutex mutex;
  std::function<void()> then;

  void set_gone();
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Hub& hub, boost::asio::ip::tcp::socket socket, std::string peer);

  void start();
  /// Closes what waits for the client; the rest closes when its answer is complete.
  void drain();
  /// Whether it has a request, or is sending.
  bool busy() const {
    return phase_ == Phase::receiving || phase_ == Phase::handling || sending_now_;
  }
  /// Does what a handler is to do with it. It closes when that throws, for want of memory, say: the
  /// server goes on.
  template <class Do>
  void guarded(Do act) {
    try {
      act();
    } catch (const std::exception&) {
      give_up();
    }
  }
  /// Closes it when it has passed one of its times.
  void check_times(Clock::time_point now);
  void close();

  /// What an exchange asks for; `serial` is the exchange's, to be told from those before it.
  void open(std::uint64_t serial, const HttpResponse& head, bool whole);
  void write(std::uint64_t serial, std::string_view piece);
  void take_over(std::uint64_t serial, const HttpResponse& head,
                 std::function<void(std::string_view)> received);
  void finish(std::uint64_t serial, const RequestNote& note);
  /// The exchange ended without an answer.
  void abandon(std::uint64_t serial, const RequestNote& note);

 private:
  void give_up() noexcept;

  enum class Phase { idle, receiving, handling, lingering, closed };

  void wait_readable();
  void readable(const boost::system::error_code& error);
  void received(std::string_view bytes);
  void consume(std::string_view bytes);
  void handle();
  void refuse(int status, const std::string& message);
  void client_ended();
  void count_received(std::int64_t bytes);
  void send(std::string_view bytes);
  void send_some();
  void sent(const boost::system::error_code& error, std::size_t bytes);
  void answered(const RequestNote& note, bool gone);
  void next_request();
  void linger();
  bool current(std::uint64_t serial) const {
    return phase_ == Phase::handling && serial == serial_;
  }
  bool closed_while_handling(std::uint64_t serial) const {
    return phase_ == Phase::closed && serial == serial_ && request_;
  }

  Hub& hub_;
  boost::asio::ip::tcp::socket socket_;
  std::string peer_;
  Phase phase_ = Phase::idle;
  bool waiting_ = false, sending_now_ = false, read_ended_ = false;
  Clock::time_point read_deadline_, write_deadline_;
  std::unique_ptr<RequestReader> reader_;
  /// Bytes counted in Hub::receiving.
  std::int64_t counted_ = 0;
  /// What came after the request that is being answered.
  std::string ahead_;
  /// Takes what comes once the connection is no HTTP's any more.
  std::function<void(std::string_view)> receiver_;
  /// What is being sent, how much of it was, and what comes after.
  std::string sending_, queued_;
  std::size_t sent_ = 0;

  /// Of the request that is being answered.
  std::uint64_t serial_ = 0;
  std::shared_ptr<const HttpRequest> request_;
  std::shared_ptr<ExchangeLink> link_;
  Clock::time_point handled_since_;
  RequestOutcome outcome_;
  bool keep_alive_ = true, chunked_ = false, opened_ = false;
  std::size_t discarded_ = 0;
};

}  // namespace sluice::server
