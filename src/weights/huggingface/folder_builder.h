// For tests: folders in Hugging Face's form, made of the tensors of a GGUF file by changes that
// each test writes for itself, number by number.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "safetensors_builder.h"
#include "tatara/weights/tensor_store.h"
#include "test_store.h"

namespace tatara::weights::test {

using nlohmann::json;

struct Tensor {
  std::vector<std::int64_t> shape;  // slowest first
  std::vector<float> values;

  // Numbers of one index of the first dimension.
  std::int64_t width() const { return std::ssize(values) / shape[0]; }
};

inline Tensor Read(const TensorView& view) {
  Tensor out;
  for (int i = view.n_dims - 1; i >= 0; --i) {
    out.shape.push_back(view.shape[static_cast<std::size_t>(i)]);
  }
  out.values.resize(static_cast<std::size_t>(view.n_rows() * view.n_cols()));
  numerics::Dequantize(view.dtype, view.data, out.values);
  return out;
}

// Rows of `in` in the order that `rows` names.
inline Tensor Rows(const Tensor& in, const std::vector<std::int64_t>& rows) {
  Tensor out{in.shape, {}};
  out.shape[0] = std::ssize(rows);
  for (const std::int64_t row : rows) {
    const auto begin = in.values.begin() + row * in.width();
    out.values.insert(out.values.end(), begin, begin + in.width());
  }
  return out;
}

inline Tensor Below(Tensor top, const Tensor& bottom) {
  top.shape[0] += bottom.shape[0];
  top.values.insert(top.values.end(), bottom.values.begin(), bottom.values.end());
  return top;
}

// (a, b) -> (b, a), or of each a x b of (n, a, b).
inline Tensor Turned(const Tensor& in) {
  Tensor out = in;
  const std::size_t last = in.shape.size() - 1;
  std::swap(out.shape[last], out.shape[last - 1]);
  const std::int64_t a = in.shape[last - 1], b = in.shape[last];
  for (std::int64_t i = 0; i < std::ssize(in.values); ++i) {
    const std::int64_t of = i / (a * b), r = i / b % a, c = i % b;
    out.values[static_cast<std::size_t>(of * a * b + c * a + r)] =
        in.values[static_cast<std::size_t>(i)];
  }
  return out;
}

// The last dimension holds numbers of `a` and `b` in turn.
inline Tensor InTurn(const Tensor& a, const Tensor& b) {
  Tensor out{a.shape, {}};
  out.shape.back() *= 2;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    out.values.push_back(a.values[i]);
    out.values.push_back(b.values[i]);
  }
  return out;
}

inline std::vector<std::int64_t> Range(std::int64_t first, std::int64_t n) {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < n; ++i) rows.push_back(first + i);
  return rows;
}

inline void Append(std::vector<std::int64_t>& rows, std::int64_t first, std::int64_t n) {
  for (const std::int64_t row : Range(first, n)) rows.push_back(row);
}

using Names = std::map<std::string, std::string>;  // of GGUF, '#' the layer -> as published

inline const Names kEnds = {{"token_embd.weight", "model.embed_tokens.weight"},
                            {"output_norm.weight", "model.norm.weight"},
                            {"output.weight", "lm_head.weight"}};
inline const Names kAttention = {
    {"blk.#.attn_norm.weight", "model.layers.#.input_layernorm.weight"},
    {"blk.#.attn_q.weight", "model.layers.#.self_attn.q_proj.weight"},
    {"blk.#.attn_k.weight", "model.layers.#.self_attn.k_proj.weight"},
    {"blk.#.attn_v.weight", "model.layers.#.self_attn.v_proj.weight"},
    {"blk.#.attn_output.weight", "model.layers.#.self_attn.o_proj.weight"},
    {"blk.#.attn_q_norm.weight", "model.layers.#.self_attn.q_norm.weight"},
    {"blk.#.attn_k_norm.weight", "model.layers.#.self_attn.k_norm.weight"}};
inline const Names kDense = {
    {"blk.#.ffn_norm.weight", "model.layers.#.post_attention_layernorm.weight"},
    {"blk.#.ffn_gate.weight", "model.layers.#.mlp.gate_proj.weight"},
    {"blk.#.ffn_up.weight", "model.layers.#.mlp.up_proj.weight"},
    {"blk.#.ffn_down.weight", "model.layers.#.mlp.down_proj.weight"}};
inline const Names kExperts = {
    {"blk.#.ffn_gate_inp.weight", "model.layers.#.mlp.gate.weight"},
    {"blk.#.ffn_gate_exps.weight", "model.layers.#.mlp.experts.*.gate_proj.weight"},
    {"blk.#.ffn_up_exps.weight", "model.layers.#.mlp.experts.*.up_proj.weight"},
    {"blk.#.ffn_down_exps.weight", "model.layers.#.mlp.experts.*.down_proj.weight"}};

inline Names Joined(std::initializer_list<Names> parts) {
  Names all;
  for (const Names& part : parts) {
    for (const auto& [from, to] : part) all.insert_or_assign(from, to);
  }
  return all;
}

inline std::string With(std::string pattern, char sign, std::int64_t number) {
  const std::size_t at = pattern.find(sign);
  if (at != std::string::npos) pattern.replace(at, 1, std::to_string(number));
  return pattern;
}

// A folder that is made of a GGUF file's tensors: what Take has not, by its published name.
class Folder {
 public:
  Folder(const TensorStore& store, json config) : store_(store), config_(std::move(config)) {}

