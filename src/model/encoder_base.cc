#include "encoder_base.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tatara/base/check.h"
#include "tatara/base/utf8.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

constexpr int kSegmentsMax = 16;
constexpr int kClassesMax = 65536;
// Alike for keys and values: ALiBi's distances are exact below it.
constexpr std::int64_t kEncoderContextMax = std::int64_t{1} << 24;

Result<Pooling> ReadPooling(Keys& keys) {
  TATARA_TRY(const std::int64_t pooling, keys.IntOr("pooling_type", 1, {0, 4}));
  constexpr Pooling kByNumber[] = {Pooling::kNone, Pooling::kMean, Pooling::kFirst, Pooling::kLast,
                                   Pooling::kFirst};
  return kByNumber[pooling];
}

}  // namespace

Result<EncoderConfig> ReadEncoderConfig(Keys& keys) {
  EncoderConfig c;
  TATARA_TRY(c.n_layers, keys.Int("block_count", {1, kLayersMax}));
  TATARA_TRY(c.n_embd, keys.Int("embedding_length", {1, kEmbdMax}));
  TATARA_TRY(c.n_ff, keys.Int("feed_forward_length", {1, kFfMax}));
  TATARA_TRY(c.n_heads, keys.Int("attention.head_count", {1, kHeadsMax}));
  TATARA_RETURN_IF_ERROR(keys.OnlyInt("attention.head_count_kv", c.n_heads));
  if (c.n_embd % c.n_heads != 0 || c.n_embd / c.n_heads > kHeadDimMax) {
    return Refuse("{0}: embeddings of {1} cannot be cut into {2} heads (key '{3}')", keys.origin(),
                  c.n_embd, c.n_heads, keys.FullName("attention.head_count"));
  }
  c.head_dim = c.n_embd / c.n_heads;
  TATARA_RETURN_IF_ERROR(keys.OnlyInt("attention.key_length", c.head_dim));
  TATARA_RETURN_IF_ERROR(keys.OnlyInt("attention.value_length", c.head_dim));
  TATARA_TRY(c.n_ctx, keys.Int("context_length", {1, kEncoderContextMax}));
  TATARA_TRY(const double eps, keys.Float("attention.layer_norm_epsilon", {1e-13, 1.0}));
  c.norm_eps = static_cast<float>(eps);
  TATARA_TRY(c.n_vocab_key, keys.IntOr("vocab_size", 0, {0, kVocabMax}));
  TATARA_TRY(c.pooling, ReadPooling(keys));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("attention.causal", false));
  TATARA_TRY(c.n_rot, keys.IntOr("rope.dimension_count", c.head_dim, {1, c.head_dim}));
  TATARA_TRY(c.rope_base, keys.FloatOr("rope.freq_base", 10000, kRopeBaseRange));
  // Converters write it down where positions are turned as they are.
  TATARA_TRY(const std::string scaling, keys.StringOr("rope.scaling.type", "none"));
  if (scaling != "none") {
    return Refuse(
        "{0}: the key '{1}' is {2}, which asks for something that '{3}' models do not compute here "
        "(only {4} is accepted)",
        keys.origin(), keys.FullName("rope.scaling.type"), Printable(scaling), keys.architecture(),
        "none");
  }
  // Of the tokens that go in, and of what is done with the vector: not of the layers.
  for (const char* key : {"token_type_count", "embedding.windowed", "embedding.max_tokens",
                          "embedding.matryoshka_dimensions", "embedding.matryoshka_least",
                          "tensor_data_layout", "classifier.output_labels"}) {
    keys.Informational(key);
  }
  return c;
}

Result<> RequireWholePairs(const Keys& keys, const EncoderConfig& config) {
  if (config.n_rot % 2 == 0) return Ok{};
  return Refuse("{0}: the key '{1}' is {2}; rotary positions turn pairs, so it must be even",
                keys.origin(), keys.FullName("rope.dimension_count"), config.n_rot);
}

BidirectionalEncoder::BidirectionalEncoder(const LoadContext& context, const EncoderConfig& config)
    : config_(config), store_(context.store) {
  activations_ = context.options.activations;
}

Result<> BidirectionalEncoder::LoadEmbeddings(TensorLoader& tensors, Bias norm_bias) {
  TATARA_TRY(embedding_, tensors.LoadEmbedding("token_embd.weight", config_.n_embd, kVocabMax));
  if (config_.n_vocab_key != 0 && config_.n_vocab_key != embedding_.table.n_rows()) {
    return Refuse("{0}: the key '{1}' is {2}, but the embedding has {3} rows",
                  store_->path().string(), "vocab_size", config_.n_vocab_key,
                  embedding_.table.n_rows());
  }
  if (tensors.Has("token_types.weight")) {
    TATARA_TRY(const Embedding types,
               tensors.LoadEmbedding("token_types.weight", config_.n_embd, kSegmentsMax));
    info_.n_segments = static_cast<int>(types.table.n_rows());
    segments_.resize(static_cast<std::size_t>(info_.n_segments * config_.n_embd));
    for (int i = 0; i < info_.n_segments; ++i) {
      types.Row(i, std::span(segments_).subspan(static_cast<std::size_t>(i * config_.n_embd),
                                                static_cast<std::size_t>(config_.n_embd)));
    }
  }
  TATARA_TRY(embedding_norm_, LoadLayerNorm(tensors, "token_embd_norm", config_.n_embd, norm_bias));
  return Ok{};
}

