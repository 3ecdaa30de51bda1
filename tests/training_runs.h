// A small text to train on, how far a run's folder says that it is, and processes under mpirun.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "program.h"

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

// Whether runs can be shared by processes here; mpirun refuses root unless it is told twice.
inline bool AllowWorkers(Program& tatara) {
  tatara.environment()["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
  tatara.environment()["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
  return std::filesystem::exists(std::filesystem::path(TATARA_PROGRAM).parent_path() /
                                 "tatara-mpi") &&
         std::system("command -v mpirun > /dev/null") == 0;
}

}  // namespace tatara::test