  bool Has(const std::string& name, std::int64_t layer) const {
    return store_.Find(With(name, '#', layer)) != nullptr;
  }
  const TensorView& View(const std::string& name, std::int64_t layer) {
    taken_.insert(With(name, '#', layer));
    return *store_.Find(With(name, '#', layer));
  }
  Tensor Take(const std::string& name, std::int64_t layer) { return Read(View(name, layer)); }
  void Add(const std::string& name, std::int64_t layer, const Tensor& tensor) {
    out_.Add(With(name, '#', layer), tensor.shape, tensor.values);
  }
  SafetensorsBuilder& out() { return out_; }
  std::int64_t n_layers() const { return n_layers_; }

  void AddNamed(const Names& names, std::int64_t n_layers) {
    n_layers_ = n_layers;
    for (const auto& [from, to] : names) {
      for (std::int64_t layer = 0; layer < (from[0] == 'b' ? n_layers : 1); ++layer) {
        if (!Has(from, layer) || taken_.contains(With(from, '#', layer))) continue;
        const Tensor tensor = Take(from, layer);
        if (to.find('*') == std::string::npos) {
          Add(to, layer, tensor);
          continue;
        }
        for (std::int64_t expert = 0; expert < tensor.shape[0]; ++expert) {
          Tensor one = Rows(tensor, {expert});
          one.shape.erase(one.shape.begin());
          Add(With(to, '*', expert), layer, one);
        }
      }
    }
  }

  // Opened as a folder it is the store again; `rounded`: endings of the names of those tensors
  // whose numbers are others as published.
  void ExpectBack(const std::vector<std::string>& rounded = {},
                  const std::set<std::string>& left_out = {}) const {
    const tatara::test::ScratchDir dir;
    WriteFile(dir.path() / "model.safetensors", out_.bytes());
    WriteFile(dir.path() / "config.json", config_.dump());
    const auto got = OpenTensorStore(dir.path());
    ASSERT_TRUE(got.ok()) << got.error().text();
    for (const auto& [name, view] : store_.tensors()) {
      const TensorView* other = (*got)->Find(name);
      ASSERT_NE(other, nullptr) << name;
      EXPECT_TRUE(other->dtype == view.dtype) << name;
      EXPECT_EQ(other->shape, view.shape) << name;
      const Tensor a = Read(view), b = Read(*other);
      ASSERT_EQ(a.values.size(), b.values.size()) << name;
      const bool near = std::ranges::any_of(
          rounded, [&](const std::string& ending) { return name.ends_with(ending); });
      for (std::size_t i = 0; i < a.values.size(); ++i) {
        const float bound = near ? 1e-6F * std::max(1.0F, std::abs(a.values[i])) : 0;
        ASSERT_NEAR(a.values[i], b.values[i], bound) << name << " " << i;
      }
    }
    EXPECT_EQ(store_.tensors().size(), (*got)->tensors().size());
    ExpectKeys((*got)->metadata(), left_out);
  }

 private:
  void ExpectKeys(const Metadata& got, const std::set<std::string>& left_out) const {
    const Metadata& want = store_.metadata();
    const std::string architecture = want.String("general.architecture").value();
    EXPECT_EQ(got.String("general.architecture").value(), architecture);
    for (const auto& [key, value] : want.values()) {
      if (!key.starts_with(architecture + ".")) continue;
      if (left_out.contains(key.substr(architecture.size() + 1))) continue;
      if (std::holds_alternative<std::string>(value)) {
        EXPECT_EQ(got.StringOr(key, "").value(), std::get<std::string>(value)) << key;
      } else if (const auto list = want.Ints(key)) {
        EXPECT_EQ(got.Ints(key), list) << key;
      } else if (const auto number = want.Float(key); number.ok()) {
        ASSERT_TRUE(got.Has(key)) << key;
        EXPECT_FLOAT_EQ(static_cast<float>(*got.Float(key)), static_cast<float>(*number)) << key;
      } else {
        EXPECT_EQ(got.BoolOr(key, !*want.Bool(key)).value(), *want.Bool(key)) << key;
      }
    }
  }

  const TensorStore& store_;
  json config_;
  SafetensorsBuilder out_;
  std::set<std::string> taken_;
  std::int64_t n_layers_ = 0;
};

inline std::unique_ptr<TensorStore> Open(const std::filesystem::path& path) {
  auto store = OpenTensorStore(path);
  EXPECT_TRUE(store.ok()) << store.error().text();
  return std::move(*store);
}

inline json Config(const char* architecture, const json& more) {
  json config = {{"architectures", {architecture}},
                 {"hidden_size", 48},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},
                 {"head_dim", 16},
                 {"max_position_embeddings", 256},
                 {"rms_norm_eps", 1e-5},
                 {"vocab_size", 272}};
  config.update(more);
  return config;
}

inline json Yarn(const json& more) {
  json yarn = {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
  yarn.update(more);
  return yarn;
}

// What opening a folder of that configuration says.
inline std::string RefusalOf(json config, const json& more) {
  const tatara::test::ScratchDir dir;
  config.update(more);
  WriteFile(dir.path() / "config.json", config.dump());
  WriteFile(dir.path() / "model.safetensors",
            SafetensorsBuilder().Add("model.norm.weight", {1}, {1}).bytes());
  const auto opened = OpenTensorStore(dir.path());
  return opened.ok() ? std::string("opened") : opened.error().text();
}

}  // namespace tatara::weights::test
