#include "sluice/lab/units/gnuplot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

// ---- the script ----

struct Style {
  std::string_view colour, dashes;
};
// Colours that stay apart for the colour-blind (Okabe & Ito 2008), and dashes where curves meet.
constexpr std::array<Style, 3> styles = {
    {{"#0072b2", "solid"}, {"#d55e00", "(12,5)"}, {"#009e73", "(4,4)"}}};
constexpr std::string_view shade = "#f2ead9";

// A data block of strokes or points. gnuplot draws no line over an empty line.
std::string block(const std::string& name, const std::vector<std::vector<PlotPoint>>& strokes) {
  std::string text = fmt::format("${} << EOD\n", name);
  for (const auto& stroke : strokes) {
    for (const PlotPoint& point : stroke) text += fmt::format("{:.6g} {:.6g}\n", point.x, point.y);
    text += '\n';
  }
  return text + "EOD\n";
}

// The title, broken into lines that fit, each a string literal.
std::vector<std::string> title_lines(const std::string& title, int width) {
  constexpr int character = 8;  // pixels
  const auto most = static_cast<std::size_t>(width / character);
  std::vector<std::string> lines;
  std::string line;
  std::istringstream words(title);
  for (std::string word; words >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > most) {
      lines.push_back(gnuplot_text(line));
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  lines.push_back(gnuplot_text(line));
  return lines;
}

class Script {
 public:
  Script(const UnitPicture& picture, const std::string& caption)
      : single_(picture.panels.size() == 1) {
    const int columns = picture.columns;
    const int rows = static_cast<int>(picture.panels.size()) / columns;
    const int width = single_ ? 720 : (columns == 2 ? 400 : 330) * columns;
    const std::vector<std::string> title = title_lines(picture.title + ": " + caption, width);
    const int title_height = 22 * static_cast<int>(title.size());
    const int height = (single_ ? 430 : 40 + 300 * rows) + title_height;
    text_ = fmt::format(
        "set terminal svg size {},{} fixed background '#ffffff' font 'sans-serif,{}' noenhanced "
        "name {}\n"
        "set encoding utf8\n"
        "set clip two\n"
        "set border 3 lc rgb '#606060'\n"
        "set tics nomirror out scale 0.6 textcolor rgb '#303030'\n"
        "set grid lc rgb '#dcdcdc' lt 1 lw 0.7\n"
        "set style line 9 lc rgb '#909090' lw 1\n",
        width, height, single_ ? 14 : 13, gnuplot_text(picture.title));
    const std::string shown = fmt::format("{}", fmt::join(title, ".\"\\n\"."));
    if (single_) {
      text_ += fmt::format("set title {} textcolor rgb '#202020'\n", shown);
    } else {
      // Margins in pixels of the picture.
      text_ += fmt::format(
          "set multiplot layout {},{} title {} font 'sans-serif,14' textcolor rgb '#202020' "
          "margins screen {:.4f}, screen {:.4f}, screen {:.4f}, screen {:.4f} spacing screen "
          "{:.4f}, screen {:.4f}\n",
          rows, columns, shown, 50.0 / width, 1 - 16.0 / width, 56.0 / height,
          1 - (66.0 + title_height) / height, 60.0 / width, 116.0 / height);
    }
    for (const UnitPanel& panel : picture.panels) add(panel);
  }

  std::string take() { return std::move(text_); }

 private:
  void add(const UnitPanel& panel) {
    text_ += fmt::format(
        "set xrange [{}:{}]\nset yrange [{:.6g}:{:.6g}]\nset xtics {}\nset xlabel {} offset "
        "0,0.4\n",
        panel.x_least, panel.x_most, panel.y_least, panel.y_most,
        !single_ || panel.x_most - panel.x_least > 16 ? 2 : 1, gnuplot_text(panel.x_label));
    if (single_) {
      text_ += fmt::format(
          "set ylabel {}\n"
          "set key outside below center horizontal reverse Left samplen 3 width -6\n",
          gnuplot_text(panel.y_label));
    } else {
      text_ += fmt::format(
          "set title {} offset 0,0.4\n"
          "set key at graph 0.5, graph 1.02 center bottom horizontal reverse Left samplen 1.8 "
          "width -2 font ',11.5'\n",
          gnuplot_text(panel.y_label));
    }
    text_ +=
        "set arrow 1 from graph 0, first 0 to graph 1, first 0 nohead ls 9 back\n"
        "set arrow 2 from first 0, graph 0 to first 0, graph 1 nohead ls 9 back\n";
    for (std::size_t i = 0; i < panel.flat.size(); ++i) {
      text_ += fmt::format(
          "set object {} rectangle from first {:.6g}, graph 0 to first {:.6g}, graph 1 fc rgb "
          "'{}' fillstyle solid noborder behind\n",
          i + 1, panel.flat[i].first, panel.flat[i].second, shade);
    }
    std::vector<std::string> plots;
    for (std::size_t i = 0; i < panel.curves.size(); ++i) {
      const UnitCurve& curve = panel.curves[i];
      const Style& style = styles.at(i % styles.size());
      text_ += block(fmt::format("curve{}", i), curve.strokes);
      plots.push_back(fmt::format("$curve{} with lines lw 2.2 dt {} lc rgb '{}' title {}", i,
                                  style.dashes, style.colour, gnuplot_text(curve.label)));
      add_points(plots, fmt::format("open{}", i), curve.open, style.colour, true);
      add_points(plots, fmt::format("closed{}", i), curve.closed, style.colour, false);
      add_points(plots, fmt::format("kinks{}", i), curve.kinks, style.colour, false);
    }
    if (!panel.flat.empty()) {
      plots.push_back(fmt::format("keyentry with boxes fillstyle solid fc rgb '{}' title {}", shade,
                                  gnuplot_text(fmt::format("|derivative| < {}", flat_slope))));
    }
    text_ += fmt::format("plot {}\n", fmt::join(plots, ", \\\n  "));
  }

  void add_points(std::vector<std::string>& plots, const std::string& name,
                  const std::vector<PlotPoint>& points, std::string_view colour, bool open) {
    if (points.empty()) return;
    text_ += block(name, {points});
    if (open) {
      plots.push_back(fmt::format("${} with points pt 7 ps 0.8 lc rgb '#ffffff' notitle", name));
    }
    plots.push_back(fmt::format("${} with points pt {} ps {} lw 1.6 lc rgb '{}' notitle", name,
                                open ? 6 : 7, open ? 0.7 : 0.6, colour));
  }

  bool single_;
  std::string text_;
};

// ---- the process ----

[[noreturn]] void fail(const char* what, int cause) {
  throw Error(fmt::format("cannot {} gnuplot: {}", what, std::generic_category().message(cause)));
}

// A file in memory. A pipe would have to be read and written at the same time, and break when
// gnuplot ends early.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("sluice-gnuplot", MFD_CLOEXEC)) {
    if (descriptor_ < 0) fail("run", errno);
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  int descriptor() const { return descriptor_; }

  void fill(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = ::write(descriptor_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("write the script for", errno);
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::lseek(descriptor_, 0, SEEK_SET) < 0) fail("write the script for", errno);
  }

  std::string text() const {
    std::string all;
    std::string part(std::size_t{1} << 16, '\0');  // the stack may be smaller
    for (;;) {
      const ssize_t count =
          ::pread(descriptor_, part.data(), part.size(), static_cast<off_t>(all.size()));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("read the output of", errno);
      if (count == 0) return all;
      all.append(part.data(), static_cast<std::size_t>(count));
    }
  }

 private:
  int descriptor_;
};

