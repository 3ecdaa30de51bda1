// What every architecture refuses: each tiny model of the data with one thing wrong. A missing or
// misshapen tensor and a strange key are refused, the tensor by its name; nothing aborts, whatever
// a key says.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "arch_models.h"
#include "tatara/base/philox.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/model.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara::test {
namespace {

using weights::TensorView;

// Another store's content, which a test may change.
class SpoiledStore final : public weights::TensorStore {
 public:
  explicit SpoiledStore(const weights::TensorStore& store)
      : path_(store.path()), metadata_(store.metadata()), tensors_(store.tensors()) {}
  const Metadata& metadata() const override { return metadata_; }
  const std::map<std::string, TensorView, std::less<>>& tensors() const override {
    return tensors_;
  }
  const std::filesystem::path& path() const override { return path_; }
  Metadata& keys() { return metadata_; }
  void Forget(const std::string& key) {
    Metadata others(metadata_.origin());
    for (const auto& [name, value] : metadata_.values()) {
      if (name != key) others.Set(name, value);
    }
    metadata_ = std::move(others);
  }
  std::map<std::string, TensorView, std::less<>>& all() { return tensors_; }

 private:
  std::filesystem::path path_;
  Metadata metadata_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

class Refusals : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    TATARA_REQUIRE_DATA(folder, "golden/arch");
    auto opened = weights::OpenTensorStore(folder / (std::string(GetParam()) + ".gguf"));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    whole_ = std::move(*opened);
  }
  // The refusal's text; empty where the spoiled file loads. Then it runs, too.
  std::string Refusal(const std::function<void(SpoiledStore&)>& spoil) {
    auto store = std::make_shared<SpoiledStore>(*whole_);
    spoil(*store);
    const auto model = model::Model::Load(store, {}, pool_);
    if (!model.ok()) return model.error().text();
    const auto& info = (*model)->info();
    const auto kv = model::KvPool::Make(info.cache, (*model)->cache_type(), 2, info.page_tokens);
    if (!kv.ok() || info.n_vocab < 5) return {};
    std::vector<float> logits(static_cast<std::size_t>(info.n_vocab));
    const std::vector<std::int32_t> first{1, 2, 3}, second{4}, rows{0};
    const std::vector<int> pages{1, 0};
    const model::SequenceSlice start{first, 0, pages, {}}, next{second, 3, pages, rows};
    (*model)->Forward({&start, 1}, **kv, pool_, {});
    (*model)->Forward({&next, 1}, **kv, pool_, logits);
    return {};
  }
  // Whether a tensor belongs to a layer that predicts further ahead and is not run.
  bool IsLeftOut(const std::string& name) const {
    const std::string prefix = ArchitectureName() + ".";
    const auto n_ahead = whole_->metadata().IntOr(prefix + "nextn_predict_layers", 0);
    const auto n_layers = whole_->metadata().IntOr(prefix + "block_count", 0);
    if (!n_ahead.ok() || !n_layers.ok()) return false;
    for (std::int64_t layer = *n_layers - *n_ahead; layer < *n_layers; ++layer) {
      if (name.starts_with("blk." + std::to_string(layer) + ".")) return true;
    }
    return false;
  }
  std::string ArchitectureName() const {
    auto name = whole_->metadata().String("general.architecture");
    return name.ok() ? *name : "";
  }

  std::unique_ptr<weights::TensorStore> whole_;
  ThreadPool pool_{1};
};

// Absent in some published files of the same architecture, or said by another name.
bool IsOptional(std::string_view name) {
  static constexpr std::array kOptional = {"output.weight",       "rope_freqs.weight",
                                           "attn_v.weight",       "rope_factors_long.weight",
                                           "attn_q_norm.weight",  "rope_factors_short.weight",
                                           "attn_k_norm.weight",  "layer_output_scale.weight",
                                           "ffn_down_exps.scale", "ffn_gate_up_exps.weight",
                                           "ffn_gate_inp.weight", ".bias"};
  return std::ranges::any_of(kOptional, [&](std::string_view end) { return name.ends_with(end); });
}

TEST_P(Refusals, AMissingTensorIsNamed) {
  for (const auto& [name, view] : whole_->tensors()) {
    if (IsLeftOut(name)) continue;
    const std::string text = Refusal([&](SpoiledStore& s) { s.all().erase(name); });
    if (text.empty()) {
      EXPECT_TRUE(IsOptional(name)) << name << " is missing, and nobody says so";
    } else {
      const std::string block = name.substr(0, name.rfind('.'));
      EXPECT_TRUE(text.find(block) != std::string::npos || IsOptional(name))
          << name << ": " << text;
    }
  }
}

