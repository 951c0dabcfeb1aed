// Texts to tokens and back.
#include <fmt/format.h>

#include "routes.hpp"
#include "sluice/inference/text_builder.hpp"

namespace sluice::server {
namespace {

struct TokenizeRequest {
  std::string model;
  std::string prompt;
  bool add_special = false;
  bool with_pieces = false;
};

struct DetokenizeRequest {
  std::string model;
  std::vector<std::int64_t> tokens;
};

}  // namespace

std::vector<TokenId> tokens_of(const ServedModel& model, const Prompt& prompt,
                               const std::string& field) {
  if (!prompt.text) {
    for (const TokenId id : prompt.ids) {
      if (id < 0 || id >= model.model->vocabulary()) {
        throw RequestError(400,
                           fmt::format("request: '{}' holds token {}, but '{}' has {} tokens",
                                       field, id, model.name, model.model->vocabulary()),
                           field);
      }
    }
    return prompt.ids;
  }
  try {
    model.tokenizer->check_text(*prompt.text, "request: '" + field + "'");
  } catch (const Error& error) {
    throw RequestError(400, error.what(), field);
  }
  return model.tokenizer->encode_prompt(*prompt.text);
}

const RequestTable* tokenize_request() {
  using Request = TokenizeRequest;
  static const RequestTable table =
      RequestOf<Request>()
          .add("model", &Request::model, {.help = "Left out: the first served."})
          .add("prompt", &Request::prompt, {.help = "The text, as lm-evaluation-harness calls it."})
          .add("content", &Request::prompt, {.help = "The same, as llama.cpp calls it."})
          .add("add_special_tokens", &Request::add_special,
               {.help = "Begin with the line end that a text starts after."})
          .add("add_special", &Request::add_special, {.help = "The same."})
          .add("with_pieces", &Request::with_pieces,
               {.help = "Answer {id, piece} for each token."});
  return &table;
}

void handle_tokenize(const Call& call) {
  const auto request = read_request<TokenizeRequest>(*tokenize_request(), call.body);
  const auto model = call.model(request.model);
  std::vector<TokenId> ids = tokens_of(*model, {.text = request.prompt, .ids = {}}, "prompt");
  TokenId previous = model->tokenizer->eos();
  if (request.add_special) ids.insert(ids.begin(), previous);
  Value::List tokens;
  for (const TokenId id : ids) {
    if (request.with_pieces) {
      Value piece;
      piece.set("id", std::int64_t{id});
      piece.set("piece", token_label(model->tokenizer->text_after(previous, id)));
      tokens.push_back(std::move(piece));
    } else {
      tokens.emplace_back(std::int64_t{id});
    }
    previous = id;
  }
  RequestNote& note = call.exchange->note();
  note.model = model->name;
  note.tokens_in = static_cast<std::int64_t>(ids.size());
  Value answer;
  answer.set("count", note.tokens_in);
  answer.set("tokens", std::move(tokens));
  call.answer(answer);
}

const RequestTable* detokenize_request() {
  using Request = DetokenizeRequest;
  static const RequestTable table =
      RequestOf<Request>()
          .add("model", &Request::model, {.help = "Left out: the first served."})
          .add("tokens", &Request::tokens,
               {.range = between(0, 2147483647), .help = "Token numbers."})
          .require("tokens");
  return &table;
}

void handle_detokenize(const Call& call) {
  const auto request = read_request<DetokenizeRequest>(*detokenize_request(), call.body);
  const auto model = call.model(request.model);
  const std::vector<TokenId> ids = tokens_of(
      *model, {.text = {}, .ids = {request.tokens.begin(), request.tokens.end()}}, "tokens");
  const std::string text = valid_text(model->tokenizer->decode(ids));
  Value answer;
  answer.set("prompt", text);
  answer.set("content", text);
  call.answer(answer);
}

void handle_tokenizer_info(const Call& call) {
  const auto model = call.model("");
  // As texts have it: given back to /tokenize it is that token.
  const Tokenizer& tokenizer = *model->tokenizer;
  const std::string end = tokenizer.text_after(tokenizer.eos(), tokenizer.eos());
  Value answer;
  answer.set("tokenizer_class", std::string(tokenizer.kind()));
  answer.set("vocab_size", tokenizer.size());
  answer.set("eos_token", end);
  answer.set("eos_token_id", std::int64_t{tokenizer.eos()});
  answer.set("bos_token", end);
  answer.set("bos_token_id", std::int64_t{tokenizer.eos()});
  answer.set("pad_token", Value());
  answer.set("unk_token", tokenizer.unk() < 0 ? Value() : Value(tokenizer.token(tokenizer.unk())));
  answer.set("chat_template", Value());
  call.answer(answer);
}

}  // namespace sluice::server
