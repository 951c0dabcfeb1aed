#include "services.hpp"

#include <fmt/format.h>

#include "answers.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/names.hpp"

namespace sluice::server {
namespace {

/// Threads that read requests' bodies and make long answers: what computes has its own.
constexpr int workers = 2;
constexpr std::size_t most_jobs = 4096;

}  // namespace

Services::Services(ServerOptions given, Server::Log log_lines)
    : options(std::move(given)),
      models(options),
      log(options.log, std::move(log_lines)),
      pool(workers, most_jobs) {
  load_keys();
}

std::shared_ptr<const ApiKeys> Services::keys() const {
  const std::lock_guard lock(keys_mutex_);
  return keys_;
}

void Services::load_keys() {
  auto keys = std::make_shared<const ApiKeys>(
      options.api_key_file.empty() ? ApiKeys() : ApiKeys::read(options.api_key_file));
  const std::lock_guard lock(keys_mutex_);
  keys_ = std::move(keys);
}

std::shared_ptr<ServedModel> Call::model(const std::string& name) const {
  if (services.loading.load()) throw RequestError(503, "the model is being loaded; try again soon");
  auto found = services.models.find(name);
  if (!found) {
    throw RequestError(404,
                       fmt::format("the model {} is not served; {}", in_quotes(name),
                                   suggestion(name, services.models.names())),
                       "model", "model_not_found");
  }
  return found;
}

void Call::answer(const Value& object) const { exchange->respond({.body = json_text(object)}); }

}  // namespace sluice::server
