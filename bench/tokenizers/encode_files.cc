// Encodes files with one thread and says how long it took: what tools/compare_tokenizers.py and
// bench/tokenizers/compare.py run. Built on demand: ninja tatara_encode_files.
//
//   tatara_encode_files TOKENIZER [--special] [--add] [--rounds N] [--ids] FILE...
//
//   tatara_encode_files --splits
//
// TOKENIZER: a GGUF file, or a tokenizer.json with, beside it, tokenizer_config.json. Prints a JSON
// value a line: {"file", "n_ids", "seconds" (of processor time, best
// of N rounds), "ids" where asked for, "same_text":
// whether decoding gave the bytes back}.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "named_splits.h"
#include "tatara/base/metadata.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/tensor_store.h"

namespace {

using namespace tatara;

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

Result<std::unique_ptr<text::Tokenizer>> Open(const std::filesystem::path& path) {
  if (path.extension() != ".json") {
    TATARA_TRY(const auto store, weights::OpenTensorStore(path));
    return text::Tokenizer::FromMetadata(store->metadata());
  }
  Metadata metadata(path.string());
  metadata.Set("tokenizer.huggingface.json", Read(path));
  const std::filesystem::path config = path.parent_path() / "tokenizer_config.json";
  if (std::filesystem::exists(config)) metadata.Set("tokenizer.huggingface.config", Read(config));
  return text::Tokenizer::FromMetadata(metadata);
}

// The expressions of every named pre-tokenizer, as one JSON object.
int PrintSplits() {
  nlohmann::json all = nlohmann::json::object();
  for (const std::string_view name : text::KnownSplitNames()) {
    const auto splits = text::SplitsOfName(name, "names");
    if (splits.ok()) all[std::string(name)] = splits->expressions;
  }
  std::printf("%s\n", all.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (std::string_view(argv[1]) == "--splits") return PrintSplits();
  const auto tokenizer = Open(argv[1]);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s\n", tokenizer.error().text().c_str());
    return 2;
  }
  text::EncodeOptions options{.add_start = false};
  int n_rounds = 1;
  bool shows_ids = false;
  for (int i = 2; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--special") {
      options.parse_special = true;
    } else if (argument == "--add") {
      options.add_start = options.add_end = true;
    } else if (argument == "--ids") {
      shows_ids = true;
    } else if (argument == "--rounds" && i + 1 < argc) {
      n_rounds = std::atoi(argv[++i]);
    } else {
      const std::string text = Read(argument);
      double best = 1e30;
      std::vector<std::int32_t> ids;
      for (int round = 0; round < n_rounds; ++round) {
        const std::clock_t start = std::clock();
        ids = (*tokenizer)->Encode(text, options);
        const double taken = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        best = std::min(best, taken);
      }
      nlohmann::json line = {{"file", argument}, {"n_ids", ids.size()}, {"seconds", best}};
      line["same_text"] = (*tokenizer)->Decode(ids, options.parse_special) == text;
      if (shows_ids) line["ids"] = ids;
      std::printf("%s\n", line.dump().c_str());
    }
  }
  return 0;
}
