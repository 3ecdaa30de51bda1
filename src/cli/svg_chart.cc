#include "svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tatara/base/html.h"

namespace tatara::cli {
namespace {

constexpr double kWidth = 720, kHeight = 300;
constexpr double kLeft = 64, kRight = 12, kTop = 16, kBottom = 44;
constexpr std::size_t kPointsMax = 900;  // more than there are pixels
constexpr int kTicks = 5;
constexpr std::size_t kClasses = 8;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double x) {
    low = std::min(low, x);
    high = std::max(high, x);
  }
  bool IsEmpty() const { return !(low <= high); }
  // Never of no width.
  void Widen() {
    const double pad = high > low ? 0 : std::max(1e-12, std::fabs(low) * 0.05);
    low -= pad;
    high += pad;
  }
  double Place(double x) const { return (x - low) / (high - low); }
};

// 1, 2 or 5 times a power of ten, such that about kTicks fit.
double TickStep(const Range& range) {
  const double raw = (range.high - range.low) / kTicks;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (times * power >= raw) return times * power;
  }
  return 10 * power;
}

using Points = std::vector<std::pair<double, double>>;

// Means over neighbours, so that long runs draw quickly.
Points Thinned(const Points& points) {
  Points finite;
  for (const auto& [x, y] : points) {
    if (std::isfinite(x) && std::isfinite(y)) finite.emplace_back(x, y);
  }
  if (finite.size() <= kPointsMax) return finite;
  const std::size_t n = (finite.size() + kPointsMax - 1) / kPointsMax;
  Points thin;
  for (std::size_t at = 0; at < finite.size(); at += n) {
    const std::size_t end = std::min(finite.size(), at + n);
    double x = 0, y = 0;
    for (std::size_t i = at; i < end; ++i) x += finite[i].first, y += finite[i].second;
    thin.emplace_back(x / static_cast<double>(end - at), y / static_cast<double>(end - at));
  }
  return thin;
}

double X(const Range& range, double x) {
  return kLeft + range.Place(x) * (kWidth - kLeft - kRight);
}
double Y(const Range& range, double y) {
  return kHeight - kBottom - range.Place(y) * (kHeight - kTop - kBottom);
}

std::string Axes(const Range& x, const Range& y) {
  std::string svg;
  const double y_step = TickStep(y), x_step = TickStep(x);
  for (double at = std::ceil(y.low / y_step) * y_step; at <= y.high + y_step * 1e-9; at += y_step) {
    const double shown = std::fabs(at) < y_step * 1e-9 ? 0 : at;
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text class=\"axis\" x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.4g}</text>",
        kLeft, kWidth - kRight, Y(y, at), kLeft - 6, Y(y, at) + 4, shown);
  }
  for (double at = std::ceil(x.low / x_step) * x_step; at <= x.high + x_step * 1e-9; at += x_step) {
    svg += fmt::format(
        "<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.6g}</text>",
        X(x, at), kHeight - kBottom + 18, at);
  }
  return svg + fmt::format("<path class=\"frame\" d=\"M{0:.1f} {1:.1f}V{2:.1f}H{3:.1f}\"/>", kLeft,
                           kTop, kHeight - kBottom, kWidth - kRight);
}

}  // namespace

const char* const kChartStyle =
    "svg{max-width:100%;height:auto;display:block}"
    ".axis{font:12px system-ui,sans-serif;fill:#57606a}.grid{stroke:#e4e8ec}"
    ".frame{fill:none;stroke:#8b949e}.line{fill:none;stroke-width:1.6}.dot{stroke:none}"
    ".s0{stroke:#0969da;fill:#0969da}.s1{stroke:#bc4c00;fill:#bc4c00}"
    ".s2{stroke:#1a7f37;fill:#1a7f37}.s3{stroke:#8250df;fill:#8250df}"
    ".s4{stroke:#bf3989;fill:#bf3989}.s5{stroke:#0a7a8a;fill:#0a7a8a}"
    ".s6{stroke:#9a6700;fill:#9a6700}.s7{stroke:#57606a;fill:#57606a}"
    ".line{fill:none}.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.2rem 0 1rem;"
    "padding:0;list-style:none;font-size:14px}.legend svg{display:inline-block;width:22px;"
    "height:8px;margin-right:.4rem;vertical-align:middle}"
    "@media(prefers-color-scheme:dark){.axis{fill:#9aa4af}.grid{stroke:#2b3138}"
    ".frame{stroke:#6e7781}.s0{stroke:#6cb6ff;fill:#6cb6ff}.s1{stroke:#f69d50;fill:#f69d50}"
    ".s2{stroke:#6bc46d;fill:#6bc46d}.s3{stroke:#dcbdfb;fill:#dcbdfb}"
    ".s4{stroke:#fc8dc7;fill:#fc8dc7}.s5{stroke:#56d4dd;fill:#56d4dd}"
    ".s6{stroke:#daaa3f;fill:#daaa3f}.s7{stroke:#9aa4af;fill:#9aa4af}.line{fill:none}}";

std::string SvgChart(const Chart& chart) {
  Range x, y;
  std::vector<Points> lines;
  for (const ChartSeries& series : chart.series) {
    lines.push_back(Thinned(series.points));
    for (const auto& [px, py] : lines.back()) x.Add(px), y.Add(py);
  }
  if (x.IsEmpty()) return {};
  x.Widen();
  y.Widen();
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"{2}\"><title>{2}</title>{3}", kWidth,
      kHeight, EscapeHtml(chart.title), Axes(x, y));
  std::string legend;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const std::size_t style = i % kClasses;
    std::string path;
    for (const auto& [px, py] : lines[i]) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", X(x, px), Y(y, py));
    }
    svg += fmt::format("<path class=\"line s{}\" d=\"{}\"/>", style, path);
    if (chart.series[i].dots || lines[i].size() == 1) {
      for (const auto& [px, py] : lines[i]) {
        svg += fmt::format("<circle class=\"dot s{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>", style,
                           X(x, px), Y(y, py));
      }
    }
    legend += fmt::format(
        "<li><svg viewBox=\"0 0 22 8\" aria-hidden=\"true\"><path class=\"line s{}\" "
        "d=\"M0 4H22\"/></svg>{}</li>",
        style, EscapeHtml(chart.series[i].name));
  }
  svg += fmt::format(
      "<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text></svg>",
      (kLeft + kWidth - kRight) / 2, kHeight - 8, EscapeHtml(chart.x_label));
  // One line is what the heading says.
  return lines.size() < 2 ? svg : svg + "<ul class=\"legend\">" + legend + "</ul>";
}

}  // namespace tatara::cli
