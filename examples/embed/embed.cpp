// Scores a line with a trained model, then continues it: embed MODEL LINE

#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>

#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/generate.hpp"
#include "sluice/inference/score.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: embed MODEL LINE\n";
    return 2;
  }
  try {
    const sluice::LoadedFrozenModel loaded = sluice::load_frozen_model(argv[1]);
    const std::string line = argv[2];

    const auto scores = sluice::score_lines(*loaded.model, *loaded.tokenizer, std::span(&line, 1));
    std::cout << "log-probability " << scores.front().log_probability << " over "
              << scores.front().tokens << " tokens, perplexity " << scores.front().perplexity
              << "\n";

    sluice::GenerateOptions options;
    options.tokens = 20;
    options.sampling.temperature = 0.8;
    std::cout << line;
    sluice::generate(*loaded.model, *loaded.tokenizer, line, options, [](std::string_view text) {
      std::cout << text << std::flush;
      return true;
    });
    std::cout << "\n";
  } catch (const std::exception& error) {
    std::cerr << "embed: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
