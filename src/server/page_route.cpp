#include "page.hpp"
#include "routes.hpp"

namespace sluice::server {

void handle_page(const Call& call) {
  // The page may load nothing, and call no one but its own server.
  static const char* const policy =
      "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src "
      "'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  call.exchange->respond({.type = "text/html; charset=utf-8",
                          .body = std::string(page()),
                          .headers = {{"Content-Security-Policy", policy},
                                      {"X-Content-Type-Options", "nosniff"},
                                      {"Referrer-Policy", "no-referrer"},
                                      {"Cache-Control", "no-cache"}}});
}

}  // namespace sluice::server
