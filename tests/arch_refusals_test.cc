// Whatever a file of a known architecture says, it is refused by the name of what is wrong, or
// runs: every tiny model of the data with each of its tensors missing or of another shape, with
// keys and tensors that nobody knows, and with each of its keys spoiled.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "arch_models.h"
#include "changed_store.h"
#include "tatara/base/philox.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/encoder.h"
#include "tatara/model/model.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara::test {
namespace {

class EveryArchitecture : public ::testing::TestWithParam<const char*> {
 protected:
  void Open() {
    auto store =
        weights::OpenTensorStore(DataDir() / "golden/arch" / (std::string(GetParam()) + ".gguf"));
    ASSERT_TRUE(store.ok()) << store.error().text();
    file_ = std::move(*store);
    architecture_ = *file_->metadata().String("general.architecture");
  }
  std::shared_ptr<ChangedStore> Changed() const { return std::make_shared<ChangedStore>(file_); }
  // The refusal's text; empty where the model loads. It runs then, a few tokens.
  std::string Refusal(const std::shared_ptr<ChangedStore>& store) {
    if (model::Encoder::IsEncoder(file_->metadata())) return RefusalOfEncoder(store);
    auto model = model::Model::Load(store, {.activations = numerics::Activations::kF32}, pool_);
    if (!model.ok()) return model.error().text();
    const auto& info = (*model)->info();
    if (model::KvPool::BytesPerPage(info.cache, (*model)->cache_type()) > (1U << 26)) return "";
    const auto kv = model::KvPool::Make(info.cache, (*model)->cache_type(), 2);
    EXPECT_TRUE(kv.ok());
    const std::vector<std::int32_t> tokens = {0, info.n_vocab - 1, 0}, rows = {0, 2};
    const std::vector<int> pages = {1, 0};
    const model::SequenceSlice slice{tokens, 0, pages, rows};
    std::vector<float> logits(2 * static_cast<std::size_t>(info.n_vocab));
    (*model)->Forward({&slice, 1}, **kv, pool_, logits);
    return "";
  }

  std::string RefusalOfEncoder(const std::shared_ptr<ChangedStore>& store) {
    auto encoder = model::Encoder::Load(store, {.activations = numerics::Activations::kF32}, pool_);
    if (!encoder.ok()) return encoder.error().text();
    const auto& info = (*encoder)->info();
    std::vector<std::int32_t> tokens = {0, info.n_vocab - 1, 0};
    tokens.resize(std::min<std::size_t>(tokens.size(), static_cast<std::size_t>(info.n_ctx)));
    const model::EncoderInput input{.tokens = tokens, .second_segment = 1};
    std::vector<float> vector(static_cast<std::size_t>(info.n_embd));
    EXPECT_TRUE((*encoder)->Encode({&input, 1}, model::Pooling::kMean, pool_, vector).ok());
    return "";
  }

  std::shared_ptr<const weights::TensorStore> file_;
  std::string architecture_;
  ThreadPool pool_{1};
};

bool EndsWith(const std::string& name, std::initializer_list<const char*> ends) {
  return std::ranges::any_of(ends, [&](const char* end) { return name.ends_with(end); });
}

TEST_P(EveryArchitecture, RefusesAMissingTensorByName) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  Open();
  for (const auto& [name, view] : file_->tensors()) {
    const auto store = Changed();
    store->Remove(name);
    const std::string text = Refusal(store);
    if (text.empty()) {  // another published form of the same architecture, or a layer not run
      const bool optional = EndsWith(name, {".bias", "output.weight", "rope_freqs.weight"});
      const bool of_gemma4 =
          EndsWith(name, {".attn_v.weight", ".layer_output_scale.weight", "_exps.scale"});
      // BERT's token types and projections' biases are optional; ModernBERT's norms have no biases.
      const bool of_encoders = name == "token_types.weight";
      EXPECT_TRUE(optional || of_encoders || (architecture_ == "gemma4" && of_gemma4) ||
                  (architecture_ == "glm4moe" && name.starts_with("blk.2.")))
          << name;
      continue;
    }
    // Where a pair is missing in part, the other half is what is of no use.
    const std::string block = name.substr(0, name.rfind('.', name.rfind('.') - 1));
    EXPECT_NE(text.find(name.starts_with("blk.") ? block : name), std::string::npos)
        << name << ": " << text;
  }
}

