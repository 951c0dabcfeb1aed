#include "sluice/lab/units/unit_curves.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "sluice/base/error.hpp"
#include "sluice/kernels/fused_units.hpp"
#include "sluice/lab/units/gnuplot.hpp"

namespace sluice {
namespace {

UnitPicture picture_of(const char* name) { return unit_picture(unit_info(name)); }

// The curve at x by linear interpolation, of the last stroke that reaches x.
double at(const UnitCurve& curve, double x) {
  double y = NAN;
  for (const auto& stroke : curve.strokes) {
    for (std::size_t i = 1; i < stroke.size(); ++i) {
      const PlotPoint& p = stroke[i - 1];
      const PlotPoint& q = stroke[i];
      if (x < p.x || x > q.x) continue;
      y = q.x > p.x ? p.y + (x - p.x) / (q.x - p.x) * (q.y - p.y) : q.y;
    }
  }
  return y;
}

// A text's name may be anything: a line of its own would be a command of gnuplot's, or the shell's.
TEST(Gnuplot, TextStaysText) {
  EXPECT_EQ(gnuplot_text("it's"), "'it''s'");
  EXPECT_EQ(gnuplot_text("a\n!touch x\n"), "'a\\n!touch x\\n'");
  EXPECT_EQ(gnuplot_text("`x`$(y)"), "'`x`$(y)'");
}

TEST(TraceCurve, BreaksAtJumpsOnEitherSide) {
  // Up at 0.5, which belongs to the left, and down at 1.75, which belongs to the right.
  const UnitCurve curve = trace_curve(
      "f", [](double x) { return x >= 1.75 ? 0.5
                                 : x > 0.5 ? 2.0
                                           : x; }, -1, 3);
  ASSERT_EQ(curve.strokes.size(), 3U);
  EXPECT_EQ(curve.strokes[0].back().x, 0.5);
  EXPECT_NEAR(curve.strokes[0].back().y, 0.5, 1e-6);
  EXPECT_EQ(curve.strokes[1].front().y, 2);
  EXPECT_EQ(curve.strokes[1].back().x, 1.75);
  ASSERT_EQ(curve.closed.size(), 2U);
  EXPECT_NEAR(curve.closed[0].y, 0.5, 1e-6);
  EXPECT_EQ(curve.open[0].y, 2);
  EXPECT_EQ(curve.closed[1].y, 0.5);
  EXPECT_EQ(curve.open[1].y, 2);
}

TEST(TraceCurve, FindsJumpsBetweenSamples) {
  const UnitCurve curve = trace_curve(
      "f", [](double x) { return x > 0.7 ? 1.0 : 0.0; }, -1, 1);
  ASSERT_EQ(curve.closed.size(), 1U);
  EXPECT_NEAR(curve.closed[0].x, 0.7, 1e-6);
}

TEST(TraceCurve, SteepIsNoJump) {
  const UnitCurve curve = trace_curve(
      "f", [](double x) { return std::tanh(1e4 * x); }, -1, 1);
  EXPECT_EQ(curve.strokes.size(), 1U);
  EXPECT_TRUE(curve.closed.empty());
}

TEST(ThinCurve, StaysWithinTheTolerance) {
  const auto f = [](double x) { return std::sin(3 * x); };
  UnitCurve curve = trace_curve("f", f, -2, 2);
  const std::size_t before = curve.strokes[0].size();
  thin_curve(curve, 1e-2);
  EXPECT_EQ(before, 257U);
  EXPECT_LT(curve.strokes[0].size(), 60U);
  for (int i = -128; i <= 128; ++i) EXPECT_NEAR(at(curve, i / 64.0), f(i / 64.0), 1.0001e-2);
  UnitCurve line = trace_curve(
      "g", [](double x) { return 2 * x; }, -2, 2);
  thin_curve(line, 1e-9);
  EXPECT_EQ(line.strokes[0].size(), 2U);
}

TEST(UnitPicture, EveryUnitHasOneThatFitsItsPanels) {
  for (const UnitInfo& info : unit_infos()) {
    SCOPED_TRACE(info.name);
    const UnitPicture picture = unit_picture(info);
    ASSERT_FALSE(picture.panels.empty());
    EXPECT_EQ(picture.panels.size() % static_cast<std::size_t>(picture.columns), 0U);
    for (const UnitPanel& panel : picture.panels) {
      EXPECT_LT(panel.y_least, panel.y_most);
      ASSERT_FALSE(panel.curves.empty());
      for (const UnitCurve& curve : panel.curves) {
        EXPECT_FALSE(curve.label.empty());
        EXPECT_EQ(curve.strokes.front().front().x, panel.x_least);
        EXPECT_EQ(curve.strokes.back().back().x, panel.x_most);
        for (const auto& stroke : curve.strokes) {
          for (const PlotPoint& point : stroke) EXPECT_TRUE(std::isfinite(point.y));
        }
      }
    }
  }
  UnitInfo none = unit_info("maxout");
  none.name = "none";
  EXPECT_THROW(unit_picture(none), UsageError);
}

TEST(UnitPicture, ActivationsFollowTheirKernels) {
  for (const UnitInfo& info : unit_infos()) {
    if (info.kind != UnitKind::activation) continue;
    SCOPED_TRACE(info.name);
    const UnitPanel panel = unit_picture(info).panels.at(0);
    // Between kinks, which lie at multiples of 1/2.
    for (double x = panel.x_least + 0.26; x < panel.x_most; x += 0.25) {
      const Activation f = parse_activation(info.name);
      const double dy = 1;
      double y = 0;
      double dx = 0;
      kernels::activation_forward(&y, &x, 1, f);
      kernels::activation_backward(&dx, &dy, &x, 1, f);
      const double tolerance = 1e-3 * (panel.y_most - panel.y_least);
      EXPECT_NEAR(at(panel.curves.at(0), x), y, tolerance) << x;
      EXPECT_NEAR(at(panel.curves.at(1), x), dx, tolerance) << x;
    }
  }
}

TEST(UnitPicture, ShowsKinksJumpsAndFlatStretches) {
  const UnitPanel panel = picture_of("hardswish").panels.at(0);
  const UnitCurve& value = panel.curves.at(0);
  const UnitCurve& slope = panel.curves.at(1);
  ASSERT_EQ(value.kinks.size(), 2U);
  EXPECT_EQ(value.kinks[0].x, -3);
  EXPECT_EQ(value.kinks[1].x, 3);
  EXPECT_EQ(value.kinks[1].y, 3);
  EXPECT_TRUE(value.closed.empty());
  ASSERT_EQ(slope.closed.size(), 2U);
  EXPECT_EQ(slope.closed[0].y, 0);
  EXPECT_NEAR(slope.open[0].y, -0.5, 1e-6);
  // Not where the derivative passes zero.
  ASSERT_EQ(panel.flat.size(), 1U);
  EXPECT_EQ(panel.flat[0].first, -6);
  EXPECT_EQ(panel.flat[0].second, -3);

  const UnitPanel shrink = picture_of("hardshrink").panels.at(0);
  EXPECT_TRUE(shrink.curves.at(0).kinks.empty());
  EXPECT_EQ(shrink.curves.at(0).closed.size(), 2U);
  ASSERT_EQ(shrink.flat.size(), 1U);
  EXPECT_NEAR(shrink.flat[0].second, 0.5, 1.0 / 64);
}

TEST(UnitPicture, GatesOverBothHalves) {
  const UnitPicture picture = picture_of("glu");
  ASSERT_EQ(picture.panels.size(), 6U);
  EXPECT_EQ(picture.columns, 3);
  EXPECT_EQ(picture.panels[0].x_label, "a");
  EXPECT_EQ(picture.panels[3].x_label, "b");
  const double gate = 1 / (1 + std::exp(-1.5));
  // y at b = 2 and over b at a = 2, both at the other's 1.5 or so.
  EXPECT_EQ(picture.panels[3].curves.at(2).label, "a = 2");
  EXPECT_NEAR(at(picture.panels[3].curves[2], 1.5), 2 * gate, 1e-2);
  EXPECT_NEAR(at(picture.panels[5].curves.at(2), 1.5), 2 * gate * (1 - gate), 1e-2);
  // dy/da = sigmoid(b) whatever a is.
  ASSERT_EQ(picture.panels[4].curves.size(), 1U);
  EXPECT_EQ(picture.panels[4].curves[0].label, "any a");
  EXPECT_NEAR(at(picture.panels[4].curves[0], 1.5), gate, 1e-2);
}

TEST(UnitPicture, UnitsOfChannels) {
  const UnitPicture softmax = picture_of("softmax");
  ASSERT_EQ(softmax.panels.size(), 3U);
  const double y = std::exp(1) / (std::exp(1) + std::exp(2));
  EXPECT_EQ(softmax.panels[0].curves.at(2).label, "x₂ = 2");
  EXPECT_NEAR(at(softmax.panels[0].curves[2], 1), y, 1e-2);
  EXPECT_NEAR(at(softmax.panels[1].curves.at(2), 1), y * (1 - y), 1e-2);
  EXPECT_NEAR(at(softmax.panels[2].curves.at(2), 1), -y * (1 - y), 1e-2);
  const UnitPicture softmin = picture_of("softmin");
  EXPECT_NEAR(at(softmin.panels[0].curves.at(2), 1), 1 - y, 1e-2);
  EXPECT_NEAR(at(softmin.panels[1].curves.at(2), 1), -y * (1 - y), 1e-2);
  const UnitPicture logarithm = picture_of("log_softmax");
  EXPECT_NEAR(at(logarithm.panels[0].curves.at(2), 1), std::log(y), 1e-2);
  EXPECT_NEAR(at(logarithm.panels[1].curves.at(2), 1), 1 - y, 1e-2);
  const UnitPicture maxout = picture_of("maxout");
  EXPECT_NEAR(at(maxout.panels[0].curves.at(1), 0), 0.5, 1e-2);
  EXPECT_NEAR(at(maxout.panels[0].curves.at(1), 3), 3, 1e-2);
  // The first that is greatest has the derivative.
  ASSERT_EQ(maxout.panels[1].curves.at(1).closed.size(), 1U);
  EXPECT_EQ(maxout.panels[1].curves[1].closed[0].y, 1);
}

}  // namespace
}  // namespace sluice
