#pragma once
// From a request to its handler.

#include <memory>

#include "http.hpp"
#include "services.hpp"

namespace sluice::server {

/// Finds the route, checks who asks, and has the request answered: on this thread or by the pool.
void dispatch(Services& services, std::shared_ptr<Exchange> exchange);

/// Whether a Host field names this machine itself: "localhost", a loopback address, or one of
/// `names`, with any port. Whatever resolves to a loopback address may otherwise make a browser
/// call a server there (DNS rebinding).
bool names_this_machine(std::string_view host, const std::vector<std::string>& names);

}  // namespace sluice::server
