#include "model_files.h"

#include <algorithm>
#include <string>

#include "trained_folder.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kEndingBytes = 20;  // "-00001-of-00003.gguf"

bool IsPartName(const std::string& name) {
  if (name.size() <= kEndingBytes || !name.ends_with(".gguf")) return false;
  const std::string ending = name.substr(name.size() - kEndingBytes);
  return ending[0] == '-' && ending.compare(6, 4, "-of-") == 0;
}

// The other parts are those of the same stem and the same number of parts.
std::vector<fs::path> PartsOf(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::string stem = name.substr(0, name.size() - kEndingBytes + 1);
  const std::string count = name.substr(name.size() - 14);
  std::vector<fs::path> parts;
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string other = entry.path().filename().string();
    if (IsPartName(other) && other.starts_with(stem) && other.ends_with(count) &&
        other.size() == name.size()) {
      parts.push_back(path.has_parent_path() ? entry.path() : entry.path().filename());
    }
  }
  return parts;
}

std::vector<fs::path> FolderFiles(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json",
                           "tokenizer_config.json", "chat_template.jinja", "modules.json",
                           "1_Pooling/config.json", "sentence_bert_config.json"}) {
    if (fs::is_regular_file(folder / name, error)) files.push_back(folder / name);
  }
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("model") &&
        (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))) {
      files.push_back(entry.path());
    }
  }
  return files;
}

}  // namespace

bool IsModelFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error) &&
         (fs::is_regular_file(path / "config.json", error) || IsTrainedFolder(path));
}

std::vector<fs::path> FilesOfModel(const fs::path& path) {
  const std::string name = path.filename().string();
  std::vector<fs::path> files;
  if (IsTrainedFolder(path)) {
    if (auto trained = FilesOfTrained(path); trained.ok()) files = std::move(trained).value();
  } else if (IsModelFolder(path)) {
    files = FolderFiles(path);
  } else if (name == "config.json" || name == "model.safetensors.index.json") {
    files = FolderFiles(path.parent_path());
  } else if (IsPartName(name)) {
    files = PartsOf(path);
  }
  if (files.empty()) files.push_back(path);
  std::ranges::sort(files);
  return files;
}

}  // namespace tatara::weights
