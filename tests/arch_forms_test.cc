// Other forms in which files of the same architecture hold the same weights: the same bits come
// out.

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "changed_store.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/model.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara::test {
namespace {

std::vector<float> Logits(std::shared_ptr<const weights::TensorStore> store) {
  ThreadPool pool(1);
  auto model = model::Model::Load(std::move(store), {}, pool);
  EXPECT_TRUE(model.ok()) << model.error().text();
  if (!model.ok()) return {};
  const auto& info = (*model)->info();
  auto kv = model::KvPool::Make(info.cache, (*model)->cache_type(), 1, info.page_tokens);
  EXPECT_TRUE(kv.ok());
  std::vector<std::int32_t> tokens, rows;
  for (std::int32_t i = 0; i < 24; ++i) {
    tokens.push_back((11 * i + 5) % info.n_vocab);
    rows.push_back(i);
  }
  const std::vector<int> pages = {0};
  const model::SequenceSlice slice{tokens, 0, pages, rows};
  std::vector<float> logits(tokens.size() * static_cast<std::size_t>(info.n_vocab));
  (*model)->Forward({&slice, 1}, **kv, pool, logits);
  return logits;
}

// Key head after key head: query, key, values and gates of its value heads.
TEST(OtherForms, Qwen3NextWithOneMatrixForWhatEntersTheDeltaNet) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  auto opened = weights::OpenTensorStore(folder / "qwen3next.gguf");
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  const std::shared_ptr<const weights::TensorStore> file = std::move(*opened);
  const auto number = [&](const char* key) {
    return static_cast<std::size_t>(*file->metadata().Int(std::string("qwen3next.") + key));
  };
  const std::size_t n_keys = number("ssm.group_count"), size = number("ssm.state_size");
  const std::size_t values = number("ssm.inner_size") / n_keys;
  const auto store = std::make_shared<ChangedStore>(file);
  std::vector<std::vector<std::byte>> kept;
  kept.reserve(number("block_count"));
  for (std::size_t i = 0; i < number("block_count"); ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    const weights::TensorView* qkv = file->Find(block + "attn_qkv.weight");
    const weights::TensorView* gate = file->Find(block + "attn_gate.weight");
    if (qkv == nullptr || gate == nullptr) continue;
    ASSERT_EQ(qkv->dtype, numerics::DType::kF32);
    const std::size_t row_bytes = static_cast<std::size_t>(qkv->n_cols()) * sizeof(float);
    std::vector<std::byte>& fused = kept.emplace_back();
    const auto take = [&](const weights::TensorView& from, std::size_t first, std::size_t n) {
      const ByteSpan rows = from.data.subspan(first * row_bytes, n * row_bytes);
      fused.insert(fused.end(), rows.begin(), rows.end());
    };
    for (std::size_t key = 0; key < n_keys; ++key) {
      take(*qkv, key * size, size);
      take(*qkv, (n_keys + key) * size, size);
      take(*qkv, 2 * n_keys * size + key * values, values);
      take(*gate, key * values, values);
    }
    weights::TensorView view = *qkv;
    view.shape[1] += gate->shape[1];
    view.data = fused;
    store->Add(block + "ssm_in.weight", view);
    store->Remove(block + "attn_qkv.weight");
    store->Remove(block + "attn_gate.weight");
  }
  ASSERT_EQ(kept.size(), 3U);
  const std::vector<float> expected = Logits(file), got = Logits(store);
  ASSERT_EQ(expected.size(), got.size());
  EXPECT_EQ(std::memcmp(expected.data(), got.data(), got.size() * sizeof(float)), 0);
}

}  // namespace
}  // namespace tatara::test
