// PEFT folders against PEFT's own arithmetic: the published matrices, rows in their published
// order, are changed in f64 inside an exported folder, and the model that it makes is compared with
// the folder's adapter beside the original model and merged into it.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "adapter_files.h"
#include "golden_support.h"
#include "tatara/model/adapter.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/hf_export.h"

namespace tatara::test {
namespace {

using nlohmann::json;

constexpr double kBound = 2e-5;  // of the logits' standard deviation: rounding alone

// A safetensors file of F32 tensors, held and written back.
struct Tensors {
  json header = json::object();
  std::string data;

  static Tensors Read(const std::filesystem::path& path) {
    const std::string bytes = ReadFile(path);
    const auto n = LoadLe<std::uint64_t>(bytes.data());
    return {json::parse(bytes.substr(8, n)), bytes.substr(8 + n)};
  }
  void Write(const std::filesystem::path& path) const {
    const std::string text = header.dump();
    const std::uint64_t n = text.size();
    std::ofstream(path, std::ios::binary)
        << std::string(reinterpret_cast<const char*>(&n), sizeof n) << text << data;
  }
  float* Values(const std::string& name) {
    return reinterpret_cast<float*>(data.data() +
                                    header.at(name).at("data_offsets")[0].get<std::size_t>());
  }
  std::vector<std::int64_t> Shape(const std::string& name) const {
    return header.at(name).at("shape").get<std::vector<std::int64_t>>();
  }
  void Add(const std::string& name, const std::vector<std::int64_t>& shape,
           const std::vector<float>& values) {
    const std::size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  }
};

std::vector<float> RandomValues(LoraNumbers& numbers, std::int64_t n, float middle = 0) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = middle + numbers.Next();
  return values;
}

struct PeftOptions {
  bool dora = false;
  bool rank_stabilised = false;
};

// Every projection of every layer gets a change of rank 3: written as PEFT would save it, and added
// to `published` as PEFT would merge it.
void WritePeft(const std::filesystem::path& folder, const PeftOptions& options,
               Tensors& published) {
  constexpr std::int64_t kRank = 3;
  constexpr double kAlpha = 2;
  const double scale = kAlpha / (options.rank_stabilised ? std::sqrt(3.0) : 3.0);
  LoraNumbers numbers(7);
  Tensors adapter;
  for (const auto& [name, entry] : published.header.items()) {
    if (!name.ends_with("_proj.weight")) continue;
    const auto shape = published.Shape(name);
    const auto n_out = static_cast<std::size_t>(shape[0]),
               n_in = static_cast<std::size_t>(shape[1]);
    const auto a = RandomValues(numbers, kRank * shape[1]);
    const auto b = RandomValues(numbers, shape[0] * kRank);
    const auto magnitude = RandomValues(numbers, shape[0], 1.2F);
    const std::string module = "base_model.model." + name.substr(0, name.size() - 7);
    adapter.Add(module + ".lora_A.weight", {kRank, shape[1]}, a);
    adapter.Add(module + ".lora_B.weight", {shape[0], kRank}, b);
    if (options.dora) adapter.Add(module + ".lora_magnitude_vector", {shape[0]}, magnitude);
    float* w = published.Values(name);
    for (std::size_t o = 0; o < n_out; ++o) {
      std::vector<double> row(n_in);
      double squares = 0;
      for (std::size_t i = 0; i < n_in; ++i) {
        double product = 0;
        for (std::size_t r = 0; r < kRank; ++r) {
          product += double{b[o * kRank + r]} * double{a[r * n_in + i]};
        }
        row[i] = double{w[o * n_in + i]} + scale * product;
        squares += row[i] * row[i];
      }
      const double ratio = options.dora ? magnitude[o] / std::sqrt(squares) : 1;
      for (std::size_t i = 0; i < n_in; ++i) {
        w[o * n_in + i] = static_cast<float>(ratio * row[i]);
      }
    }
  }
  std::filesystem::create_directory(folder);
  adapter.Write(folder / "adapter_model.safetensors");
  std::ofstream(folder / "adapter_config.json") << json{
      {"peft_type", "LORA"},      {"r", kRank},     {"lora_alpha", kAlpha},
      {"use_dora", options.dora}, {"bias", "none"}, {"use_rslora", options.rank_stabilised}};
}

std::vector<float> Logits(model::Model& model, const model::Adapter* adapter, ThreadPool& pool) {
  auto kv = model::KvPool::Make(model.info().cache, model.cache_type(), 1);
  const std::vector<std::int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}, rows = {0, 5, 10};
  const std::vector<int> pages = {0};
  const model::SequenceSlice slice{tokens, 0, pages, rows, adapter};
  std::vector<float> out(3 * static_cast<std::size_t>(model.info().n_vocab));
  model.Forward({&slice, 1}, **kv, pool, out);
  return out;
}

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    squares += double{b[i]} * b[i];
    worst = std::max(worst, std::abs(double{a[i]} - b[i]));
  }
  return worst / std::sqrt(squares / static_cast<double>(b.size()));
}

TEST(Peft, FoldersMeanWhatPeftComputes) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  ThreadPool pool(1);
  for (const char* name : {"llama_linear", "qwen3", "gemma3"}) {
    for (const PeftOptions& options :
         {PeftOptions{}, PeftOptions{.dora = true}, PeftOptions{.rank_stabilised = true}}) {
      const ScratchDir scratch;
      auto opened = weights::OpenTensorStore(folder / (std::string(name) + ".gguf"));
      ASSERT_TRUE(opened.ok());
      const std::shared_ptr<const weights::TensorStore> store = std::move(*opened);
      const auto exported = weights::ExportHuggingFace(*store, scratch.path() / "hf", {});
      ASSERT_TRUE(exported.ok()) << exported.error().text();
      const auto shard = scratch.path() / "hf" / "model.safetensors";
      Tensors published = Tensors::Read(shard);
      WritePeft(scratch.path() / "peft", options, published);
      published.Write(shard);

      const auto load = [&](std::shared_ptr<const weights::TensorStore> from,
                            model::MergeOptions merge) {
        auto model = model::Model::Load(
            std::move(from), {.activations = numerics::Activations::kF32, .merge = merge}, pool);
        EXPECT_TRUE(model.ok()) << model.error().text();
        return std::move(*model);
      };
      auto changed = weights::OpenTensorStore(scratch.path() / "hf");
      ASSERT_TRUE(changed.ok()) << changed.error().text();
      const auto expected = Logits(*load(std::move(*changed), {}), nullptr, pool);
      const auto file = weights::OpenAdapter(scratch.path() / "peft", store->metadata());
      ASSERT_TRUE(file.ok()) << file.error().text();
      const auto base = load(store, {});
      const auto adapter = model::Adapter::Make(*file, *base, 1, pool);
      ASSERT_TRUE(adapter.ok()) << adapter.error().text();
      EXPECT_LT(Distance(Logits(*base, adapter->get(), pool), expected), kBound) << name;
      EXPECT_LT(Distance(Logits(*load(store, {.adapter = &*file}), nullptr, pool), expected),
                kBound)
          << name;
      EXPECT_GT(Distance(Logits(*base, nullptr, pool), expected), 0.1) << name;
    }
  }
}

}  // namespace
}  // namespace tatara::test
