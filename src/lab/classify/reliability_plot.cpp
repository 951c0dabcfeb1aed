#include "sluice/lab/classify/reliability_plot.hpp"

#include <fmt/format.h>

#include "sluice/lab/units/gnuplot.hpp"

namespace sluice {

std::string reliability_script(const ClassificationReport& report, const std::string& title) {
  std::string curve, counts;
  for (const ReliabilityBin& bin : report.reliability) {
    if (bin.lines == 0) continue;
    curve += fmt::format("{:.6g} {:.6g}\n", bin.confidence, bin.accuracy);
    counts += fmt::format("{:.6g} {}\n", (bin.low + bin.high) / 2, bin.lines);
  }
  constexpr double percent = 100;
  return fmt::format(
      "set terminal svg size 560,620 fixed background '#ffffff' font 'sans-serif,14' noenhanced "
      "name 'reliability'\n"
      "set encoding utf8\n"
      "$curve << EOD\n{}EOD\n$counts << EOD\n{}EOD\n"
      "set border 3 lc rgb '#606060'\n"
      "set tics nomirror out scale 0.6 textcolor rgb '#303030'\n"
      "set grid lc rgb '#dcdcdc' lt 1 lw 0.7\n"
      "set xrange [0:1]\n"
      "set multiplot\n"
      "set lmargin at screen 0.18\nset rmargin at screen 0.96\n"
      "set tmargin at screen 0.90\nset bmargin at screen 0.36\n"
      "set title {} textcolor rgb '#202020'\n"
      "set yrange [0:1]\nset ylabel 'how often it was right'\nset key bottom right\n"
      "plot x with lines lw 1.5 dt (8,5) lc rgb '#909090' title 'as it should be', \\\n"
      "  $curve with linespoints lw 2.2 pt 7 ps 0.7 lc rgb '#0072b2' title {}\n"
      "unset title\n"
      "set tmargin at screen 0.29\nset bmargin at screen 0.14\n"
      "set xlabel 'probability of the most probable label'\nset ylabel 'lines'\n"
      "set logscale y\nset yrange [0.5:*]\nset boxwidth 0.09\nset style fill solid 1 noborder\n"
      "unset key\nplot $counts with boxes lc rgb '#0072b2'\n"
      "unset multiplot\n",
      curve, counts, gnuplot_text(title),
      gnuplot_text(fmt::format("calibration error {:.2f}%", percent * report.calibration_error)));
}

}  // namespace sluice
