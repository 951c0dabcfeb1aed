#pragma once
// What the server answers: the one table of its routes.

#include <string>
#include <vector>

#include "request_fields.hpp"
#include "services.hpp"

namespace sluice::server {

enum class Access {
  open,  // to everybody
  key,   // to whoever has a key, where keys are asked for
  admin  // to whoever has a key; to nobody where none are asked for
};

struct Route {
  const char* method;
  /// The last part may be a name in braces: "/v1/models/{model}".
  const char* path;
  const char* summary;
  Access access;
  /// Whether it is answered at once on the connections' thread.
  bool quick;
  /// The fields of its body; null: it has none.
  const RequestTable* (*request)();
  void (*handle)(const Call&);
  /// Of what type its answer is.
  const char* type = "application/json";
  /// Of a WebSocket: the fields of its messages.
  const RequestTable* (*message)() = nullptr;
};

const std::vector<Route>& routes();

/// The description of all routes for programs (OpenAPI 3.1).
std::string openapi_document();

// The handlers, by file.
void handle_completions(const Call& call);       // openai_completions.cpp
void handle_llama_completion(const Call& call);  // llama_completion.cpp
void handle_tokenizer_info(const Call& call);    // token_routes.cpp
void handle_tokenize(const Call& call);
void handle_detokenize(const Call& call);
void handle_score(const Call& call);  // score_routes.cpp
void handle_perplexity(const Call& call);
void handle_rescore(const Call& call);
void handle_next(const Call& call);     // next_routes.cpp
void handle_session(const Call& call);  // session_route.cpp
void handle_models(const Call& call);   // state_routes.cpp
void handle_model(const Call& call);
void handle_reload(const Call& call);
void handle_health(const Call& call);
void handle_props(const Call& call);
void handle_metrics(const Call& call);
void handle_openapi(const Call& call);
void handle_page(const Call& call);

const RequestTable* completions_request();
const RequestTable* llama_completion_request();
const RequestTable* score_request();
const RequestTable* perplexity_request();
const RequestTable* rescore_request();
const RequestTable* next_request();
const RequestTable* session_message();
const RequestTable* tokenize_request();
const RequestTable* detokenize_request();

}  // namespace sluice::server
