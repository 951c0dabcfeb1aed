#pragma once
// Answers that say no, in the shape that OpenAI's clients understand.

#include <string>

#include "http.hpp"
#include "sluice/base/error.hpp"

namespace sluice::server {

/// A request that is answered with an error. what() is the sentence the client sees.
class RequestError : public Error {
 public:
  /// `field` is the one that is wrong, "" for none; `name` is for programs.
  RequestError(int answer, const std::string& message, std::string field = "",
               std::string name = "")
      : Error(message), status(answer), param(std::move(field)), code(std::move(name)) {}

  int status;
  std::string param, code;
};

/// {"error": {"message", "type", "param", "code"}}.
HttpResponse error_response(const RequestError& error);
HttpResponse error_response(int status, const std::string& message);

/// The body alone: what a stream says when it breaks.
std::string error_body(const RequestError& error);

}  // namespace sluice::server