TEST_P(EveryArchitecture, RefusesATensorOfAnotherShapeByName) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  Open();
  for (const auto& [name, view] : file_->tensors()) {
    const int dimension = view.n_dims - 1;
    if (view.shape[static_cast<std::size_t>(dimension)] < 2) continue;
    const auto store = Changed();
    weights::TensorView& less = store->At(name);
    less.shape[static_cast<std::size_t>(dimension)] -= 1;
    less.data = less.data.first(static_cast<std::size_t>(
        numerics::StorageBytes(less.dtype, less.n_rows() * less.n_cols())));
    const std::string text = Refusal(store);
    if (text.empty()) {  // rows of the embedding are the vocabulary; other layers are not run
      EXPECT_TRUE(name == "token_embd.weight" || name == "token_types.weight" ||
                  std::string(GetParam()) == "glm4moe")
          << name;
      continue;
    }
    if (name != "token_embd.weight") {
      EXPECT_NE(text.find(name), std::string::npos) << name << ": " << text;
    }
  }
}

TEST_P(EveryArchitecture, RefusesWhatItDoesNotKnowByName) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  Open();
  auto store = Changed();
  EXPECT_EQ(Refusal(store), "");
  store->Set(architecture_ + ".attention.something_new", std::uint64_t{1});
  EXPECT_NE(Refusal(store).find(architecture_ + ".attention.something_new"), std::string::npos);
  for (const char* name : {"blk.0.something_new.weight", "something_new", "blk.99.attn_q.weight"}) {
    store = Changed();
    store->Add(name, file_->tensors().begin()->second);
    EXPECT_NE(Refusal(store).find(name), std::string::npos) << name;
  }
}

TEST_P(EveryArchitecture, RunsOrRefusesWhateverAKeySays) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  Open();
  const std::vector<Metadata::Value> values = {std::uint64_t{0},
                                               std::uint64_t{1},
                                               std::uint64_t{3},
                                               std::uint64_t{1} << 31,
                                               std::numeric_limits<std::uint64_t>::max(),
                                               std::int64_t{-1},
                                               0.0,
                                               -1.0,
                                               1e-30,
                                               0.37,
                                               1e30,
                                               std::numeric_limits<double>::quiet_NaN(),
                                               std::numeric_limits<double>::infinity(),
                                               true,
                                               false,
                                               std::string(),
                                               std::string("yarn"),
                                               std::vector<std::int64_t>{},
                                               std::vector<std::int64_t>{0, 1},
                                               std::vector<std::int64_t>{-1, 1LL << 40, 3},
                                               std::vector<bool>{true, false, true},
                                               std::vector<double>{0.5}};
  const std::string prefix = architecture_ + ".";
  int n_refused = 0;
  for (const auto& [key, old] : file_->metadata().values()) {
    if (!key.starts_with(prefix)) continue;
    for (const Metadata::Value& value : values) {
      const auto store = Changed();
      store->Set(key, value);
      n_refused += Refusal(store).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(n_refused, 50);
}

// Several changes at once, at random: keys get small numbers, so that the sizes of a file often
// still agree, and sometimes one tensor stands in another's place.
TEST_P(EveryArchitecture, RunsOrRefusesMixturesOfChanges) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  Open();
  const std::string prefix = architecture_ + ".";
  std::vector<std::string> keys = {
      prefix + "nextn_predict_layers", prefix + "full_attention_interval",
      prefix + "attention.shared_kv_layers", prefix + "leading_dense_block_count"};
  for (const auto& [key, value] : file_->metadata().values()) {
    if (key.starts_with(prefix)) keys.push_back(key);
  }
  std::vector<std::string> tensors;
  for (const auto& [name, view] : file_->tensors()) tensors.push_back(name);
  const std::uint64_t n_rounds = RunAll() ? 5000 : 100;
  for (std::uint64_t round = 0; round < n_rounds; ++round) {
    const auto words = RandomWords({.seed = 7, .purpose = RandomPurpose::kTest, .position = round});
    const auto store = Changed();
    for (std::uint32_t change = 0; change < 1 + words[0] % 3; ++change) {
      const std::uint64_t value = (words[2] >> (8 * change)) % 256;
      const Metadata::Value small = std::uint64_t{value < 64 ? value % 5 : value};
      const Metadata::Value real = static_cast<double>(value) / 16;
      store->Set(keys[(words[1] >> (8 * change)) % keys.size()], value % 7 == 0 ? real : small);
    }
    if (words[0] >> 31 != 0) {
      const weights::TensorView other = store->At(tensors[(words[3] >> 16) % tensors.size()]);
      store->At(tensors[words[3] % tensors.size()]) = other;
    }
    Refusal(store);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EveryArchitecture, ::testing::ValuesIn(kDecoderModels),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

INSTANTIATE_TEST_SUITE_P(Encoders, EveryArchitecture, ::testing::ValuesIn(kEncoderModels),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace tatara::test
