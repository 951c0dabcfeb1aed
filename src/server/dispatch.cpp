#include "dispatch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "answers.hpp"
#include "routes.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice::server {
namespace {

constexpr JsonLimits json_limits{
    .bytes = std::size_t{1} << 28, .levels = 16, .text = std::size_t{1} << 28};

struct Found {
  const Route* route = nullptr;
  std::string argument;
  /// Methods that the path has, where the request's is not among them.
  std::string allowed;
};

/// What of `path` stands where the route's name in braces is; none when it is another path.
std::optional<std::string> matched(std::string_view route, std::string_view path) {
  const std::size_t brace = route.find('{');
  if (brace == std::string_view::npos) {
    return route == path ? std::optional<std::string>("") : std::nullopt;
  }
  if (!path.starts_with(route.substr(0, brace)) || path.size() == brace) return std::nullopt;
  return std::string(path.substr(brace));
}

Found find_route(const HttpRequest& request) {
  Found found;
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  for (const Route& route : routes()) {
    auto argument = matched(route.path, request.path);
    if (!argument) continue;
    if (method == route.method) {
      if (found.route == nullptr) found = {&route, std::move(*argument), {}};
    } else {
      found.allowed += (found.allowed.empty() ? "" : ", ") + std::string(route.method);
    }
  }
  return found;
}

/// "http://a:1" of a page whose own server is called "a:1".
bool same_origin(std::string_view origin, std::string_view host) {
  const std::size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && origin.substr(scheme + 3) == host;
}

bool allowed_origin(const std::string& origin, const std::vector<std::string>& origins) {
  return std::find(origins.begin(), origins.end(), origin) != origins.end() ||
         std::find(origins.begin(), origins.end(), "*") != origins.end();
}

/// Puts CORS fields into the answers of a request from another origin that may ask.
class CorsExchange : public Exchange {
 public:
  explicit CorsExchange(std::shared_ptr<Exchange> inner) : inner_(std::move(inner)) {}
  const HttpRequest& request() const override { return inner_->request(); }
  void respond(HttpResponse response) override {
    inner_->respond(with_fields(std::move(response)));
  }
  void open(HttpResponse head) override { inner_->open(with_fields(std::move(head))); }
  void write(std::string piece) override { inner_->write(std::move(piece)); }
  void close() override { inner_->close(); }
  void take_over(std::vector<std::pair<std::string, std::string>> fields,
                 std::function<void(std::string_view)> received) override {
    inner_->take_over(std::move(fields), std::move(received));
  }
  bool gone() const override { return inner_->gone(); }
  void when_gone(std::function<void()> then) override { inner_->when_gone(std::move(then)); }
  RequestNote& note() override { return inner_->note(); }

