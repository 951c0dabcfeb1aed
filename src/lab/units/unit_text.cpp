#include "sluice/lab/units/unit_text.hpp"

#include <fmt/format.h>

#include <array>
#include <sstream>
#include <string_view>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/numbers.hpp"

namespace sluice {
namespace {

constexpr std::size_t page_width = 80;

std::size_t width_of(std::string_view utf8) {
  std::size_t width = 0;
  for (const char c : utf8) width += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
  return width;
}

std::string padded(std::string_view text, std::size_t width) {
  const std::size_t used = width_of(text);
  return std::string(text) + std::string(used < width ? width - used : 1, ' ');
}

/// `text` after `head`, with continuation lines indented to where it began.
std::string hanging(const std::string& head, const std::string& text) {
  const std::size_t indent = width_of(head);
  std::string lines = head;
  std::size_t column = indent;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t width = width_of(word);
    if (column > indent && column + 1 + width > page_width) {
      lines += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += width;
  }
  return lines + '\n';
}

std::string cost_text(const UnitCost& cost) {
  return fmt::format("{:.2f} ns forward, {:.2f} ns forward and backward", cost.forward_ns,
                     cost.forward_backward_ns);
}

std::string cost_note() {
  return hanging("", fmt::format("Cost is per element of the output, on one thread, {} elements "
                                 "at a time (in cache): of gates and activations the kernel alone, "
                                 "of layer units the op with its allocations.",
                                 grouped(unit_cost_elements)));
}

std::string parameters_text(const UnitInfo& info) {
  std::string text;
  for (const UnitParameter& parameter : info.parameters) {
    text += fmt::format("{}{} = {:.6g} ({:g} to {:g})", text.empty() ? "" : ", ", parameter.name,
                        parameter.standard, parameter.least, parameter.most);
  }
  return text;
}

/// A float as the number it was written as, not as the nearest double.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

Value bound_json(const ErrorBound& bound) {
  return Value::Object{{"ulp", shortest(bound.ulp)},
                       {"absolute", shortest(bound.absolute)},
                       {"relative_below", shortest(bound.relative_below)}};
}

// ---- Markdown ----

struct Group {
  UnitKind kind;
  std::string_view title;
  std::string_view list_title;
};
constexpr std::array<Group, 3> groups = {{
    {UnitKind::gate, "Gates", "Gates: of a, the first half of a projection, and b, the second"},
    {UnitKind::activation, "Activations", "Activations: of each x"},
    {UnitKind::layer, "Layer units",
     "Layer units: with learned parameters or random numbers, or of several channels"},
}};

constexpr std::string_view introduction = R"(# Units

Made by `./dev docs` from what the program knows of its units; do not edit.

A unit turns the output of a projection (a convolution or a matrix product) into the output of a
layer. There are three kinds:

- A **gate** takes a projection of twice the width, `[B, T, 2N]`, and multiplies its halves element
  by element after an activation of one of them or both. `a` is the first half, the linear half (W
  and b in Dauphin et al. 2017), and `b` the second, the gate half (V and c), as in PyTorch's
  `glu(dim=-1)`. In `glu`, `gtu` and `reglu_sigmoid` the gate is σ(b), between 0 and 1. Shazeer
  2020 puts the activation on the first factor, and so do `reglu`, `geglu`, `swiglu` and their
  like: `swiglu` is silu(a) ⊙ b. Formulas write the product without a sign: `a sigmoid(b)`.
- An **activation** takes each number x by itself. Some have parameters, written in parentheses:
  `leaky_relu` is `leaky_relu(0.01)`, `hardtanh(-2,2)` gives both.
- A **layer unit** has parameters that are learned, draws random numbers, or looks at several
  channels.

Any activation also makes a gate, on either side: `F(a)*b` and `a*G(b)`, for example
`mish(a)*b`, `a*softsign(b)` or `leaky_relu(0.2)(a)*b`.

In the pictures a dot marks a kink or the value at a jump, a ring the other end of a jump, and
shading where the derivative of an activation is less than 0.01 in magnitude: there the unit is
saturated or dead, and what lies before it hardly learns. Derivatives at kinks are those of the left
side, or 0 where PyTorch has 0.

Accuracy is that of the float32 kernels, on every SIMD target, held against float64 over the whole
range of float32 by `tests/kernels/accuracy_test.cpp`: 1 ULP is the distance of neighbouring numbers
of the result's size. The greatest errors over every float are what the slow tests measured with
AVX-512, beyond what the bound's absolute part allows. Speed is that of value and derivative, in
nanoseconds an output, of one thread on the machine of [benchmarks.md](benchmarks.md), where it is held
against PyTorch's; the command [units](cli.md#sluice-units) measures it where you are.
)";

std::string table_cell(std::string_view text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? "\\|" : std::string(1, c);
  return cell;
}

std::string table(const std::vector<UnitInfo>& units) {
  std::string text = "\n| unit | value | range | source |\n| --- | --- | --- | --- |\n";
  for (const Group& group : groups) {
    for (const UnitInfo& info : units) {
      if (info.kind != group.kind) continue;
      text +=
          fmt::format("| [{}](#{}) | `{}` | `{}` | {} |\n", info.name, info.name,
                      table_cell(info.formula), table_cell(info.range), table_cell(info.source));
    }
  }
  return text;
}

std::string section(const UnitInfo& info) {
  std::string text = fmt::format(
      "\n### {0}\n\n![{0}: {1}](units/{0}.svg)\n\n- Value: `{2}`\n- Derivative: `{3}`\n- Range: "
      "`{4}`\n- Saturation: {5}\n",
      info.name,
      info.kind == UnitKind::gate ? "value and derivatives over a and over b"
                                  : "value and derivative",
      info.formula, info.derivative, info.range, info.saturation);
  if (!info.parameters.empty()) text += fmt::format("- Parameters: {}\n", parameters_text(info));
  text += fmt::format("- Accuracy: {}\n", info.accuracy);
  if (!info.source.empty()) text += fmt::format("- Source: {}\n", info.source);
  return text + "- Speed: [benchmarks](benchmarks.md#activations-and-gates)\n";
}

}  // namespace