Result<> BidirectionalEncoder::LoadHead(TensorLoader& tensors) {
  if (tensors.Has("cls.weight")) {
    TATARA_TRY(dense_, tensors.LoadLinear("cls", config_.n_embd, config_.n_embd, Bias::kOptional));
  }
  if (const weights::TensorView* found = store_->Find("cls.output.weight"); found != nullptr) {
    const std::int64_t n_classes = found->n_rows();
    if (n_classes > kClassesMax) {
      return Refuse("{0}: the tensor '{1}' has {2} rows; at most {3} are accepted",
                    store_->path().string(), "cls.output.weight", n_classes, kClassesMax);
    }
    TATARA_TRY(classes_,
               tensors.LoadLinear("cls.output", n_classes, config_.n_embd, Bias::kOptional));
    info_.n_classes = static_cast<int>(n_classes);
  }
  return Ok{};
}

Result<> BidirectionalEncoder::FinishLoading(const TensorLoader& tensors,
                                             std::string_view architecture) {
  TATARA_RETURN_IF_ERROR(tensors.Finish());
  info_.architecture = architecture;
  info_.n_layers = config_.n_layers;
  info_.n_embd = config_.n_embd;
  info_.n_vocab = static_cast<int>(embedding_.table.n_rows());
  info_.n_ctx = config_.n_ctx;
  info_.n_parameters = tensors.n_parameters();
  info_.weight_bytes = tensors.packed_bytes();
  info_.pooling = config_.pooling;
  const std::string labels = info_.architecture + ".classifier.output_labels";
  if (const auto* names = store_->metadata().Strings(labels);
      names != nullptr && names->size() == static_cast<std::size_t>(info_.n_classes)) {
    info_.class_labels = *names;
  }
  return Ok{};
}

Result<LayerNormWeights> BidirectionalEncoder::LoadLayerNorm(TensorLoader& tensors,
                                                             const std::string& name, int n,
                                                             Bias bias) {
  LayerNormWeights w;
  TATARA_TRY(w.weight, tensors.LoadVector(name + ".weight", n));
  if (bias == Bias::kRequired || (bias == Bias::kOptional && tensors.Has(name + ".bias"))) {
    TATARA_TRY(w.bias, tensors.LoadVector(name + ".bias", n));
  }
  return w;
}

Result<AttentionWeights> BidirectionalEncoder::LoadAttentionOf(TensorLoader& tensors, int layer,
                                                               BiasOf bias) const {
  const std::int64_t n = config_.n_embd;
  AttentionWeights w;
  const std::string fused = BlockName(layer, "attn_qkv");
  if (tensors.Has(fused + ".weight")) {
    std::int64_t first = 0;
    for (Linear* part : {&w.q, &w.k, &w.v}) {
      TATARA_TRY(auto rows, tensors.LoadExperts(fused, {1, n, 3 * n, first, n}, bias.qkv));
      *part = std::move(rows.front());
      first += n;
    }
  } else {
    TATARA_TRY(w.q, tensors.LoadLinear(BlockName(layer, "attn_q"), n, n, bias.qkv));
    TATARA_TRY(w.k, tensors.LoadLinear(BlockName(layer, "attn_k"), n, n, bias.qkv));
    TATARA_TRY(w.v, tensors.LoadLinear(BlockName(layer, "attn_v"), n, n, bias.qkv));
  }
  TATARA_TRY(w.output, tensors.LoadLinear(BlockName(layer, "attn_output"), n, n, bias.output));
  return w;
}

void BidirectionalEncoder::Embed(Pass& pass, const Embedding* positions, Rows x) {
  pass.Embed(embedding_, x);
  const auto n_embd = static_cast<std::size_t>(config_.n_embd);
  const Rows position = h_.Make(x.n_rows, x.n_cols);  // (T, E)
  ForRows(pass.pool(), x.n_rows, 3 * x.n_cols, [&](std::int64_t t) {
    const auto token = static_cast<std::size_t>(t);
    if (!segments_.empty()) {
      numerics::Add(std::span(segments_).subspan(segment_of_token_[token] * n_embd, n_embd),
                    x.Row(t));
    }
    if (positions != nullptr) {
      positions->Row(pass.scratch().positions[token], position.Row(t));
      numerics::Add(position.Row(t), x.Row(t));
    }
  });
  Norm(pass, embedding_norm_, x, x);
}

