// What the server is and does.
#include <fmt/format.h>

#include "routes.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/version.hpp"

namespace sluice::server {
namespace {

Value description(const ServedModel& model) {
  Value object;
  object.set("id", model.name);
  object.set("object", "model");
  object.set("created", model.created);
  object.set("owned_by", "sluice");
  return object;
}

}  // namespace

void handle_models(const Call& call) {
  Value::List list;
  for (const auto& model : call.services.models.all()) list.push_back(description(*model));
  Value answer;
  answer.set("object", "list");
  answer.set("data", std::move(list));
  call.answer(answer);
}

void handle_model(const Call& call) { call.answer(description(*call.model(call.argument))); }

void handle_reload(const Call& call) {
  try {
    call.services.load_keys();
    call.services.models.load();
  } catch (const Error& error) {
    call.services.log.say("reload", fmt::format("failed, all stays as it was: {}", error.what()));
    throw RequestError(500, error.what());
  }
  call.services.log.say("reload", "models and keys were loaded anew");
  handle_models(call);
}

void handle_health(const Call& call) {
  if (call.services.loading.load()) throw RequestError(503, "Loading model");
  if (call.services.ending.load()) throw RequestError(503, "the server is ending");
  Value answer;
  answer.set("status", "ok");
  call.answer(answer);
}

void handle_props(const Call& call) {
  const auto model = call.model("");
  Value defaults = llama_completion_request()->defaults;
  Value answer;
  answer.set("default_generation_settings", std::move(defaults));
  answer.set("total_slots", call.services.options.max_sessions);
  answer.set("model_path", model->name);
  answer.set("chat_template", "");
  answer.set("n_ctx", call.services.options.max_prompt);
  answer.set("vocabulary", model->model->vocabulary());
  answer.set("build_info", fmt::format("sluice {}", library_version()));
  call.answer(answer);
}

void handle_metrics(const Call& call) {
  call.exchange->respond(
      {.type = "text/plain; version=0.0.4; charset=utf-8",
       .body = call.services.metrics.text(call.services.models.all(), *call.services.counts,
                                          call.services.log.dropped())});
}

void handle_openapi(const Call& call) { call.exchange->respond({.body = openapi_document()}); }

}  // namespace sluice::server
