// Beast's parser takes seconds to compile: nothing else includes it.
#include "request_reader.hpp"

#include <fmt/format.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cctype>
#include <limits>

namespace sluice::server {
namespace http = boost::beast::http;

struct RequestReader::Parser {
  http::request_parser<http::string_body> http;
  RequestLimits limits;
  /// The beginning of a line that is not complete: the parser wants lines in one piece.
  std::string held;
  int fault = 0;
  std::string message;
  bool continue_asked = false;

  void fail(int status, std::string sentence) {
    fault = status;
    message = std::move(sentence);
  }

  void fail(const boost::system::error_code& error) {
    if (error == http::error::header_limit) {
      fail(431, fmt::format(
                    "the request's header is longer than {} bytes (the server's limit max_header)",
                    limits.header));
    } else if (error == http::error::body_limit) {
      fail(413,
           fmt::format("the request's body is longer than {} bytes (the server's limit max_body)",
                       limits.body));
    } else {
      fail(400, fmt::format("the request is not HTTP/1.1: {}", error.message()));
    }
  }

  std::size_t put(std::string_view bytes) {
    boost::system::error_code error;
    const std::size_t used = http.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    if (error && error != http::error::need_more) fail(error);
    return used;
  }

  void look_at_header() {
    if (!field(http::field::transfer_encoding).empty() && !http.chunked()) {
      return fail(501, "the body's Transfer-Encoding is not served, expected chunked or none");
    }
    // RFC 9112, section 3.2. Of two, whoever passed the request on may have looked at the other.
    const std::size_t hosts = http.get().count(http::field::host);
    if (hosts > 1 || (hosts == 0 && http.get().version() >= 11)) {
      fail(400, fmt::format("the request has {} Host fields, expected one", hosts));
    }
    continue_asked = boost::beast::iequals(field(http::field::expect), "100-continue");
  }

  std::string field(http::field name) const {
    const auto value = http.get()[name];
    return {value.data(), value.size()};
  }
};

RequestReader::RequestReader(const RequestLimits& limits) : parser_(std::make_unique<Parser>()) {
  parser_->limits = limits;
  parser_->http.header_limit(static_cast<std::uint32_t>(
      std::min<std::size_t>(limits.header, std::numeric_limits<std::uint32_t>::max())));
  parser_->http.body_limit(limits.body);
  parser_->http.eager(true);
}
RequestReader::~RequestReader() = default;

std::size_t RequestReader::feed(std::string_view bytes) {
  Parser& parser = *parser_;
  std::size_t taken = 0;
  while (taken < bytes.size() && !done() && parser.fault == 0) {
    const bool in_header = !parser.http.is_header_done();
    const std::size_t before = parser.held.size();
    const std::string_view rest = bytes.substr(taken);
    if (before > 0) parser.held.append(rest);
    const std::size_t used = parser.put(before > 0 ? std::string_view(parser.held) : rest);
    if (in_header && parser.fault == 0 && parser.http.is_header_done()) parser.look_at_header();
    if (done()) {  // it needed more than what was held before
      parser.held = {};
      return taken + used - before;
    }
    if (before > 0) {
      parser.held.erase(0, used);
    } else {
      parser.held = rest.substr(used);
    }
    taken = bytes.size();
    if (parser.held.size() > parser.limits.header && parser.fault == 0) {
      parser.fail(http::make_error_code(http::error::header_limit));
    }
  }
  return taken;
}

bool RequestReader::done() const { return parser_->http.is_done(); }

bool RequestReader::wants_continue() {
  return std::exchange(parser_->continue_asked, false) && !done();
}

int RequestReader::fault() const { return parser_->fault; }

const std::string& RequestReader::message() const { return parser_->message; }

HttpRequest RequestReader::take() {
  HttpRequest request;
  auto& message = parser_->http.get();
  const std::string_view target(message.target().data(), message.target().size());
  const std::size_t query = target.find('?');
  request.method = std::string(message.method_string());
  request.path = std::string(target.substr(0, query));
  if (query != std::string_view::npos) request.query = std::string(target.substr(query + 1));
  request.host = parser_->field(http::field::host);
  request.origin = parser_->field(http::field::origin);
  request.authorization = parser_->field(http::field::authorization);
  request.content_type = parser_->field(http::field::content_type);
  request.upgrade = parser_->field(http::field::upgrade);
  for (char& letter : request.upgrade) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  request.websocket_key = parser_->field(http::field::sec_websocket_key);
  request.websocket_version = parser_->field(http::field::sec_websocket_version);
  request.version = message.version() >= 11 ? 1 : 0;
  request.keep_alive = parser_->http.keep_alive();
  request.body = std::move(message.body());
  return request;
}

}  // namespace sluice::server
