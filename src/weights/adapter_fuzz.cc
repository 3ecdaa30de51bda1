// libFuzzer target: whatever an adapter's files say, they are read or refused, and what is read
// fits together. The input is a list of changes to the bytes of an adapter that is right, in GGUF
// or in PEFT's folder, since random bytes would hardly ever get beyond the containers, which have
// fuzzers of their own.

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "gguf_builder.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/adapter_file.h"

namespace {

using namespace tatara::weights;  // NOLINT: a program of one file

constexpr int kRank = 2, kWidth = 8;

std::string Numbers(std::size_t count) {
  std::string bytes(count * sizeof(float), '\0');
  for (std::size_t i = 0; i < count; ++i) {
    const float value = 0.25F * static_cast<float>(i % 7) - 0.5F;
    std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
  }
  return bytes;
}

std::string GgufAdapter() {
  constexpr std::uint32_t kString = 8, kFloat = 6;
  test::GgufBuilder b;
  b.Counts(2, 4);
  b.Key("general.type", kString).PutString("adapter");
  b.Key("general.architecture", kString).PutString("llama");
  b.Key("adapter.type", kString).PutString("lora");
  b.Key("adapter.lora.alpha", kFloat).Put(8.0F);
  b.Tensor("blk.0.attn_q.weight.lora_a", {kWidth, kRank}, 0, 0);
  b.Tensor("blk.0.attn_q.weight.lora_b", {kRank, kWidth}, 0, 64);
  b.Data(0);
  return b.bytes() + Numbers(2 * kRank * kWidth);
}

std::string PeftTensors() {
  const std::string module = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
  const std::string header = "{\"" + module +
                             "A.weight\":{\"dtype\":\"F32\",\"shape\":[2,8],\"data_offsets\":"
                             "[0,64]},\"" +
                             module +
                             "B.weight\":{\"dtype\":\"F32\",\"shape\":[8,2],\"data_offsets\":"
                             "[64,128]},\"" +
                             module +
                             "magnitude_vector\":{\"dtype\":\"F32\",\"shape\":[8],"
                             "\"data_offsets\":[128,160]}}";
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header +
         Numbers(2 * kRank * kWidth + kWidth);
}

constexpr const char* kPeftConfig =
    R"({"peft_type":"LORA","r":2,"lora_alpha":4,"use_dora":true,"use_rslora":false,)"
    R"("target_modules":["q_proj"],"bias":"none","rank_pattern":{},"alpha_pattern":{},)"
    R"("modules_to_save":null,"fan_in_fan_out":false,"layers_to_transform":null})";

// Four bytes a change: what, where (two), with which byte.
void Change(std::string& bytes, const std::uint8_t* change) {
  if (bytes.empty()) return;
  const std::size_t at = (change[1] | change[2] << 8) % bytes.size();
  switch (change[0] % 4) {
    case 0:
      bytes[at] = static_cast<char>(change[3]);
      return;
    case 1:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << change[3] % 8));
      return;
    case 2:
      bytes.erase(at, 1 + change[3] % 16);
      return;
    default:
      bytes.insert(at, bytes.substr(at, 1 + change[3] % 32));
  }
}

void Write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

void Check(const std::filesystem::path& path) {
  tatara::Metadata model("model.gguf");
  model.Set("general.architecture", "llama");
  model.Set("llama.block_count", std::uint64_t{1});
  model.Set("llama.attention.head_count", std::uint64_t{2});
  model.Set("llama.attention.head_count_kv", std::uint64_t{2});
  const auto file = OpenAdapter(path, model);
  if (!file.ok()) {
    TATARA_CHECK(IsValidUtf8(file.error().text()) && !file.error().text().empty());
    return;
  }
  for (const auto& [name, part] : file->parts) {
    TATARA_CHECK(part.rank() > 0 && part.rank() <= kAdapterRankMax);
    TATARA_CHECK(part.b.n_cols == part.rank() && std::isfinite(part.scale));
    TATARA_CHECK(part.magnitude.empty() ||
                 part.magnitude.size() == static_cast<std::size_t>(part.b.n_rows));
    for (const AdapterMatrix* m : {&part.a, &part.b}) {
      TATARA_CHECK(m->data.size() == static_cast<std::size_t>(tatara::numerics::StorageBytes(
                                         m->dtype, m->n_rows * m->n_cols)));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("tatara-adapter-fuzz-" + std::to_string(getpid()));
  if (size == 0) return 0;
  const bool peft = (data[0] & 1) != 0;
  std::string first = peft ? PeftTensors() : GgufAdapter(), config = kPeftConfig;
  for (std::size_t i = 1; i + 4 <= std::min<std::size_t>(size, 65); i += 4) {
    Change(peft && (data[i] & 0x80) != 0 ? config : first, data + i);
  }
  std::filesystem::create_directories(folder / "peft");
  if (peft) {
    Write(folder / "peft" / "adapter_config.json", config);
    Write(folder / "peft" / "adapter_model.safetensors", first);
  } else {
    Write(folder / "adapter.gguf", first);
  }
  Check(peft ? folder / "peft" : folder / "adapter.gguf");
  return 0;
}
