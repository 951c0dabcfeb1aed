#include "connection.hpp"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "answers.hpp"

namespace sluice::server {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// Bytes that a client may send ahead while its request is being answered: then it is not read
/// from.
constexpr std::size_t most_ahead = std::size_t{64} << 10;
/// After an answer that closes the connection the client may go on sending for a while: closing at
/// once would reset the connection, and with it what the client has not read yet.
constexpr std::chrono::seconds lingering_time{2};
constexpr std::size_t most_discarded = std::size_t{16} << 20;
/// How long nothing may come over a connection that was taken over.
constexpr std::chrono::minutes session_idle_time{10};

Clock::duration seconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

std::string head_of(const HttpResponse& response, const std::string& date) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nServer: sluice\r\nDate: {}\r\n",
                                 response.status, reason_phrase(response.status), date);
  if (!response.type.empty()) head += fmt::format("Content-Type: {}\r\n", response.type);
  for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, value);
  return head;
}

/// An exchange of a connection, which may close first. What it is asked for is posted, so that it
/// comes in order and not while the connection hands the request over.
class ConnectionExchange : public Exchange {
 public:
  ConnectionExchange(Hub& hub, std::shared_ptr<Connection> connection, std::uint64_t serial,
                     std::shared_ptr<const HttpRequest> request, std::shared_ptr<ExchangeLink> link)
      : executor_(hub.io.get_executor()),
        connection_(std::move(connection)),
        serial_(serial),
        request_(std::move(request)),
        link_(std::move(link)) {}

  ~ConnectionExchange() override {
    if (finished_) return;
    to_connection([note = std::move(note_)](Connection& connection, std::uint64_t serial) {
      connection.abandon(serial, note);
    });
  }

  const HttpRequest& request() const override { return *request_; }

  void respond(HttpResponse response) override {
    if (std::exchange(finished_, true)) return;
    to_connection([response = std::move(response), note = note_](Connection& connection,
                                                                 std::uint64_t serial) {
      connection.open(serial, response, true);
      connection.finish(serial, note);
    });
  }

  void open(HttpResponse head) override {
    to_connection([head = std::move(head)](Connection& connection, std::uint64_t serial) {
      connection.open(serial, head, false);
    });
  }

  void write(std::string piece) override {
    if (gone() || piece.empty()) return;
    to_connection([piece = std::move(piece)](Connection& connection, std::uint64_t serial) {
      connection.write(serial, piece);
    });
  }

  void close() override {
    if (std::exchange(finished_, true)) return;
    to_connection([note = note_](Connection& connection, std::uint64_t serial) {
      connection.finish(serial, note);
    });
  }

  void take_over(std::vector<std::pair<std::string, std::string>> fields,
                 std::function<void(std::string_view)> received) override {
    to_connection([head = HttpResponse{.status = 101, .type = "", .headers = std::move(fields)},
                   received = std::move(received)](Connection& connection, std::uint64_t serial) {
      connection.take_over(serial, head, received);
    });
  }

  bool gone() const override { return link_->gone.load(); }

  void when_gone(std::function<void()> then) override {
    {
      const std::lock_guard lock(link_->mutex);
      if (!link_->gone.load()) {
        link_->then = std::move(then);
        return;
      }
    }
    then();
  }

  RequestNote& note() override { return note_; }

 private:
  template <class Do>
  void to_connection(Do action) {
    try {
      asio::post(executor_,
                 [connection = connection_, serial = serial_, action = std::move(action)] {
                   connection->guarded([&] { action(*connection, serial); });
                 });
    } catch (const std::exception&) {
      link_->lost.store(true);
    }
  }

  asio::io_context::executor_type executor_;
  std::shared_ptr<Connection> connection_;
  std::uint64_t serial_;
  std::shared_ptr<const HttpRequest> request_;
  std::shared_ptr<ExchangeLink> link_;
  RequestNote note_;
  bool finished_ = false;
};

}  // namespace

void ExchangeLink::set_gone() {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex);
    gone.store(true);
    call = std::exchange(then, nullptr);
  }
  if (call) call();
}

Connection::Connection(Hub& hub, asio::ip::tcp::socket socket, std::string peer)
    : hub_(hub), socket_(std::move(socket)), peer_(std::move(peer)) {}

void Connection::start() {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  read_deadline_ = Clock::now() + seconds(hub_.limits.idle_seconds);
  wait_readable();
}

void Connection::drain() {
  keep_alive_ = false;
  if (receiver_) close();  // it would not end by itself
  if (phase_ == Phase::idle) linger();
}

void Connection::close() {
  if (phase_ == Phase::closed) return;
  const auto self = shared_from_this();
  phase_ = Phase::closed;
  receiver_ = nullptr;
  count_received(-counted_);
  error_code ignored;
  socket_.close(ignored);
  hub_.counts.connections.fetch_sub(1);
  hub_.connections.erase(self);
  if (link_) link_->set_gone();  // whoever handles the request lets go of it
}

