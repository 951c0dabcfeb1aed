// Trains a small model on a text, as `sluice train` does, and asks it for the next word:
// train TEXT MODEL

#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "sluice/inference/frozen_model.hpp"
#include "sluice/inference/next.hpp"
#include "sluice/inference/predictor.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/plan.hpp"
#include "sluice/training/prepare.hpp"
#include "sluice/training/run.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: train TEXT MODEL\n";
    return 2;
  }
  try {
    // The fields of config.json (docs/formats.md), each of them optional.
    sluice::Settings settings = sluice::read_settings(R"({
      "model": {"layers": "[(32,3)]*2", "dim": 32},
      "training": {"steps": 100, "lr": 0.01},
      "tokenizer": {"kind": "word"}
    })",
                                                      {.where = "settings"});
    settings.data.values.train = {argv[1]};
    settings.data.add("train");

    std::filesystem::create_directories(argv[2]);
    const sluice::ModelDirectory directory(argv[2]);
    {
      const sluice::DirectoryLock lock = directory.lock();  // for this process alone
      sluice::Notes chosen;                                 // in words, what was left to choose
      const sluice::PreparedText text =
          sluice::prepare_text(settings, directory.cache(), chosen, {});
      const sluice::TrainPlan plan = sluice::plan_run(settings, text, chosen);
      for (const std::string& note : chosen) std::cout << "chosen: " << note << "\n";
      const sluice::TrainResult result = sluice::train_model(plan, text, directory);
      std::cout << "loss " << result.final_loss() << " nats per token after " << result.step
                << " steps\n";
    }

    const sluice::LoadedFrozenModel model = sluice::load_frozen_model(argv[2]);
    const sluice::NextText next(sluice::make_predictor(model.model), *model.tokenizer);
    for (const sluice::Continuation& word : next.words("the", {.top = 3}).words) {
      std::cout << "the " << word.text << ": " << word.probability << "\n";
    }
  } catch (const std::exception& error) {
    std::cerr << "train: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
