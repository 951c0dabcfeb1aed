// Named model shapes. gcnn-14 and gcnn-14b were compared with fairseq's source, the layers of
// gcnn-13 with fairseq's base model, and have the projection in front of the first layer that its
// models have (fc1 of fairseq/models/fconv.py); those of gcnn-8b with TheanoLM's recipes; gcnn-8,
// gcnn-9 and the bands follow table 1 of the paper, which says nothing of such a projection.

#include "gcnn_presets.hpp"

namespace sluice {
namespace {

struct NamedShape {
  const char* name;
  const char* layers;
  std::int64_t dim;
  std::vector<std::int64_t> cutoffs;
  const char* description;
  bool input_projection = false;
};

const std::vector<NamedShape>& shapes() {
  static const std::vector<NamedShape> all = {
      {"tiny", "[(64,4)]*4", 64, {}, "for tests and first tries; trains in seconds"},
      {"small", "[(256,4)]*8", 256, {2000, 10000}, "for small corpora on a few cores"},
      {"medium", "[(512,4)]*8", 512, {2000, 10000}, "for corpora of a few million words on a CPU"},
      {"large",
       "[(1024,4)]*10",
       512,
       {4000, 20000, 100000},
       "for corpora of tens of millions of words and a machine with many cores"},
      {"gcnn-8",
       "[(900,4)]*8",
       280,
       {10000, 20000, 200000},
       "WikiText-103 on one GPU, perplexity 44.9 (Dauphin et al. 2017, tables 1 and 3)"},
      {"gcnn-8b",
       "[(512,1)] + [(128,1,0),(128,5,0),(512,1,3)]*3 + [(256,1,0),(256,5,0),(512,1,3)]*3 + "
       "[(1024,1,0),(1024,1,0),(2048,1,3)]",
       128,
       {2000, 10000, 50000},
       "Google Billion Word with bottlenecks, made for speed (Dauphin et al. 2017, tables 1 and "
       "4)"},
      {"gcnn-9",
       "[(807,4)] + [(807,4,0),(807,4,2)]*4",
       128,
       {2000, 10000, 50000},
       "Google Billion Word, for the comparison of speeds (Dauphin et al. 2017, tables 1 and 4)"},
      {"gcnn-13",
       "[(1268,4)]*13",
       128,
       {10000, 40000, 200000},
       "Google Billion Word on one GPU, perplexity 38.1 (Dauphin et al. 2017, tables 1 and 2; the "
       "layers are those of fairseq's fconv_lm)",
       true},
      {"gcnn-14",
       "[(850,6)]*3 + [(850,1)] + [(850,5)]*4 + [(850,1)] + [(850,4)]*3 + [(1024,4),(2048,4)]",
       280,
       {10000, 20000, 200000},
       "WikiText-103 on four GPUs, perplexity 37.2 (Dauphin et al. 2017, tables 1 and 3; fairseq's "
       "fconv_lm_dauphin_wikitext103)",
       true},
      {"gcnn-14b",
       "[(512,5)] + [(128,1,0),(128,5,0),(512,1,3)]*3 + [(512,1,0),(512,5,0),(1024,1,3)]*3 + "
       "[(1024,1,0),(1024,5,0),(2048,1,3)]*6 + [(1024,1,0),(1024,5,0),(4096,1,3)]",
       128,
       {10000, 40000, 200000},
       "Google Billion Word on eight GPUs, perplexity 31.9 (Dauphin et al. 2017, tables 1 and 2, "
       "and its bands; layers of fairseq's fconv_lm_dauphin_gbw, whose second band ends at 50000)",
       true},
  };
  return all;
}

}  // namespace

std::vector<Preset> gcnn_presets() {
  std::vector<Preset> presets;
  for (const NamedShape& shape : shapes()) {
    ModelConfig config("gcnn");
    config.shape<GcnnShape>().layers = parse_layers(shape.layers);
    config.shape<GcnnShape>().input_projection = shape.input_projection;
    config.dim = shape.dim;
    config.cutoffs = shape.cutoffs;
    presets.push_back({shape.name, shape.description, std::move(config)});
  }
  return presets;
}

}  // namespace sluice