void BidirectionalEncoder::Attend(Pass& pass, const AttentionWeights& w,
                                  const numerics::AttentionShape& shape, RotaryTable* rope,
                                  Rows h) {
  const Rows q = q_.Make(h.n_rows, h.n_cols);  // (T, H*D)
  const Rows k = k_.Make(h.n_rows, h.n_cols);
  const Rows v = v_.Make(h.n_rows, h.n_cols);
  const Rows a = a_.Make(h.n_rows, h.n_cols);
  pass.Project(h, {{&w.q, q}, {&w.k, k}, {&w.v, v}});
  if (rope != nullptr) {
    pass.Rotate(*rope, config_.head_dim, q);
    pass.Rotate(*rope, config_.head_dim, k);
  }
  pass.Attend(0, shape, q, k, v, a);
  pass.Project(a, {{&w.output, h}});
}

void BidirectionalEncoder::Norm(Pass& pass, const LayerNormWeights& w, Rows x, Rows y) const {
  LayerNormRows(pass.pool(), x, w.weight, w.bias, config_.norm_eps, y);
}

numerics::AttentionShape BidirectionalEncoder::ShapeOf(int window) const {
  return {.n_heads = config_.n_heads,
          .n_kv_heads = config_.n_heads,
          .head_dim = config_.head_dim,
          .value_dim = config_.head_dim,
          .scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim)),
          .window = window,
          .bidirectional = true,
          .cache = numerics::CacheType::kF32};
}

Rows BidirectionalEncoder::Scratch(Pass& pass) {
  return h_.Make(pass.n_tokens(), config_.n_embd);
}

Result<> BidirectionalEncoder::MakeSlices(std::span<const EncoderInput> inputs) {
  std::size_t n_pages = 0;
  segment_of_token_.clear();
  for (const EncoderInput& input : inputs) {
    n_pages += static_cast<std::size_t>(PagesOf(input));
    const auto length = static_cast<std::int64_t>(input.tokens.size());
    TATARA_CHECK(length >= 1 && length <= info_.n_ctx && input.second_segment >= 0);
    for (std::int64_t t = 0; t < length; ++t) {
      const bool second =
          info_.n_segments > 1 && input.second_segment > 0 && t >= input.second_segment;
      segment_of_token_.push_back(second ? 1 : 0);
    }
  }
  if (kv_ == nullptr || static_cast<std::size_t>(kv_->n_pages()) < n_pages) {
    kv_.reset();
    TATARA_TRY(kv_, KvPool::Make({{config_.n_heads, config_.head_dim, config_.head_dim}},
                                 numerics::CacheType::kF32, static_cast<int>(n_pages)));
    pages_.resize(n_pages);
    for (std::size_t i = 0; i < n_pages; ++i) pages_[i] = static_cast<int>(i);
  }
  slices_.clear();
  std::size_t first_page = 0;
  for (const EncoderInput& input : inputs) {
    slices_.push_back(
        {.tokens = input.tokens,
         .position = 0,
         .pages = std::span(pages_).subspan(first_page, static_cast<std::size_t>(PagesOf(input))),
         .logit_rows = {}});
    first_page += static_cast<std::size_t>(PagesOf(input));
  }
  return Ok{};
}

Result<std::span<const float>> BidirectionalEncoder::States(std::span<const EncoderInput> inputs,
                                                            ThreadPool& pool) {
  TATARA_RETURN_IF_ERROR(MakeSlices(inputs));
  Pass pass(scratch_, slices_, *kv_, pool, activations_);
  const Rows x = x_.Make(pass.n_tokens(), config_.n_embd);  // (T, E)
  Forward(pass, x);
  return std::span<const float>(x.data, static_cast<std::size_t>(x.size()));
}

void BidirectionalEncoder::Head(std::span<float> pooled, ThreadPool& pool,
                                std::span<float> scores) {
  // scores = Wc tanh(Wd pooled + bd) + bc
  const std::int64_t n_rows = static_cast<std::int64_t>(pooled.size()) / config_.n_embd;
  if (n_rows == 0) return;
  Pass pass(scratch_, {}, *kv_, pool, activations_);
  Rows x{pooled.data(), n_rows, config_.n_embd};
  if (!dense_.w.empty()) {
    const Rows h = pooled_.Make(n_rows, config_.n_embd);
    pass.Project(x, {{&dense_, h}});
    TanhRows(pool, h);
    x = h;
  }
  pass.Project(x, {{&classes_, Rows{scores.data(), n_rows, info_.n_classes}}});
}

}  // namespace tatara::model
