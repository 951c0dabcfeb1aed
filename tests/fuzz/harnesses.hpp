#pragma once
// A function for each reader of bytes that somebody else may have made. What they throw for bytes
// that are not good is sluice::Error, and nothing else.

#include <string>
#include <string_view>
#include <vector>

#include "sluice/text/tokenizer.hpp"

namespace sluice::fuzz {

struct Harness {
  const char* name;
  void (*run)(std::string_view bytes);
};

/// A connection's bytes (request_harness.cpp).
void requests(std::string_view input);

/// What other programs wrote (import_harness.cpp).
void foreign_file(std::string_view bytes);
void tokenizer_file(std::string_view bytes);
void compressed_text(std::string_view bytes);
void json_lines(std::string_view bytes);
void word_vectors(std::string_view bytes);

/// What a model is used with (use_harness.cpp). Checksums are made right first: whoever means harm
/// writes right ones.
void weights(std::string_view bytes);
void runtime_model(std::string_view bytes);
void calibration(std::string_view bytes);
void token_cache(std::string_view bytes);
void labelled_text(std::string_view bytes);
void arpa(std::string_view bytes);
void ngram_file(std::string_view bytes);
void hypotheses(std::string_view bytes);
void lines(std::string_view bytes);

/// Ends the process when it does not hold.
void require(bool holds);

/// Cuts a text with it and puts it together again.
void use_tokenizer(const Tokenizer& tokenizer);

const std::vector<Harness>& harnesses();

/// Runs the harness `name`; ends the process when there is none.
void run(const std::string& name, std::string_view bytes);

}  // namespace sluice::fuzz