 private:
  HttpResponse with_fields(HttpResponse response) const {
    response.headers.emplace_back("Access-Control-Allow-Origin", request().origin);
    response.headers.emplace_back("Vary", "Origin");
    return response;
  }
  std::shared_ptr<Exchange> inner_;
};

void preflight(Exchange& exchange) {
  exchange.respond({.status = 204,
                    .type = "",
                    .headers = {{"Access-Control-Allow-Methods", "GET, POST"},
                                {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
                                {"Access-Control-Max-Age", "600"}}});
}

Value body_of(const Route& route, const HttpRequest& request) {
  if (route.request == nullptr) return {};
  if (request.body.empty()) {
    throw RequestError(400, "the request has no body, expected a JSON object");
  }
  try {
    return parse_json(request.body, {.where = "the request's body"}, json_limits);
  } catch (const UsageError& error) {
    throw RequestError(400, error.what());
  }
}

/// What is answered when something is thrown that no client is to blame for.
HttpResponse failure_response(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return error_response(503, "there is not enough memory for the request");
  }
  return error_response(500, reason_of(error));
}

/// Calls the handler; whatever it throws is the answer.
void answer(Call call, const Route& route) {
  try {
    call.body = body_of(route, call.exchange->request());
    route.handle(call);
  } catch (const RequestError& error) {
    call.exchange->respond(error_response(error));
  } catch (const UsageError& error) {
    call.exchange->respond(error_response(400, error.what()));
  } catch (const std::exception& error) {
    call.services.log.say("error", fmt::format("{}: {}", route.path, reason_of(error)));
    call.exchange->respond(failure_response(error));
  }
}

/// Who asks. Throws RequestError for somebody who may not.
std::string key_of(const Services& services, const Route& route, const HttpRequest& request) {
  const auto keys = services.keys();
  if (!keys->asked_for()) {
    if (route.access == Access::admin) {
      throw RequestError(403,
                         "this is for whoever has a key, and the server has none: its operator "
                         "names a file of keys, api_key_file");
    }
    return request.peer;
  }
  if (route.access == Access::open) return request.peer;
  // Pages cannot give a WebSocket header fields.
  const std::string in_query =
      request.upgrade.empty() ? "" : "Bearer " + query_value(request.query, "key");
  auto name = keys->name_of(request.authorization.empty() ? in_query : request.authorization);
  if (!name) {
    throw RequestError(401,
                       request.authorization.empty()
                           ? "no key was given; send the header 'Authorization: Bearer KEY'"
                           : "the key is not known; check the header 'Authorization: Bearer KEY'",
                       "", "invalid_api_key");
  }
  return *name;
}

void check_caller(const Services& services, const HttpRequest& request) {
  if (services.loopback && !names_this_machine(request.host, services.options.hosts)) {
    throw RequestError(403,
                       fmt::format("the server is not called {}; its operator adds that to the "
                                   "hosts that it allows",
                                   in_quotes(request.host)));
  }
  if (!request.origin.empty() && !same_origin(request.origin, request.host) &&
      !allowed_origin(request.origin, services.options.cors_origins)) {
    throw RequestError(403, fmt::format("pages of {} may not call the server; its operator allows "
                                        "them by cors_origins",
                                        in_quotes(request.origin)));
  }
}

const Route& checked_route(const Found& found, const HttpRequest& request) {
  if (found.route != nullptr) return *found.route;
  if (found.allowed.empty()) {
    throw RequestError(404, fmt::format("there is nothing at {}; /openapi.json lists what there is",
                                        in_quotes(request.path)));
  }
  throw RequestError(405, fmt::format("{} takes {}, got {}", in_quotes(request.path), found.allowed,
                                      in_quotes(request.method)));
}

}  // namespace

bool names_this_machine(std::string_view host, const std::vector<std::string>& names) {
  if (host.starts_with('[')) {
    return host.starts_with("[::1]") && (host.size() == 5 || host[5] == ':');
  }
  const std::string_view name = host.substr(0, host.find(':'));
  if (std::find(names.begin(), names.end(), name) != names.end()) return true;
  // A number is never resolved.
  const bool numeric =
      name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string_view::npos;
  return name == "localhost" || numeric;
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') {
      return std::string(pair.substr(name.size() + 1));
    }
  }
  return {};
}

void dispatch(Services& services, std::shared_ptr<Exchange> exchange) {
  const HttpRequest& request = exchange->request();
  try {
    const Found found = find_route(request);
    if (found.route != nullptr) exchange->note().route = found.route->path;
    check_caller(services, request);
    if (!request.origin.empty() && !same_origin(request.origin, request.host)) {
      exchange = std::make_shared<CorsExchange>(std::move(exchange));
      if (request.method == "OPTIONS") {
        preflight(*exchange);
        return;
      }
    }
    const Route& route = checked_route(found, request);
    Call call{services, exchange, {}, found.argument, key_of(services, route, request)};
    if (services.keys()->asked_for() && route.access != Access::open)
      exchange->note().key = call.key;
    if (route.quick) {
      answer(std::move(call), route);
      return;
    }
    if (services.ending.load()) throw RequestError(503, "the server is ending");
    if (!services.pool.add([call = std::move(call), &route] { answer(call, route); })) {
      throw RequestError(429, "too many requests wait to be read; try again later", "",
                         "too_many_requests");
    }
  } catch (const RequestError& error) {
    exchange->respond(error_response(error));
  } catch (const std::exception& error) {
    exchange->respond(failure_response(error));
  }
}

}  // namespace sluice::server
