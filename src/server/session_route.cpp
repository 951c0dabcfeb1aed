// GET /v1/session: a keyboard's text, held open over a WebSocket; each keystroke a message.
#include <fmt/format.h>

#include <algorithm>

#include "next_words.hpp"
#include "request_fields.hpp"
#include "routes.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "websocket.hpp"

namespace sluice::server {
namespace {

constexpr std::size_t most_message_bytes = std::size_t{64} << 10;
/// Bytes of the text that are read: what is further back hardly matters to the next word.
constexpr std::size_t most_text = 2000;

struct KeyMessage {
  std::optional<std::string> text;
  std::string append;
  std::int64_t erase = 0;
  std::int64_t n = 8;
  std::int64_t id = 0;
};

const RequestTable& key_message() {
  using Message = KeyMessage;
  static const RequestTable table =
      RequestOf<Message>()
          .add("text", &Message::text, {.help = "Replaces the text."})
          .add("erase", &Message::erase,
               {.range = between(0, 1e9), .help = "Characters taken from the end of the text."})
          .add("append", &Message::append, {.help = "Put behind it, after that."})
          .add("n", &Message::n, {.range = between(1, 100), .help = "Words to answer at most."})
          .add("id", &Message::id, {.help = "Given back with the answer."});
  return table;
}

/// One keyboard. Messages are answered one at a time; while one is, only the last of those that
/// come is kept: who types on is not interested in the words before.
class Keyboard : public std::enable_shared_from_this<Keyboard> {
 public:
  Keyboard(const Call& call, std::shared_ptr<ServedModel> model)
      : exchange_(call.exchange), pool_(call.services.pool), model_(std::move(model)) {}

  /// On the connections' thread.
  void received(std::string_view bytes) {
    for (const SocketMessage& message : reader_.feed(bytes)) {
      if (message.kind == SocketMessage::Kind::ping) exchange_->write(pong_frame(message.text));
      if (message.kind == SocketMessage::Kind::close) {
        end(1000);
        return;
      }
      if (message.kind == SocketMessage::Kind::text) type(message.text);
    }
    if (reader_.fault() != 0) end(reader_.fault());
  }

 private:
  void end(int status) {
    if (std::exchange(ended_, true)) return;
    exchange_->write(close_frame(status));
    exchange_->close();
  }

  void type(const std::string& json) {
    KeyMessage message;
    try {
      message = read_request<KeyMessage>(
          key_message(),
          parse_json(json, {.where = "the message"},
                     {.bytes = most_message_bytes, .levels = 4, .text = most_message_bytes}));
    } catch (const RequestError& error) {
      exchange_->write(text_frame(error_body(error)));
      return;
    } catch (const Error& error) {
      exchange_->write(text_frame(error_body(RequestError(400, error.what()))));
      return;
    }
    const std::lock_guard lock(mutex_);
    if (message.text) text_ = *message.text;
    for (std::int64_t i = 0; i < message.erase && !text_.empty(); ++i) {
      while ((static_cast<unsigned char>(text_.back()) & 0xC0U) == 0x80U) text_.pop_back();
      text_.pop_back();
    }
    text_ += message.append;
    if (text_.size() > 2 * most_text) text_.erase(0, word_begin(text_.size() - most_text));
    id_ = message.id;
    n_ = message.n;
    if (std::exchange(waiting_, true) || answering_) return;
    answering_ = true;
    next();
  }

  /// Where the word behind byte `at` of the text begins.
  std::size_t word_begin(std::size_t at) const {
    const std::size_t blank = text_.find_first_of(" \n", at);
    return blank == std::string::npos ? at : blank + 1;
  }

  void next() {
    if (!pool_.add([self = shared_from_this()] { self->answer(); })) answering_ = false;
  }

  void answer() {
    std::string text;
    std::int64_t id = 0, n = 0;
    {
      const std::lock_guard lock(mutex_);
      waiting_ = false;
      text = text_;
      id = id_;
      n = n_;
    }
    std::string frame;
    try {
      Value answer = next_words(*model_, text, std::nullopt, n, &read_);
      answer.set("id", id);
      frame = text_frame(json_text(answer));
    } catch (const RequestError& error) {
      frame = text_frame(error_body(error));
    } catch (const std::exception& error) {
      frame = text_frame(error_body(RequestError(500, reason_of(error))));
    }
    const std::lock_guard lock(mutex_);
    if (!exchange_->gone()) exchange_->write(std::move(frame));
    if (waiting_) {
      next();
    } else {
      answering_ = false;
    }
  }

  std::shared_ptr<Exchange> exchange_;
  WorkerPool& pool_;
  std::shared_ptr<ServedModel> model_;
  FrameReader reader_{most_message_bytes};
  bool ended_ = false;
  /// Whose turn it is to answer reads on from what the answer before has read.
  ReadText read_;

  std::mutex mutex_;
  std::string text_;
  std::int64_t id_ = 0, n_ = 8;
  bool waiting_ = false, answering_ = false;
};

}  // namespace

const RequestTable* session_message() { return &key_message(); }

void handle_session(const Call& call) {
  const HttpRequest& request = call.exchange->request();
  if (request.upgrade != "websocket" || request.websocket_version != "13" ||
      request.websocket_key.empty()) {
    throw RequestError(426, "this is for WebSockets (version 13): send Upgrade: websocket");
  }
  const auto model = call.model(query_value(request.query, "model"));
  call.exchange->note().model = model->name;
  auto keyboard = std::make_shared<Keyboard>(call, model);
  call.exchange->take_over({{"Upgrade", "websocket"},
                            {"Connection", "Upgrade"},
                            {"Sec-WebSocket-Accept", accept_key(request.websocket_key)}},
                           [keyboard](std::string_view bytes) { keyboard->received(bytes); });
}

}  // namespace sluice::server