std::string unit_list_text(const std::vector<ListedUnit>& units) {
  constexpr std::size_t name_column = 16;
  constexpr std::size_t label_column = 12;
  std::string text;
  bool costs = false;
  for (const Group& group : groups) {
    text += fmt::format("{}{}\n\n", text.empty() ? "" : "\n", group.list_title);
    for (const ListedUnit& unit : units) {
      if (unit.info.kind != group.kind) continue;
      const auto line = [&](const char* label, const std::string& what) {
        text += hanging(std::string(name_column, ' ') + padded(label, label_column), what);
      };
      text += hanging(padded(unit.info.name, name_column), unit.info.formula);
      line("derivative", unit.info.derivative);
      line("range", unit.info.range);
      line("saturation", unit.info.saturation);
      if (!unit.cost) continue;
      line("cost", cost_text(*unit.cost));
      costs = true;
    }
  }
  text += '\n';
  if (costs) text += cost_note();
  return text + hanging("", "Gates of any activation are written F(a)*b and a*G(b).");
}

std::string unit_text(const ListedUnit& unit) {
  constexpr std::size_t label_column = 13;
  const UnitInfo& info = unit.info;
  std::string text = fmt::format("{} ({})\n\n", info.name, name_of(info.kind));
  const auto line = [&](const char* label, const std::string& what) {
    if (!what.empty()) text += hanging(padded(label, label_column), what);
  };
  line("value", info.formula);
  line("derivative", info.derivative);
  line("range", info.range);
  line("saturation", info.saturation);
  line("parameters", parameters_text(info));
  line("accuracy", info.accuracy);
  line("source", info.source);
  if (unit.cost) {
    line("cost", cost_text(*unit.cost));
    text += '\n' + cost_note();
  }
  return text;
}

std::string units_json(const std::vector<ListedUnit>& units) {
  Value::List list;
  for (const ListedUnit& unit : units) {
    const UnitInfo& info = unit.info;
    Value::List parameters;
    for (const UnitParameter& parameter : info.parameters) {
      parameters.emplace_back(Value::Object{{"name", parameter.name},
                                            {"default", shortest(parameter.standard)},
                                            {"least", shortest(parameter.least)},
                                            {"most", shortest(parameter.most)}});
    }
    Value::Object entry = {{"name", info.name},
                           {"kind", name_of(info.kind)},
                           {"formula", info.formula},
                           {"derivative", info.derivative},
                           {"range", info.range},
                           {"saturation", info.saturation},
                           {"source", info.source},
                           {"accuracy", info.accuracy},
                           {"parameters", std::move(parameters)}};
    if (info.kind == UnitKind::activation) {
      entry.emplace_back("value_error", bound_json(info.value_error));
      entry.emplace_back("derivative_error", bound_json(info.slope_error));
    }
    if (unit.cost) {
      entry.emplace_back("cost",
                         Value::Object{{"elements", unit_cost_elements},
                                       {"forward_ns", unit.cost->forward_ns},
                                       {"forward_backward_ns", unit.cost->forward_backward_ns}});
    }
    list.emplace_back(std::move(entry));
  }
  return json_text(Value::Object{{"units", std::move(list)}}, -1, JsonNames::as_given);
}

std::string units_markdown(const std::vector<UnitInfo>& units) {
  std::string text(introduction);
  text += table(units);
  for (const Group& group : groups) {
    text += fmt::format("\n## {}\n", group.title);
    for (const UnitInfo& info : units) {
      if (info.kind == group.kind) text += section(info);
    }
  }
  return text;
}

}  // namespace sluice
