#include "routes.hpp"

namespace sluice::server {

const std::vector<Route>& routes() {
  static const std::vector<Route> table = {
      {"POST", "/v1/completions", "Continue texts (OpenAI)", Access::key, false,
       completions_request, handle_completions},
      {"GET", "/v1/models", "The served models", Access::key, true, nullptr, handle_models},
      {"GET", "/v1/models/{model}", "One of them", Access::key, true, nullptr, handle_model},
      {"POST", "/v1/models/reload", "Load models and keys anew", Access::admin, false, nullptr,
       handle_reload},
      {"POST", "/v1/score", "How probable texts are, word by word", Access::key, false,
       score_request, handle_score},
      {"POST", "/v1/rescore", "The best of several texts", Access::key, false, rescore_request,
       handle_rescore},
      {"POST", "/v1/next", "Words that continue a text", Access::key, false, next_request,
       handle_next},
      {"GET", "/v1/session", "A keyboard's text, held open over a WebSocket", Access::key, true,
       nullptr, handle_session, "application/json", session_message},
      {"POST", "/v1/perplexity", "How well a text is known", Access::key, false, perplexity_request,
       handle_perplexity},
      {"POST", "/completion", "Continue texts (llama.cpp)", Access::key, false,
       llama_completion_request, handle_llama_completion},
      {"GET", "/tokenizer_info", "What tokens there are", Access::key, true, nullptr,
       handle_tokenizer_info},
      {"POST", "/tokenize", "A text's tokens", Access::key, false, tokenize_request,
       handle_tokenize},
      {"POST", "/detokenize", "The text of tokens", Access::key, false, detokenize_request,
       handle_detokenize},
      {"GET", "/health", "Whether requests are served", Access::open, true, nullptr, handle_health},
      {"GET", "/props", "Properties of the server (llama.cpp)", Access::key, true, nullptr,
       handle_props},
      {"GET", "/metrics", "Counters in Prometheus's format", Access::key, true, nullptr,
       handle_metrics, "text/plain"},
      {"GET", "/openapi.json", "This description", Access::open, true, nullptr, handle_openapi},
      {"GET", "/", "The page", Access::open, true, nullptr, handle_page, "text/html"},
  };
  return table;
}

}  // namespace sluice::server
