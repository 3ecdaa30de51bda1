// Any bytes in one of a checkpoint's files, or at a place of it: the checkpoint is loaded as it was
// or refused. The first byte chooses the file and what is done to it.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tatara/base/check.h"
#include "tatara/base/files.h"
#include "tatara/corpus/char_text.h"
#include "tatara/learn/checkpoint.h"

namespace {

namespace fs = std::filesystem;
using namespace tatara;
using namespace tatara::learn;

constexpr const char* kFiles[] = {"checkpoint.json", "weights.safetensors",
                                  "optimizer.safetensors"};

// A run with moments of one kind.
struct World {
  explicit World(const std::string& moments)
      : folder(fs::temp_directory_path() /
               ("tatara-checkpoint-fuzz-" + moments + std::to_string(getpid()))) {
    fs::create_directories(folder / "checkpoints");
    std::string text;
    for (int i = 0; i < 40; ++i) text += "iron sand ";
    std::ofstream(folder / "t.txt") << text;
    recipe = ParseRecipe(
                 "name = \"x\"\n[data]\ntext = \"t.txt\"\n[model]\nn_layers = 1\nn_embd = 8\n"
                 "n_heads = 2\nn_ctx = 8\nn_vocab = 16\n[optimizer]\naverage = \"lawa\"\n"
                 "average_every = 1\nmoments = \"" +
                     moments + "\"\n",
                 "x.toml", {})
                 .value();
    data = std::make_unique<corpus::CharText>(
        corpus::CharText::Read({.path = folder / "t.txt", .sha256 = "", .validation_fraction = 0.1})
            .value());
    trainer = std::move(Trainer::Make(recipe, *data, pool)).value();
    (void)trainer->Step(pool);
    info = {.step = 1, .recipe_digest = "r", .data_digest = "d"};
    TATARA_CHECK(SaveCheckpoint(folder, info, *trainer).ok());
    for (int i = 0; i < 3; ++i) {
      whole[i] = ReadWholeFile(CheckpointPath(folder, 1) / kFiles[i], 1 << 24).value();
    }
    digest = trainer->Digest();
  }
  ~World() { fs::remove_all(folder); }
  fs::path folder;
  ThreadPool pool{1};
  Recipe recipe;
  std::unique_ptr<corpus::TrainingSet> data;
  std::unique_ptr<Trainer> trainer;
  CheckpointInfo info;
  std::string whole[3], digest;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World worlds[] = {World("f32"), World("bf16")};
  if (size < 4) return 0;
  World& world = worlds[data[0] >> 6U & 1U];
  const int file = data[0] % 3;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 4, size - 4);
  std::string changed(bytes);
  if (data[0] & 0x80) {  // a stretch of the true file
    changed = world.whole[file];
    const std::size_t at = (data[1] | data[2] << 8U | data[3] << 16U) % changed.size();
    changed.replace(at, std::min(bytes.size(), changed.size() - at), bytes);
  }
  const fs::path path = CheckpointPath(world.folder, 1);
  std::ofstream(path / kFiles[file], std::ios::binary | std::ios::trunc) << changed;
  const auto loaded = LoadCheckpoint(path, world.info, *world.trainer);
  // A record may state other counts; weights that were changed are never taken.
  if (loaded.ok() && file > 0) TATARA_CHECK(world.trainer->Digest() == world.digest);
  if (!loaded.ok()) TATARA_CHECK(!loaded.error().text().empty());
  std::ofstream(path / kFiles[file], std::ios::binary | std::ios::trunc) << world.whole[file];
  return 0;
}
