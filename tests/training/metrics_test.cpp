// metrics.jsonl: lines are written and read as what they are; bad ones are named and skipped.
#include "sluice/training/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "metrics_lines.hpp"
#include "metrics_log.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "training/support.hpp"

namespace sluice::training_test {
namespace {

TrainLine train_line(std::int64_t step) {
  return {.step = step,
          .epoch = 2,
          .tokens = 100 * step,
          .loss = 0.1,
          .perplexity = 1.1,
          .lr = 1e-3,
          .gradient_norm = 2.5,
          .tokens_per_second = 1234.5,
          .seconds = 3.25};
}

ValidationLine validation_line(std::int64_t step) {
  return {.step = step,
          .epoch = 2,
          .loss = 4,
          .perplexity = std::numeric_limits<double>::infinity(),
          .tokens = 77,
          .best = true,
          .seconds = 1};
}

class MetricsFile : public testing::Test {
 protected:
  void write(const std::string& text) const { write_file(file_, text); }
  const Directory directory_;
  const std::filesystem::path file_ = directory_ / "metrics.jsonl";
};

TEST_F(MetricsFile, LinesStandAsTheyAlwaysDidWithACheck) {
  {
    MetricsLog log(file_);
    log.append(train_line(7));
    log.append(validation_line(8));
    log.sync();
  }
  EXPECT_EQ(read_file(file_),
            R"({"epoch":2,"event":"train","gradient_norm":2.5,"loss":0.1,"lr":0.001,)"
            R"("perplexity":1.1,"seconds":3.25,"step":7,"tokens":700,"tokens_per_second":1234.5,)"
            R"("check":"d60e36ff2c4b55d5"})"
            "\n"
            R"({"best":true,"epoch":2,"event":"validation","loss":4.0,"perplexity":null,)"
            R"("seconds":1.0,"step":8,"tokens":77,"check":"8c5b68331a4a849c"})"
            "\n");
  const Metrics metrics = read_metrics(file_);
  EXPECT_TRUE(metrics.faults.empty());
  ASSERT_EQ(metrics.train.size(), 1U);
  EXPECT_EQ(metrics.train[0].step, 7);
  EXPECT_EQ(metrics.train[0].lr, 1e-3);
  ASSERT_EQ(metrics.validations.size(), 1U);
  EXPECT_TRUE(std::isinf(metrics.validations[0].perplexity));
  EXPECT_TRUE(metrics.validations[0].best);
}

TEST_F(MetricsFile, BadLinesAreNamedAndSkipped) {
  const std::string good = json_text(metrics_value(train_line(1)));
  const auto changed = [&](const char* field, const Value& value) {
    Value line = metrics_value(validation_line(4));
    line.set(field, value);
    return json_text(line) + "\n";
  };
  write(good + "\nnot JSON\n" + changed("event", 5) + changed("step", "three") + "[1]\n\n" +
        changed("step", -1) + changed("stranger", 1) + std::string(100'000, '[') + "\n" +
        changed("step", 4) + R"({"event":"tra)");
  const Metrics metrics = read_metrics(file_);
  ASSERT_EQ(metrics.train.size(), 1U);
  ASSERT_EQ(metrics.validations.size(), 1U);
  EXPECT_EQ(metrics.validations[0].step, 4);
  ASSERT_EQ(metrics.faults.size(), 8U);
  for (std::size_t i = 0; i < metrics.faults.size(); ++i) {
    const std::string& fault = metrics.faults[i];
    EXPECT_NE(fault.find("'" + file_.string() + "', line " + std::to_string(i + 2)),
              std::string::npos)
        << fault;
    EXPECT_LT(fault.size(), 400U);
    EXPECT_EQ(fault.find("json.exception"), std::string::npos) << fault;
  }
  EXPECT_THROW(read_metrics(directory_ / "none"), Error);
}

TEST_F(MetricsFile, NoChangedBitPassesForAMeasurement) {
  for (const Value& line : {metrics_value(train_line(7)), metrics_value(validation_line(8))}) {
    const std::string whole = metrics_text(line);
    EXPECT_NO_THROW(parse_metrics_line(whole, "here"));
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      EXPECT_THROW(parse_metrics_line(flipped, "here"), Error) << flipped;
    }
  }
}

TEST_F(MetricsFile, ContinuingKeepsWhatBelongsToTheRun) {
  const auto steps = [&] {
    std::vector<std::int64_t> out;
    const Metrics metrics = read_metrics(file_);
    for (const TrainLine& line : metrics.train) out.push_back(line.step);
    for (const ValidationLine& line : metrics.validations) out.push_back(-line.step);
    return out;
  };
  const auto fill = [&] {
    MetricsLog log(file_);
    for (const std::int64_t step : {5, 10}) log.append(train_line(step));
    log.append(validation_line(10));
    for (const std::int64_t step : {15, 20}) log.append(train_line(step));
  };
  using Steps = std::vector<std::int64_t>;
  fill();
  { MetricsLog log(file_, {.step = 10, .validated = true}); }
  EXPECT_EQ(steps(), (Steps{5, 10, -10}));
  { MetricsLog log(file_, {.step = 10, .validated = false}); }
  EXPECT_EQ(steps(), (Steps{5, 10}));
  { MetricsLog log(file_, {.step = 9, .validated = true}); }
  EXPECT_EQ(steps(), (Steps{5}));

  // A bad line in between takes nothing with it.
  fill();
  std::string text = read_file(file_);
  const std::size_t second = text.find('\n') + 1;
  write(text.substr(0, second) + "{\"event\": 5}\n" + text.substr(second) + "half");
  {
    MetricsLog log(file_, {.step = 15, .validated = true});
    ASSERT_EQ(log.faults().size(), 1U);
    EXPECT_NE(log.faults()[0].find("line 2"), std::string::npos);
    log.append(train_line(20));
  }
  EXPECT_EQ(steps(), (Steps{5, 10, 15, 20, -10}));
  EXPECT_TRUE(read_metrics(file_).faults.empty());
  { MetricsLog log(file_); }
  EXPECT_EQ(read_file(file_), "");
}

}  // namespace
}  // namespace sluice::training_test