pid_t spawn(const MemoryFile& in, const MemoryFile& out, const MemoryFile& err) {
  posix_spawn_file_actions_t actions;
  if (const int cause = ::posix_spawn_file_actions_init(&actions)) fail("run", cause);
  ::posix_spawn_file_actions_adddup2(&actions, in.descriptor(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.descriptor(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.descriptor(), STDERR_FILENO);
  std::string name = "gnuplot";
  std::string defaults = "-d";  // no settings from the home directory
  const std::array<char*, 3> arguments = {name.data(), defaults.data(), nullptr};
  // Signals that this process leaves to one of its threads are not blocked in another program.
  posix_spawnattr_t attributes;
  if (const int cause = ::posix_spawnattr_init(&attributes)) fail("run", cause);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t process = -1;
  const int cause =
      ::posix_spawnp(&process, name.c_str(), &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (cause == ENOENT) {
    throw Error(
        "pictures are drawn by gnuplot, which is not installed; on Debian, apt-get install "
        "gnuplot-nox");
  }
  if (cause != 0) fail("run", cause);
  return process;
}

}  // namespace

std::string gnuplot_text(std::string_view text) {
  std::string result = "'";
  // No control characters: gnuplot ends a string at the end of its line, and runs what may follow.
  for (const char c : presentable(text)) result += c == '\'' ? "''" : std::string(1, c);
  return result + "'";
}

std::string gnuplot_script(const UnitPicture& picture, const std::string& caption) {
  return Script(picture, caption).take();
}

std::string run_gnuplot(const std::string& script) {
  const MemoryFile in;
  const MemoryFile out;
  const MemoryFile err;
  in.fill(script);
  const pid_t process = spawn(in, out, err);
  int status = 0;
  while (::waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) fail("wait for", errno);
  }
  std::string picture = out.text();
  if (status != 0 || picture.find("</svg>") == std::string::npos) {
    std::string said = err.text();
    std::replace(said.begin(), said.end(), '\n', ' ');
    throw Error(
        fmt::format("gnuplot failed to draw: {}", said.empty() ? "it did not finish" : said));
  }
  return picture;
}

}  // namespace sluice