void Connection::give_up() noexcept {
  try {
    close();
  } catch (const std::exception&) {
    // It is closed; whoever handles its request finds that out later.
  }
}

void Connection::check_times(Clock::time_point now) {
  if (link_ && link_->lost.load()) {
    close();
    return;
  }
  if (sending_now_ && now > write_deadline_) {
    close();
    return;
  }
  // What is being sent while it waits to close has its own time.
  const bool still_sending = phase_ == Phase::lingering && sending_now_;
  const bool answering = phase_ == Phase::handling && !receiver_;
  if (answering || still_sending || now <= read_deadline_) return;
  if (phase_ == Phase::receiving && !read_ended_) {
    refuse(408, fmt::format("the request did not arrive within {} s", hub_.limits.request_seconds));
  } else {
    close();
  }
}

void Connection::count_received(std::int64_t bytes) {
  counted_ += bytes;
  hub_.receiving += bytes;
}

void Connection::wait_readable() {
  if (waiting_ || read_ended_ || phase_ == Phase::closed) return;
  waiting_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_read,
                     [self = shared_from_this()](const error_code& error) {
                       self->waiting_ = false;
                       self->guarded([&] { self->readable(error); });
                     });
}

void Connection::readable(const error_code& waited) {
  if (phase_ == Phase::closed) return;
  error_code error = waited;
  std::size_t size = 0;
  if (!error) size = socket_.read_some(asio::buffer(hub_.scratch), error);
  if (error == asio::error::would_block || error == asio::error::try_again) {
    wait_readable();
    return;
  }
  if (error == asio::error::eof) {
    client_ended();
    return;
  }
  if (error) {
    close();
    return;
  }
  hub_.counts.bytes_in.fetch_add(static_cast<std::int64_t>(size));
  received({hub_.scratch.data(), size});
  if (phase_ != Phase::handling || receiver_ || ahead_.size() < most_ahead) wait_readable();
}

/// The client sends no more. It may still read, but one that has closed looks the same: work for it
/// is given up, and an answer that comes all the same is sent.
void Connection::client_ended() {
  read_ended_ = true;
  if (receiver_) {
    close();
    return;
  }
  if (phase_ == Phase::handling) {
    const auto link = link_;
    keep_alive_ = false;
    link->set_gone();
    return;
  }
  if (sending_now_ && phase_ != Phase::lingering) {  // the answer before it is still being sent
    phase_ = Phase::lingering;
    read_deadline_ = Clock::now() + seconds(hub_.limits.stall_seconds);
    return;
  }
  close();
}

void Connection::received(std::string_view bytes) {
  if (phase_ == Phase::lingering) {
    discarded_ += bytes.size();
    if (discarded_ > most_discarded) close();
  } else if (receiver_) {
    read_deadline_ = Clock::now() + session_idle_time;
    receiver_(bytes);
  } else if (phase_ == Phase::handling) {
    ahead_ += bytes;
  } else {
    consume(bytes);
  }
}

void Connection::consume(std::string_view bytes) {
  if (phase_ == Phase::idle) {
    // Empty lines before a request are to be ignored (RFC 9112, 2.2).
    const std::size_t begin = bytes.find_first_not_of("\r\n");
    if (begin == std::string_view::npos) return;
    bytes.remove_prefix(begin);
    phase_ = Phase::receiving;
    read_deadline_ = Clock::now() + seconds(hub_.limits.request_seconds);
    reader_ = std::make_unique<RequestReader>(hub_.limits.request);
  }
  const std::size_t used = reader_->feed(bytes);
  count_received(static_cast<std::int64_t>(used));
  if (reader_->fault() != 0) {
    refuse(reader_->fault(), reader_->message());
  } else if (reader_->done()) {
    ahead_ = bytes.substr(used);
    handle();
  } else if (hub_.receiving > hub_.limits.receiving) {
    refuse(503, "too many large requests are being received; try again later");
  } else if (reader_->wants_continue()) {
    send("HTTP/1.1 100 Continue\r\n\r\n");
  }
}

void Connection::handle() {
  auto request = std::make_shared<HttpRequest>(reader_->take());
  reader_.reset();
  count_received(-counted_);
  request->peer = peer_;
  request_ = request;
  link_ = std::make_shared<ExchangeLink>();
  ++serial_;
  phase_ = Phase::handling;
  handled_since_ = Clock::now();
  outcome_ = {};
  keep_alive_ = request->keep_alive && !hub_.draining;
  chunked_ = opened_ = false;
  hub_.counts.open_requests.fetch_add(1);
  hub_.hooks.handle(
      std::make_shared<ConnectionExchange>(hub_, shared_from_this(), serial_, request_, link_));
}

