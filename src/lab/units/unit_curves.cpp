#include "sluice/lab/units/unit_curves.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>

#include "sluice/base/error.hpp"
#include "sluice/kernels/fused_units.hpp"

namespace sluice {
namespace {

using Function = std::function<double(double)>;

constexpr double step = 1.0 / 64;
// Jumps that a picture shows.
constexpr double least_jump = 0.01;
// Of the range of y: less than half a pixel.
constexpr double tolerance_share = 7e-4;

std::vector<PlotPoint> thinned(const std::vector<PlotPoint>& points, double tolerance) {
  std::vector<bool> stays(points.size());
  stays.front() = stays.back() = true;
  std::vector<std::pair<std::size_t, std::size_t>> open = {{0, points.size() - 1}};
  while (!open.empty()) {
    const auto [first, last] = open.back();
    open.pop_back();
    const PlotPoint& from = points[first];
    const double slope = (points[last].y - from.y) / std::max(points[last].x - from.x, 1e-12);
    double worst = tolerance;
    std::size_t split = 0;
    for (std::size_t i = first + 1; i < last; ++i) {
      const double off = std::abs(points[i].y - from.y - slope * (points[i].x - from.x));
      if (off > worst) {
        worst = off;
        split = i;
      }
    }
    if (split == 0) continue;
    stays[split] = true;
    open.emplace_back(first, split);
    open.emplace_back(split, last);
  }
  std::vector<PlotPoint> kept;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (stays[i]) kept.push_back(points[i]);
  }
  return kept;
}

struct Jump {
  double x = 0;
  double left = 0, at = 0, right = 0;
};

// The jump of f in (low, high], if there is one.
std::optional<Jump> find_jump(const Function& f, double low, double high) {
  constexpr double narrow = 1e-9;
  double f_low = f(low);
  double f_high = f(high);
  while (high - low > narrow && std::abs(f_high - f_low) >= least_jump) {
    const double middle = (low + high) / 2;
    const double f_middle = f(middle);
    if (std::abs(f_middle - f_low) > std::abs(f_high - f_middle)) {
      high = middle;
      f_high = f_middle;
    } else {
      low = middle;
      f_low = f_middle;
    }
  }
  if (std::abs(f_high - f_low) < least_jump) return {};
  // Units jump at round numbers, or where a parameter says.
  double x = (low + high) / 2;
  if (const double round = std::round(x / step) * step; std::abs(round - x) < 1e-6) x = round;
  return Jump{x, f_low, f(x), f_high};
}

// Kinks of a curve are where its derivative jumps and the curve itself does not.
void mark_kinks(UnitCurve& curve, const UnitCurve& derivative, const Function& f) {
  constexpr double near = 1e-6;
  for (const PlotPoint& jump : derivative.closed) {
    const bool broken = std::any_of(curve.closed.begin(), curve.closed.end(),
                                    [&](const auto& p) { return std::abs(p.x - jump.x) < near; });
    if (!broken) curve.kinks.push_back({jump.x, f(jump.x)});
  }
}

// Stretches where |f| < flat_slope; mere crossings of zero do not count.
std::vector<std::pair<double, double>> flat_stretches(const Function& f, double least,
                                                      double most) {
  constexpr double shortest = 0.15;
  constexpr double limit = flat_slope * (1 - 1e-6);  // leaky_relu's slope is 0.01 in float32
  std::vector<std::pair<double, double>> found;
  const auto count = static_cast<int>(std::lround((most - least) / step));
  // Half steps, so that no sample falls on a kink.
  const auto at = [&](int i) { return least + (i + 0.5) * step; };
  for (int i = 0; i < count;) {
    int end = i;
    while (end < count && std::abs(f(at(end))) < limit) ++end;
    const double length = (end - i) * step;
    if (length >= shortest) found.emplace_back(least + i * step, least + end * step);
    i = end + 1;
  }
  return found;
}

// Fits the y range to all curves of the panel within [least, most], and drops points too close to
// matter.
void fit(UnitPanel& panel, double least, double most) {
  double low = most;
  double high = least;
  for (const UnitCurve& curve : panel.curves) {
    for (const auto& stroke : curve.strokes) {
      for (const PlotPoint& point : stroke) {
        low = std::min(low, point.y);
        high = std::max(high, point.y);
      }
    }
  }
  low = std::max(std::min(low, 0.0), least);
  high = std::min(std::max(high, 0.0), most);
  const double room = 0.06 * std::max(high - low, 0.1);
  panel.y_least = low - room;
  panel.y_most = high + room;
  for (UnitCurve& curve : panel.curves)
    thin_curve(curve, tolerance_share * (high - low + 2 * room));
}

bool same(const UnitCurve& left, const UnitCurve& right) {
  const auto equal = [](const PlotPoint& p, const PlotPoint& q) {
    return p.x == q.x && std::abs(p.y - q.y) < 1e-9;
  };
  return std::equal(left.strokes.begin(), left.strokes.end(), right.strokes.begin(),
                    right.strokes.end(), [&](const auto& p, const auto& q) {
                      return std::equal(p.begin(), p.end(), q.begin(), q.end(), equal);
                    });
}

// ---- activations ----

Function value_of(Activation activation, const ActivationParameters& parameters) {
  return [=](double x) {
    double y = 0;
    kernels::activation_forward(&y, &x, 1, activation, parameters);
    return y;
  };
}

Function slope_of(Activation activation, const ActivationParameters& parameters) {
  return [=](double x) {
    const double dy = 1;
    double dx = 0;
    kernels::activation_backward(&dx, &dy, &x, 1, activation, parameters);
    return dx;
  };
}

constexpr std::pair<double, double> usual_y = {-3, 5};

// The range to draw, for units whose features are not in [-6, 6].
std::pair<double, double> x_range(std::string_view name) {
  if (name == "relu6") return {-4, 10};
  if (name == "softsign") return {-12, 12};
  if (name == "silu" || name == "mish") return {-10, 6};
  if (name == "tanhshrink" || name == "softshrink" || name == "hardshrink") return {-4, 4};
  return {-6, 6};
}

UnitPicture activation_picture(const UnitInfo& info) {
  const Unit unit = parse_unit(info.name);
  const Function value = value_of(unit.f, unit.f_parameters);
  const Function slope = slope_of(unit.f, unit.f_parameters);
  const auto [least, most] = x_range(activation_name(unit.f));
  UnitPanel panel{
      .x_label = "x", .y_label = "value and derivative", .x_least = least, .x_most = most};
  panel.curves.push_back(trace_curve("value", value, least, most));
  panel.curves.push_back(trace_curve("derivative", slope, least, most));
  mark_kinks(panel.curves[0], panel.curves[1], value);
  panel.flat = flat_stretches(slope, least, most);
  fit(panel, usual_y.first,
      unit.f == Activation::relu6 ? unit.f_parameters[0] + 1 : usual_y.second);
  return {.title = info.name, .columns = 1, .panels = {std::move(panel)}};
}

// ---- several curves to a panel ----

std::string short_number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

struct Family {
  std::string label;  // of the curve
  Function f;
};

UnitPanel family_panel(std::string y_label, std::string x_label, const std::vector<Family>& family,
                       const std::string& any, double reach) {
  constexpr double x_reach = 4;
  UnitPanel panel{.x_label = std::move(x_label),
                  .y_label = std::move(y_label),
                  .x_least = -x_reach,
                  .x_most = x_reach};
  for (const Family& member : family) {
    panel.curves.push_back(trace_curve(member.label, member.f, -x_reach, x_reach));
  }
  const bool all_same = std::all_of(panel.curves.begin(), panel.curves.end(),
                                    [&](const auto& c) { return same(c, panel.curves.front()); });
  if (all_same) {
    panel.curves.resize(1);
    panel.curves.front().label = any;
  }
  fit(panel, -reach, reach);
  return panel;
}

// A function of two numbers: its value and its derivatives.
struct Binary {
  std::string value;
  std::array<std::string, 2> names;
  std::function<std::array<double, 3>(double, double)> f;
};

constexpr std::array fixed_values = {-1.0, 0.5, 2.0};

// Value and both derivatives over argument `over`, the other fixed.
void add_row(UnitPicture& picture, const Binary& binary, std::size_t over) {
  constexpr double reach = 4;
  const std::string& fixed_name = binary.names.at(1 - over);
  const std::array<std::string, 3> labels = {binary.value,
                                             "∂" + binary.value + "/∂" + binary.names[0],
                                             "∂" + binary.value + "/∂" + binary.names[1]};
  std::array<UnitPanel, 3> panels;
  for (std::size_t part = 0; part < labels.size(); ++part) {
    std::vector<Family> family;
    family.reserve(fixed_values.size());
    for (const double fixed : fixed_values) {
      family.push_back(
          {fixed_name + " = " + short_number(fixed), [&binary, fixed, over, part](double x) {
             return over == 0 ? binary.f(x, fixed).at(part) : binary.f(fixed, x).at(part);
           }});
    }
    panels.at(part) =
        family_panel(labels.at(part), binary.names.at(over), family, "any " + fixed_name, reach);
  }
  picture.panels.insert(picture.panels.end(), std::make_move_iterator(panels.begin()),
                        std::make_move_iterator(panels.end()));
}

UnitPicture gate_picture(const UnitInfo& info) {
  const Unit unit = parse_unit(info.name);
  const Binary binary = {
      "y", {"a", "b"}, [unit](double a, double b) {
        const std::array<double, 2> z = {a, b};
        std::array<double, 2> dz{};
        const double dy = 1;
        double y = 0;
        kernels::unit_forward(kernels::UnitForward<double>{&y, z.data(), 2}, 1, 1, unit);
        kernels::unit_backward(
            kernels::UnitBackward<double>{dz.data(), 2, nullptr, &dy, z.data(), 2}, 1, 1, unit);
        return std::array<double, 3>{y, dz[0], dz[1]};
      }};
  UnitPicture picture{.title = info.name, .columns = 3, .panels = {}};
  add_row(picture, binary, 0);
  add_row(picture, binary, 1);
  return picture;
}

// ---- layers ----

// Value and derivative of an activation at some parameters.
UnitPicture slopes_picture(
    const UnitInfo& info, Activation activation,
    const std::vector<std::pair<std::string, ActivationParameters>>& choices) {
  constexpr double reach = 4;
  std::vector<Family> values;
  std::vector<Family> slopes;
  for (const auto& [label, parameters] : choices) {
    values.push_back({label, value_of(activation, parameters)});
    slopes.push_back({label, slope_of(activation, parameters)});
  }
  return {.title = info.name,
          .columns = 2,
          .panels = {family_panel("y", "x", values, "", reach),
                     family_panel("dy/dx", "x", slopes, "", reach)}};
}

// y of two channels, over the first.
UnitPicture channels_picture(const UnitInfo& info, const std::string& value,
                             std::function<std::array<double, 3>(double, double)> f) {
  UnitPicture picture{.title = info.name, .columns = 3, .panels = {}};
  add_row(picture, {value, {"x₁", "x₂"}, std::move(f)}, 0);
  return picture;
}

// The softmax family, of two channels: an activation of their difference.
UnitPicture difference_picture(const UnitInfo& info, Activation f, double sign) {
  const ActivationParameters parameters = default_parameters(f);
  const Function value = value_of(f, parameters);
  const Function slope = slope_of(f, parameters);
  return channels_picture(info, "y₁", [=](double x1, double x2) {
    const double difference = sign * (x1 - x2);
    const double dx = sign * slope(difference);
    return std::array<double, 3>{value(difference), dx, -dx};
  });
}

UnitPicture layer_picture(const UnitInfo& info) {
  // Without its arguments.
  const std::string name = info.name.substr(0, info.name.find('('));
  if (name == "prelu") {
    return slopes_picture(info, Activation::leaky_relu,
                          {{"α = 0.1", {0.1F}}, {"α = 0.25", {0.25F}}, {"α = 0.5", {0.5F}}});
  }
  if (name == "rrelu" && name != info.name) {
    const float lower = info.parameters.at(0).standard, upper = info.parameters.at(1).standard;
    std::vector<std::pair<std::string, ActivationParameters>> choices;
    for (const float s : {lower, (lower + upper) / 2, upper}) {
      choices.push_back({"s = " + short_number(s), {s}});
    }
    return slopes_picture(info, Activation::leaky_relu, choices);
  }
  if (name == "rrelu") {
    return slopes_picture(
        info, Activation::leaky_relu,
        {{"s = 1/8", {1.0F / 8}}, {"s = 11/48", {11.0F / 48}}, {"s = 1/3", {1.0F / 3}}});
  }
  if (name == "swish") {
    return slopes_picture(info, Activation::silu,
                          {{"β = 0.5", {0.5F}}, {"β = 1", {1}}, {"β = 2", {2}}});
  }
  if (name == "gelu") {
    return slopes_picture(info, Activation::gelu,
                          {{"otherwise", default_parameters(Activation::gelu)}});
  }
  if (name == "maxout") {
    return channels_picture(info, "y", [](double x1, double x2) {
      const bool first = x1 >= x2;
      return std::array<double, 3>{first ? x1 : x2, first ? 1.0 : 0.0, first ? 0.0 : 1.0};
    });
  }
  if (name == "softmax") return difference_picture(info, Activation::sigmoid, 1);
  if (name == "log_softmax") return difference_picture(info, Activation::logsigmoid, 1);
  if (name == "softmin") return difference_picture(info, Activation::sigmoid, -1);
  throw UsageError("Unit: there is no picture of '" + info.name +
                   "'; src/nn/unit_curves.cpp has those of layer units.");
}

}  // namespace

