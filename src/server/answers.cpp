#include "answers.hpp"

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"

namespace sluice::server {
namespace {

struct Status {
  int number;
  std::string_view reason;
  /// OpenAI's name for errors of this kind.
  const char* type;
};

constexpr Status statuses[] = {
    {101, "Switching Protocols", ""},
    {200, "OK", ""},
    {204, "No Content", ""},
    {400, "Bad Request", "invalid_request_error"},
    {401, "Unauthorized", "authentication_error"},
    {403, "Forbidden", "permission_error"},
    {404, "Not Found", "not_found_error"},
    {405, "Method Not Allowed", "invalid_request_error"},
    {408, "Request Timeout", "timeout_error"},
    {413, "Content Too Large", "invalid_request_error"},
    {415, "Unsupported Media Type", "invalid_request_error"},
    {426, "Upgrade Required", "invalid_request_error"},
    {429, "Too Many Requests", "rate_limit_error"},
    {431, "Request Header Fields Too Large", "invalid_request_error"},
    {499, "Client Closed Request", "invalid_request_error"},
    {500, "Internal Server Error", "server_error"},
    {501, "Not Implemented", "invalid_request_error"},
    {503, "Service Unavailable", "service_unavailable_error"},
};

const Status* find(int number) {
  for (const Status& status : statuses) {
    if (status.number == number) return &status;
  }
  return nullptr;
}

Value text_or_null(const std::string& text) { return text.empty() ? Value() : Value(text); }

}  // namespace

std::string_view reason_phrase(int status) {
  const Status* found = find(status);
  return found ? found->reason : "Unknown";
}

std::string error_body(const RequestError& error) {
  const Status* status = find(error.status);
  Value fields;
  fields.set("message", error.what());
  fields.set("type", status ? status->type : "server_error");
  // A field's name may be the client's, and of any length.
  fields.set("param", text_or_null(presentable(error.param)));
  fields.set("code", text_or_null(error.code));
  Value body;
  body.set("error", std::move(fields));
  return json_text(body);
}

HttpResponse error_response(const RequestError& error) {
  HttpResponse response{.status = error.status, .body = error_body(error)};
  if (error.status == 429 || error.status == 503) {
    response.headers.emplace_back("Retry-After", "1");
  }
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

HttpResponse error_response(int status, const std::string& message) {
  return error_response(RequestError(status, message));
}

}  // namespace sluice::server
