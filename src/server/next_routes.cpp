// Words that continue a text.
#include <fmt/format.h>

#include <algorithm>

#include "next_words.hpp"
#include "request_fields.hpp"
#include "routes.hpp"

namespace sluice::server {
namespace {

/// Texts that a search reads on at most: a keyboard waits for its answer.
constexpr std::int64_t most_steps = 2000;
constexpr std::string_view white_space = " \t\r\v\f\n";

struct NextRequest {
  std::string model;
  std::string text;
  std::optional<std::string> starting_with;
  std::int64_t n = 10;
};

}  // namespace

const RequestTable* next_request() {
  using Request = NextRequest;
  static const RequestTable table =
      RequestOf<Request>()
          .add("model", &Request::model, {.help = "Left out: the first served."})
          .add("text", &Request::text, {.help = "The text before."})
          .add("starting_with", &Request::starting_with,
               {.help = "Only words that begin with this. Left out: what the text has behind its "
                        "last blank, which is completed."})
          .add("n", &Request::n, {.range = between(1, 100), .help = "Words to answer at most."});
  return &table;
}

Value next_words(const ServedModel& model, std::string text,
                 std::optional<std::string> starting_with, std::int64_t count, ReadText* read) {
  (void)tokens_of(model, {.text = text, .ids = {}}, "text");
  if (!starting_with) {
    const std::size_t blank = text.find_last_of(white_space);
    const std::size_t begin = blank == std::string::npos ? 0 : blank + 1;
    starting_with = text.substr(begin);
    text.resize(begin);
  }
  const NextWords found = model.next->words(
      text, {.top = count, .starting_with = *starting_with, .most_steps = most_steps}, read);
  Value::List list;
  for (const Continuation& word : found.words) {
    Value one;
    one.set("text", word.text);
    one.set("insert", word.text.substr(std::min(starting_with->size(), word.text.size())));
    one.set("probability", word.probability);
    list.push_back(std::move(one));
  }
  Value answer;
  answer.set("next", std::move(list));
  answer.set("exact", found.exact);
  return answer;
}

void handle_next(const Call& call) {
  const auto request = read_request<NextRequest>(*next_request(), call.body);
  const auto model = call.model(request.model);
  const auto read = tokens_of(*model, {.text = request.text, .ids = {}}, "text");
  if (static_cast<std::int64_t>(read.size()) > call.services.options.max_prompt) {
    throw RequestError(400,
                       fmt::format("request: 'text' has {} tokens, and may have {} (the server's "
                                   "limit max_prompt)",
                                   read.size(), call.services.options.max_prompt),
                       "text", "context_length_exceeded");
  }
  call.exchange->note().model = model->name;
  call.exchange->note().tokens_in = static_cast<std::int64_t>(read.size());
  call.answer(next_words(*model, request.text, request.starting_with, request.n));
}

}  // namespace sluice::server
