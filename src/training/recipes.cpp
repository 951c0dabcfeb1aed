#include "sluice/training/recipes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> all = {
      {"dauphin-gbw",
       "GCNN-14 bottleneck for Google Billion Word. Layers, projection in front of them and the "
       "first and last band: fairseq's fconv_lm_dauphin_gbw; bands of 10k, 40k and 200k words: "
       "Dauphin et al. 2017, section 4.1 (fairseq has 50k); momentum 0.99 and weight "
       "normalisation: there, sections 4.2 and 4.3; rate 1, clipping at 0.1, Kaiming "
       "initialisation, neither dropout nor weight decay: an author of it in fairseq's issue 734; "
       "words seen 3 times: Chelba et al. 2013. What was not published (schedule, chunk) is that "
       "of dauphin-wikitext103.",
       R"({"tokenizer": {"kind": "word", "min_count": 3},
           "model": {"preset": "gcnn-14b", "dropout": 0},
           "training": {"optimizer": "nesterov", "momentum": 0.99, "weight_decay": 0,
                        "clip": 0.1, "lr": 1, "schedule": "plateau", "factor": 0.5, "batch": 1,
                        "context": 1024, "carry": false}})"},
      {"dauphin-wikitext103",
       "GCNN-14 of Dauphin et al. 2017 for WikiText-103, a GPU's share of a step: fairseq's "
       "examples/language_model/README.conv.md (fconv_lm_dauphin_wikitext103, nag with its "
       "momentum of 0.99, --lr 1.0 --lr-scheduler reduce_lr_on_plateau --lr-shrink 0.5 "
       "--clip-norm 0.1 --dropout 0.2 --weight-decay 5e-06 --max-tokens 1024 --max-epoch 35). "
       "fairseq decays biases and gains, too, and makes initial weights smaller by the square "
       "root of 1 - dropout.",
       R"({"tokenizer": {"kind": "word", "min_count": 1},
           "model": {"preset": "gcnn-14", "dropout": 0.2},
           "training": {"optimizer": "nesterov", "momentum": 0.99, "weight_decay": 5e-6,
                        "clip": 0.1, "lr": 1, "schedule": "plateau", "factor": 0.5,
                        "epochs": 35, "batch": 1, "context": 1024, "carry": false}})"}};
  return all;
}

Settings recipe_settings(std::string_view name) {
  for (const Recipe& recipe : recipes()) {
    if (recipe.name == name) {
      return read_settings(recipe.text, {.where = fmt::format("recipe '{}'", name)});
    }
  }
  std::vector<std::string> names;
  for (const Recipe& recipe : recipes()) names.push_back(recipe.name);
  throw UsageError(fmt::format("unknown recipe '{}'; {}", name, suggestion(name, names)));
}

}  // namespace sluice