UnitPicture unit_picture(const UnitInfo& info) {
  switch (info.kind) {
    case UnitKind::gate:
      return gate_picture(info);
    case UnitKind::activation:
      return activation_picture(info);
    case UnitKind::layer:
      break;
  }
  return layer_picture(info);
}

UnitCurve trace_curve(std::string label, const std::function<double(double)>& f, double least,
                      double most) {
  UnitCurve curve;
  curve.label = std::move(label);
  std::vector<PlotPoint> stroke = {{least, f(least)}};
  const auto count = std::lround((most - least) / step);
  for (long i = 1; i <= count; ++i) {
    const double x = least + static_cast<double>(i) * step;
    const double y = f(x);
    const double before = x - step;
    // A jump at `before` shows only to its right, one at x to its left.
    if (std::abs(y - stroke.back().y) >= least_jump) {
      if (const auto jump = find_jump(f, before, x)) {
        stroke.push_back({jump->x, jump->left});
        curve.strokes.push_back(std::move(stroke));
        stroke = {{jump->x, jump->right}};
        const bool left = std::abs(jump->at - jump->left) <= std::abs(jump->at - jump->right);
        curve.closed.push_back({jump->x, left ? jump->left : jump->right});
        curve.open.push_back({jump->x, left ? jump->right : jump->left});
      }
    }
    if (x > stroke.back().x) stroke.push_back({x, y});
  }
  curve.strokes.push_back(std::move(stroke));
  return curve;
}

void thin_curve(UnitCurve& curve, double tolerance) {
  for (auto& stroke : curve.strokes) stroke = thinned(stroke, tolerance);
}

}  // namespace sluice