/// Answers bytes that are no request, after which nothing more is understood.
void Connection::refuse(int status, const std::string& message) {
  keep_alive_ = false;
  // The message may be the reader's, which goes then.
  HttpResponse response = error_response(status, message);
  reader_.reset();
  count_received(-counted_);
  response.headers.emplace_back("Connection", "close");
  response.headers.emplace_back("Content-Length", std::to_string(response.body.size()));
  const std::string answer = head_of(response, hub_.date) + "\r\n" + response.body;
  HttpRequest broken;
  broken.peer = peer_;
  RequestNote note;
  note.route = "broken";
  hub_.hooks.finished(broken, note,
                      {.status = status, .bytes = static_cast<std::int64_t>(answer.size())});
  send(answer);
  linger();
}

void Connection::open(std::uint64_t serial, const HttpResponse& head, bool whole) {
  if (!current(serial) || opened_) return;
  opened_ = true;
  outcome_.status = head.status;
  chunked_ = !whole && request_->version == 1;
  if (!whole && !chunked_) keep_alive_ = false;
  std::string text = head_of(head, hub_.date);
  if (whole) text += fmt::format("Content-Length: {}\r\n", head.body.size());
  if (chunked_) text += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_) {
    text += "Connection: close\r\n";
  } else if (request_->version == 0) {
    text += "Connection: keep-alive\r\n";
  }
  text += "\r\n";
  if (whole && request_->method != "HEAD") text += head.body;
  send(text);
}

void Connection::write(std::uint64_t serial, std::string_view piece) {
  if (!current(serial) || !opened_) return;
  send(chunked_ ? fmt::format("{:x}\r\n{}\r\n", piece.size(), piece) : std::string(piece));
  if (queued_.size() + sending_.size() > hub_.limits.unread) close();
}

void Connection::take_over(std::uint64_t serial, const HttpResponse& head,
                           std::function<void(std::string_view)> received) {
  if (!current(serial) || opened_) return;
  opened_ = true;
  keep_alive_ = false;
  outcome_.status = head.status;
  read_deadline_ = Clock::now() + session_idle_time;
  send(head_of(head, hub_.date) + "\r\n");
  receiver_ = std::move(received);
  if (const std::string ahead = std::exchange(ahead_, {}); !ahead.empty()) receiver_(ahead);
}

void Connection::finish(std::uint64_t serial, const RequestNote& note) {
  if (closed_while_handling(serial)) answered(note, true);
  if (!current(serial)) return;
  if (chunked_) send("0\r\n\r\n");
  answered(note, false);
  next_request();
}

void Connection::abandon(std::uint64_t serial, const RequestNote& note) {
  if (closed_while_handling(serial)) answered(note, true);
  if (!current(serial)) return;
  if (!opened_ && !link_->gone.load()) {
    open(serial, error_response(500, "the server failed to answer; its log may say why"), true);
    finish(serial, note);
    return;
  }
  answered(note, true);
  close();
}

void Connection::answered(const RequestNote& note, bool gone) {
  link_.reset();
  receiver_ = nullptr;
  const auto request = std::exchange(request_, nullptr);
  outcome_.seconds = std::chrono::duration<double>(Clock::now() - handled_since_).count();
  outcome_.gone = gone;
  if (phase_ == Phase::handling) phase_ = Phase::idle;
  hub_.counts.open_requests.fetch_sub(1);
  hub_.hooks.finished(*request, note, outcome_);
}

void Connection::next_request() {
  if (!keep_alive_ || hub_.draining) {
    linger();
    return;
  }
  read_deadline_ = Clock::now() + seconds(hub_.limits.idle_seconds);
  const std::string ahead = std::exchange(ahead_, {});
  if (!ahead.empty()) consume(ahead);
  wait_readable();
}

void Connection::linger() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::lingering;
  read_deadline_ = Clock::now() + seconds(hub_.limits.stall_seconds);
  if (!sending_now_) sent({}, 0);
}

void Connection::send(std::string_view bytes) {
  if (phase_ == Phase::closed) return;
  outcome_.bytes += static_cast<std::int64_t>(bytes.size());
  queued_ += bytes;
  if (!sending_now_) send_some();
}

void Connection::send_some() {
  if (sent_ == sending_.size()) {
    sending_ = std::exchange(queued_, {});
    sent_ = 0;
  }
  if (!std::exchange(sending_now_, true)) {
    write_deadline_ = Clock::now() + seconds(hub_.limits.stall_seconds);
  }
  socket_.async_write_some(asio::buffer(sending_.data() + sent_, sending_.size() - sent_),
                           [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                             self->guarded([&] { self->sent(error, bytes); });
                           });
}

void Connection::sent(const error_code& error, std::size_t bytes) {
  if (phase_ == Phase::closed) return;
  sending_now_ = false;
  if (error) {
    close();
    return;
  }
  hub_.counts.bytes_out.fetch_add(static_cast<std::int64_t>(bytes));
  sent_ += bytes;
  if (sent_ < sending_.size() || !queued_.empty()) {
    send_some();
    return;
  }
  std::string().swap(sending_);  // gives its memory back
  sent_ = 0;
  if (phase_ != Phase::lingering) return;
  if (read_ended_) {
    close();
    return;
  }
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  read_deadline_ = Clock::now() + lingering_time;
  wait_readable();
}

}  // namespace sluice::server
