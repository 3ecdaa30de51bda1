// Line charts as SVG, for pages that use no network. Colours come from the page's style (classes
// s0 … s7, axis, grid).
// Thread safety: free functions and values.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tatara::cli {

struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x ascending; what is not finite is left out
  bool dots = false;
};

struct Chart {
  std::string title, x_label;
  std::vector<ChartSeries> series;
};

// Empty where no series has a point.
std::string SvgChart(const Chart& chart);
// The classes that the charts use, light and dark.
extern const char* const kChartStyle;

}  // namespace tatara::cli