TEST_P(Refusals, ATensorWithAColumnLessIsNamed) {
  for (const auto& [name, view] : whole_->tensors()) {
    const std::int64_t block = numerics::TraitsOf(view.dtype).block_elements;
    if (view.shape[0] <= block || name == "token_embd.weight" || IsLeftOut(name)) {
      continue;
    }
    const std::string text = Refusal([&](SpoiledStore& s) {
      TensorView& spoiled = s.all().at(name);
      spoiled.shape[0] -= block;
      spoiled.data = spoiled.data.first(static_cast<std::size_t>(
          numerics::StorageBytes(view.dtype, spoiled.n_rows() * spoiled.n_cols())));
    });
    EXPECT_NE(text.find(name), std::string::npos) << name << ": '" << text << "'";
  }
}

TEST_P(Refusals, ATensorAndAKeyThatNobodyKnowsAreNamed) {
  EXPECT_NE(Refusal([&](SpoiledStore& s) {
              s.all()["blk.0.unheard_of.weight"] = s.all().at("output_norm.weight");
            }).find("blk.0.unheard_of.weight"),
            std::string::npos);
  const std::string key = ArchitectureName() + ".unheard_of";
  EXPECT_NE(
      Refusal([&](SpoiledStore& s) { s.keys().Set(key, std::uint64_t{1}); }).find("unheard_of"),
      std::string::npos);
}

// What a hostile file may say for a number.
TEST_P(Refusals, NoKeyMakesLoadingAbort) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<Metadata::Value> strange = {std::uint64_t{0},
                                                std::uint64_t{1},
                                                std::uint64_t{7},
                                                std::uint64_t{1} << 31,
                                                std::numeric_limits<std::uint64_t>::max(),
                                                std::int64_t{-1},
                                                0.0,
                                                -1.0,
                                                infinity,
                                                -std::numeric_limits<double>::quiet_NaN(),
                                                std::string("yarn"),
                                                std::vector<std::int64_t>{},
                                                std::vector<std::int64_t>(3, 1),
                                                true};
  const std::string prefix = ArchitectureName() + ".";
  for (const auto& [name, value] : whole_->metadata().values()) {
    if (!name.starts_with(prefix)) continue;
    Refusal([&](SpoiledStore& s) { s.Forget(name); });
    for (const Metadata::Value& other : strange) {
      const std::string text = Refusal([&](SpoiledStore& s) { s.keys().Set(name, other); });
      EXPECT_TRUE(text.empty() || text.find(".gguf") != std::string::npos) << name << ": " << text;
    }
  }
}

// Several changes at once, at random: keys get small numbers, so that the sizes of a file often
// still agree, and what loads runs.
TEST_P(Refusals, NoMixtureOfKeysMakesLoadingOrRunningAbort) {
  const std::string prefix = ArchitectureName() + ".";
  std::vector<std::string> names = {
      prefix + "nextn_predict_layers", prefix + "full_attention_interval",
      prefix + "attention.shared_kv_layers", prefix + "leading_dense_block_count"};
  for (const auto& [name, value] : whole_->metadata().values()) {
    if (name.starts_with(prefix)) names.push_back(name);
  }
  std::vector<std::string> tensors;
  for (const auto& [name, view] : whole_->tensors()) tensors.push_back(name);
  const std::uint64_t n_rounds = RunAll() ? 5000 : 100;
  for (std::uint64_t round = 0; round < n_rounds; ++round) {
    const auto words = RandomWords({.seed = 7, .purpose = RandomPurpose::kTest, .position = round});
    Refusal([&](SpoiledStore& s) {
      for (std::uint32_t change = 0; change < 1 + words[0] % 3; ++change) {
        const std::uint32_t choice = words[1] >> (8 * change);
        const std::string& key = names[choice % names.size()];
        const std::uint64_t value = (words[2] >> (8 * change)) % 256;
        const Metadata::Value small = std::uint64_t{value < 64 ? value % 5 : value};
        const Metadata::Value real = static_cast<double>(value) / 16;
        s.keys().Set(key, value % 7 == 0 ? real : small);
      }
      if (words[0] >> 31 == 0) return;
      // A matrix in another's place.
      const std::string& first = tensors[words[3] % tensors.size()];
      s.all()[first] = s.all()[tensors[(words[3] >> 16) % tensors.size()]];
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Refusals, ::testing::ValuesIn(kDecoderModels),
                         [](const ::testing::TestParamInfo<const char*>& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tatara::test
