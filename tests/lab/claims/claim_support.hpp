#pragma once
// A claim that takes a fraction of a second.

#include <nlohmann/json.hpp>

namespace sluice::lab_test {

inline nlohmann::json tiny_claim() {
  return nlohmann::json::parse(R"({
    "format_version": 1,
    "title": "GLU and tanh",
    "statement": "GLU learns more than tanh, and reaches its loss in fewer tokens.",
    "source": "a test",
    "minutes": 0.1,
    "text": {"tokenizer": "word", "min_count": 1, "validation": 1500},
    "comparisons": {
      "main": {
        "model": {"layers": "[(12,3)]*2", "softmax": "full"},
        "training": {"batch": 4, "context": 8},
        "tokens": 640,
        "vary": {"unit": ["tanh", "glu"]},
        "seeds": 2,
        "rates": [0.01, 0.003]
      }
    },
    "quick": {"tokens": 320, "rates": [0.01], "training": {"validate_every": 5}},
    "parts": [
      {"statement": "GLU's final loss is below tanh's", "measure": "final_loss",
       "a": {"variant": {"unit": "glu"}}, "b": {"variant": {"unit": "tanh"}}, "expect": "less"},
      {"statement": "GLU needs fewer tokens for it", "measure": "tokens_to_loss",
       "a": {"variant": {"unit": "glu"}}, "b": {"variant": {"unit": "tanh"}}, "expect": "less"}
    ]
  })");
}

}  // namespace sluice::lab_test
