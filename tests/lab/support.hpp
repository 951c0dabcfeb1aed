#pragma once
// A tiny text, and comparisons on it that take a fraction of a second.

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "sluice/lab/compare/compare.hpp"
#include "sluice/lab/compare/results.hpp"

namespace sluice::lab_test {

namespace fs = std::filesystem;

/// `lines` lines of a small invented language.
inline std::string sample_text(int lines) {
  const std::array<const char*, 4> who = {"the cat", "the dog", "a bird", "the old man"};
  const std::array<const char*, 4> does = {"sat on", "saw", "ran to", "slept by"};
  const std::array<const char*, 4> what = {"the mat .", "the log .", "a tree .", "the sea ."};
  std::string text;
  std::size_t state = 1;
  for (int i = 0; i < lines; ++i) {
    state = state * 1103515245 + 12345;
    text += std::string(who[(state >> 16) % 4]) + ' ' + does[(state >> 20) % 4] + ' ' +
            what[(state >> 24) % 4] + '\n';
  }
  return text;
}

/// Gives fields of all variants' model or training.
inline void set_model(CompareSpec& spec, const Value::Object& fields) {
  const FieldPlace place{.where = "model config"};
  spec.base.model.overlay(read_model_request(fields, place, spec.base.model.architecture()), place);
}
inline void set_training(CompareSpec& spec, const Value::Object& fields) {
  spec.base.training.read(fields, {.where = "training config"});
}

/// A directory with a text in it, removed after the test.
class Lab : public ::testing::Test {
 protected:
  Lab() {
    std::string name = (fs::temp_directory_path() / "sluice-lab-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
    std::ofstream(directory_ / "text.txt") << sample_text(600);
  }
  ~Lab() override { fs::remove_all(directory_); }

  /// tanh and glu, two layers of 12, 20 steps, two seeds, one rate.
  CompareSpec spec() const {
    CompareSpec spec;
    spec.base.data.values.train = {directory_ / "text.txt"};
    spec.base.data.values.valid_fraction = 0.1;
    spec.base.tokenizer.read(Value::Object{{"kind", "word"}, {"min_count", 1}},
                             {.where = "tokenizer"});
    set_model(spec, {{"layers", "[(12,3)]*2"}, {"softmax", "full"}});
    set_training(spec, {{"batch", 4}, {"context", 8}, {"tokens", 640}});
    spec.vary = {parse_variation("unit=tanh,glu")};
    spec.seeds = 2;
    spec.rates = {0.01};
    spec.jobs = 1;
    return spec;
  }
  fs::path out() const {
    fs::create_directories(directory_ / "out");
    return directory_ / "out";
  }

  fs::path directory_;
};

/// What the constructor says to a request it refuses.
inline std::string refusal(const CompareSpec& spec, const fs::path& out) {
  try {
    const Comparison comparison(spec, out);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

inline nlohmann::json as_json(const Results& results) {
  return nlohmann::json::parse(results_json(results));
}

/// Counts the finished runs.
struct Counter {
  CompareCallbacks callbacks() {
    CompareCallbacks callbacks;
    callbacks.trained = [this](const CompareRun&) { ++trained; };
    callbacks.note = [this](const std::string& note) { notes.push_back(note); };
    return callbacks;
  }
  int trained = 0;
  std::vector<std::string> notes;
};

/// Final losses by variant, rate, seed.
inline std::vector<std::vector<std::vector<double>>> all_losses(const Comparison& comparison) {
  std::vector<std::vector<std::vector<double>>> losses;
  for (std::size_t v = 0; v < comparison.variants().size(); ++v) {
    losses.push_back(comparison.losses(v));
  }
  return losses;
}

}  // namespace sluice::lab_test
