// A small text to train on, and how far a run's folder says that it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace tatara::test {

inline std::string TrainingText() {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "iron sand " + std::to_string(i * i) + "\n";
  return text;
}

// Of the last whole line of metrics.jsonl; 0 where there is none yet.
inline std::int64_t LastStep(const std::filesystem::path& run) {
  std::ifstream file(run / "metrics.jsonl");
  std::string line;
  std::int64_t step = 0;
  while (std::getline(file, line)) {
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object()) step = json["step"].get<std::int64_t>();
  }
  return step;
}

}  // namespace tatara::test
