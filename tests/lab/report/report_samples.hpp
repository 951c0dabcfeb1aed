#pragma once
// Results, inspections and claims as their commands would write them, made up.

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice::lab_test {

using nlohmann::json;

/// Text that would run, or break the page, wherever it came through unescaped.
inline const std::string hostile = "</script><img src=x onerror=\"boom()\">&'";

inline json sample_summary(double mean, bool interval = true) {
  json summary = {{"values", {mean - 0.01, mean, mean + 0.01}}, {"mean", mean}};
  summary["deviation"] = interval ? json(0.01) : json();
  summary["low"] = interval ? json(mean - 0.024841377) : json();
  summary["high"] = interval ? json(mean + 0.024841377) : json();
  return summary;
}

/// A falling curve of `points` points.
inline json sample_curve(double end, int points, double last_x, bool band) {
  json curve = {{"x", json::array()},
                {"mean", json::array()},
                {"low", json::array()},
                {"high", json::array()}};
  for (int i = 1; i <= points; ++i) {
    const double part = static_cast<double>(i) / points;
    const double loss =
        end + 2.5 * std::exp(-6 * part) + 0.02 * std::sin(37 * part + end * 100) * (1.1 - part);
    curve["x"].push_back(last_x * part);
    curve["mean"].push_back(loss);
    if (!band) continue;
    curve["low"].push_back(loss - 0.03 - 0.1 * (1 - part));
    curve["high"].push_back(loss + 0.03 + 0.1 * (1 - part));
  }
  return curve;
}

inline json sample_variant(const std::string& name, double loss, int points) {
  const std::vector<double> rates = {0.1, 0.3, 1};
  json tried = json::array();
  for (const double rate : rates) {
    const bool chosen = rate == 0.3;
    tried.push_back({{"lr", rate},
                     {"loss", sample_summary(chosen ? loss : loss + 0.1 / rate)},
                     {"diverged", 0},
                     {"chosen", chosen}});
  }
  json curves;
  for (const char* kind : {"train", "validation"}) {
    const int count = std::string(kind) == "train" ? points : 10;
    curves[kind] = {{"tokens", sample_curve(loss, count, 60000, true)},
                    {"seconds", sample_curve(loss, count, 90 + 20 * loss, true)}};
  }
  return {{"name", name},
          {"fields", {{"unit", name}}},
          {"model", {{"arch", "gcnn"}}},
          {"training", {{"batch", 16}, {"context", 32}}},
          {"parameters", 123456},
          {"flops_per_token", 250000},
          {"training_flops", 4.5e10},
          {"memory", 23456789},
          {"match", {{"factor", 1.0}, {"count", 123456}, {"error", 0.001}}},
          {"rates", tried},
          {"lr", 0.3},
          {"lr_at_edge", false},
          {"search", {{"runs", 6}, {"tokens", 360000}, {"seconds", 500.5}}},
          {"loss", sample_summary(loss)},
          {"best_loss", sample_summary(loss)},
          {"train_loss", sample_summary(loss)},
          {"seconds", sample_summary(95.5)},
          {"tokens_per_second", sample_summary(12345.6)},
          {"curves", curves}};
}

inline json sample_pair(const json& a, const json& b) {
  const double difference = a["loss"]["mean"].get<double>() - b["loss"]["mean"].get<double>();
  const std::string verdict = std::abs(difference) < 0.02 ? "not distinguishable"
                              : difference < 0            ? "better"
                                                          : "worse";
  return {{"a", a["name"]},
          {"b", b["name"]},
          {"n", 3},
          {"difference", difference},
          {"low", difference - 0.0203},
          {"high", difference + 0.0203},
          {"t", difference / 0.005},
          {"p", 0.0004},
          {"p_holm", verdict == "not distinguishable" ? 0.21 : 0.0012},
          {"verdict", verdict}};
}

/// results.json of `names`, the first the best, three rates and three seeds each; curves of
/// training have `points` points.
inline json sample_results(const std::vector<std::string>& names, int points = 50) {
  json results = {
      {"format_version", 1},
      {"version", "0.1.0"},
      {"date", "2026-11-22T05:00:00Z"},
      {"measure", "final validation loss, nats per token"},
      {"confidence", 0.95},
      {"data",
       {{"files",
         {{"train", {"/texts/input.txt"}}, {"valid", json::array()}, {"valid_fraction", 0.05}}},
        {"tokenizer",
         {{"kind", "char"}, {"vocabulary", 0}, {"min_count", 1}, {"fingerprint", "1"}}},
        {"train", "2"},
        {"valid", "3"},
        {"train_tokens", 1000000},
        {"valid_tokens", 50000}}},
      {"varied", {"unit"}},
      {"budget", {{"epochs", 0}, {"minutes", 0}, {"steps", 0}, {"tokens", 60000}}},
      {"match", "parameters"},
      {"seeds", {1, 2, 3}},
      {"threads", 1},
      {"jobs", 2},
      {"same_batches", true},
      {"variants", json::array()},
      {"pairs", json::array()},
      {"runs", json::array()}};
  double loss = 1.6;
  for (const std::string& name : names) {
    results["variants"].push_back(sample_variant(name, loss, points));
    loss += 0.03;
  }
  const json& variants = results["variants"];
  for (std::size_t a = 0; a < variants.size(); ++a) {
    for (std::size_t b = a + 1; b < variants.size(); ++b) {
      results["pairs"].push_back(sample_pair(variants[a], variants[b]));
    }
  }
  int number = 0;
  for (const json& variant : variants) {
    for (const json& rate : variant["rates"]) {
      for (const int seed : {1, 2, 3}) {
        results["runs"].push_back({{"run", "00000000000000" + std::to_string(10 + number++)},
                                   {"variant", variant["name"]},
                                   {"lr", rate["lr"]},
                                   {"seed", seed},
                                   {"chosen", rate["chosen"]},
                                   {"status", "finished"},
                                   {"message", ""},
                                   {"steps", 117},
                                   {"tokens", 60000},
                                   {"seconds", 95.5},
                                   {"tokens_per_second", 12345.6},
                                   {"train_loss", 1.7},
                                   {"final_loss", 1.6 + 0.01 * seed},
                                   {"best_loss", 1.6},
                                   {"best_step", 110}});
      }
    }
  }
  return results;
}

/// inspect.json of a model of `depth` gated layers, and one plain one.
inline json sample_inspection(int depth = 4) {
  json layers = json::array();
  for (int i = 0; i < depth; ++i) {
    json histogram = json::array();
    double sum = 0;
    for (int bin = 0; bin < 20; ++bin) {
      const double share =
          std::exp(-std::pow((bin - 10 + i) / 5.0, 2)) + (bin == 0 ? 0.3 * i : 0.01);
      histogram.push_back(share);
      sum += share;
    }
    for (json& share : histogram) share = share.get<double>() / sum;
    layers.push_back({{"name", "layers." + std::to_string(i)},
                      {"unit", "glu"},
                      {"gate",
                       {{"of", "sigmoid(b)"},
                        {"mean", 0.45},
                        {"saturated_share", 0.02 + 0.05 * i},
                        {"histogram", histogram}}},
                      {"activation", {{"mean", 0.01 * i}, {"variance", 0.8 + 0.1 * i}}},
                      {"dead_share", i == 1 ? 0.0625 : 0.0},
                      {"gradient",
                       {{"norm", 0.5 / (1 + i)},
                        {"linear_share", 0.8 - 0.05 * i},
                        {"gate_share", 0.2 + 0.05 * i},
                        {"linear_gain", 0.9},
                        {"gate_gain", 0.3}}}});
  }
  layers.push_back({{"name", "layers." + std::to_string(depth)},
                    {"unit", "relu"},
                    {"gate", nullptr},
                    {"activation", {{"mean", 0.2}, {"variance", 0.7}}},
                    {"dead_share", 0.125},
                    {"gradient",
                     {{"norm", 0.1},
                      {"linear_share", nullptr},
                      {"gate_share", nullptr},
                      {"linear_gain", nullptr},
                      {"gate_gain", nullptr}}}});
  json lags = {{"k", json::array()}, {"norm", json::array()}, {"positions", 125}};
  for (int k = 0; k <= 64; ++k) {
    lags["k"].push_back(k);
    lags["norm"].push_back(0.3 * std::exp(-0.15 * k));
  }
  json surprisal = json::array();
  const std::string text =
      "First Citizen:\nBefore we proceed any further, hear me <speak> & \"stop\".\n";
  for (std::size_t i = 0; i < text.size(); ++i) {
    surprisal.push_back(
        {{"text", std::string(1, text[i])},
         {"nats", i == 0 ? json() : json(4.5 + 4.5 * std::sin(0.7 * static_cast<double>(i)))}});
  }
  return {{"format_version", 1},
          {"version", "0.1.0"},
          {"date", "2026-11-22T05:10:00Z"},
          {"model",
           {{"summary", "gcnn, 4 layers"},
            {"parameters", 12345},
            {"receptive_field", 13},
            {"config", {{"arch", "gcnn"}, {"layers", "[(32,4)]*4"}, {"unit", "glu"}}}}},
          {"text", {{"file", "input.txt"}, {"tokens", 50000}}},
          {"probed_tokens", 2048},
          {"loss", 2.5},
          {"embedded", {{"gradient", {{"norm", 0.2}}}}},
          {"layers", layers},
          {"lags", lags},
          {"context",
           {{"tokens", {1, 2, 4, 8, 16, 32, 64}},
            {"loss", {2.5, 2.1, 1.8, 1.66, 1.62, 1.61, 1.61}},
            {"perplexity", {12.18, 8.17, 6.05, 5.26, 5.05, 5.0, 5.0}},
            {"positions", 250}}},
          {"surprisal", surprisal}};
}

inline json sample_claims() {
  const auto part = [](const char* statement, const char* verdict, double effect) {
    return json{{"statement", statement},
                {"verdict", verdict},
                {"measure", "final loss"},
                {"at", nullptr},
                {"kind", "difference"},
                {"expect", "less"},
                {"threshold", 0},
                {"side_a", "unit=gtu"},
                {"side_b", "unit=tanh"},
                {"rates_a", {{"lr", {0.3}}, {"at_edge", false}}},
                {"rates_b", {{"lr", {0.3}}, {"at_edge", false}}},
                {"values_a", {1.4, 1.5, 1.6, 1.5, 1.5}},
                {"values_b", {1.5, 1.5, 1.5, 1.5, 1.5}},
                {"a", 1.5 + effect},
                {"b", 1.5},
                {"effect", effect},
                {"low", effect - 0.04},
                {"high", effect + 0.04},
                {"confidence", 0.95},
                {"wide_low", effect - 0.05},
                {"wide_high", effect + 0.05},
                {"n", 5},
                {"unit", "nats per token"}};
  };
  return {{"format_version", 1},
          {"version", "0.1.0"},
          {"date", "2026-11-22T05:20:00Z"},
          {"quick", true},
          {"data", {{"files", {"/texts/input.txt"}}, {"bytes", 1000000}, {"checksum", "4"}}},
          {"claims",
           {{{"name", "gates-help"},
             {"title", "Gates help"},
             {"statement", "GTU beats tanh at equal parameters."},
             {"source", "Dauphin et al. 2017, §5.2"},
             {"verdict", "holds"},
             {"parts", {part("GTU's final loss is lower than tanh's", "holds", -0.12)}},
             {"budget", "60,000 tokens"},
             {"seconds", 61.5},
             {"command", "sluice claims run gates-help --quick --data input.txt --out claims"},
             {"directories", {"gates-help/main"}}},
            {{"name", "linear-path"},
             {"title", "The linear path learns faster"},
             {"statement", "GLU reaches GTU's final loss in fewer tokens, and ReLU tanh's."},
             {"source", "Dauphin et al. 2017, §5.2"},
             {"verdict", "inconclusive"},
             {"parts",
              {part("GLU reaches GTU's final loss earlier", "inconclusive", 0.01),
               part("ReLU reaches tanh's final loss earlier", "fails", 0.09)}},
             {"budget", "60,000 tokens"},
             {"seconds", 122.0},
             {"command", "sluice claims run linear-path --quick"},
             {"directories", json::array()}}}}};
}

}  // namespace sluice::lab_test
