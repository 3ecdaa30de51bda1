// Gemma 4, text: Gemma 3's layer (embeddings times sqrt(E), norms before and after each block,
// norms of query and key heads, windows in most layers, tanh-GELU gate), and besides:
// - window layers have heads of another size and number than global ones, and a rotary base of
//   their own; in global layers divisors leave most pairs unturned; scores are not scaled;
// - values are normed, without a weight; a global layer may take them from its key matrix;
// - the last layers keep no keys and values: they read those of the last layer of their kind before
//   them;
// - every layer may get an input of its own for each token, from a second embedding;
// - experts may stand beside the dense feed-forward, each with its norms; the router reads the
//   residual stream through a scaled norm of its own.
// Source: the Gemma 4 model cards and published code (Google DeepMind 2026); per-layer inputs and
// shared keys and values are Gemma 3n's (2025). The file's norm weights are used as they are.
//
// Shapes: T tokens of the pass, E n_embd, L layers, H heads, K key heads and D head size of the
// layer, P inputs a layer, F inner size of the layer, X experts, V vocabulary.

#include <algorithm>
#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "experts.h"

namespace tatara::model {
namespace {

// What differs from layer to layer.
struct LayerShape {
  bool windowed = false;
  int n_kv_heads = 0;
  int head_dim = 0;
  int n_ff = 0;
  int cache_layer = 0;  // whose keys and values it reads; its own index, or an earlier layer's
};

struct Gemma4Config {
  DecoderConfig decoder;  // the largest sizes of any layer; its rope is that of global layers
  RopeConfig window_rope;
  int window = 0;
  std::vector<LayerShape> layers;
  int n_layer_inputs = 0;  // P
  RouterConfig router;
  int n_ff_expert = 0;
  float logit_cap = 0;  // 0: none
};

class Gemma4 final : public Decoder {
 public:
  Gemma4(const LoadContext& context, const Gemma4Config& config)
      : Decoder(context, config.decoder), gemma_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Mixture {                                        // beside the dense feed-forward
    std::vector<float> router_norm;                       // (E)
    std::vector<float> norm, post_norm, dense_post_norm;  // (E)
    Experts experts;
  };
  struct Layer {
    std::vector<float> attn_norm;       // (E)
    Linear q, k, v, output;             // (H*D, E), (K*D, E), (K*D, E) or empty, (E, H*D)
    std::vector<float> q_norm, k_norm;  // (D)
    std::vector<float> attn_post_norm;  // (E)
    std::vector<float> ffn_norm;        // (E)
    GatedFfn ffn;
    std::vector<float> ffn_post_norm;  // (E)
    std::unique_ptr<Mixture> mixture;
    Linear input_gate, input_output;     // (P, E), (E, P)
    std::vector<float> input_post_norm;  // (E)
    float scale = 1;                     // of what the layer gives on
  };
  Result<> LoadAttentionOf(TensorLoader& tensors, int layer, Layer& w);
  Result<> LoadMixture(TensorLoader& tensors, int layer, Layer& w);
  Result<> LoadLayerInputs(TensorLoader& tensors);
  void LayerInputs(Pass& pass, Rows x, Rows inputs);
  void Attention(Pass& pass, int layer, Rows h, Rows a);
  void FeedForwards(Pass& pass, const Layer& w, Rows x, Rows h);
  void AddLayerInput(Pass& pass, int layer, Rows inputs, Rows x, Rows h);

  Gemma4Config gemma_;
  std::vector<Layer> layers_;
  RotaryTable global_rope_, window_rope_;
  Embedding input_embedding_;      // (V, L*P)
  Linear input_projection_;        // (L*P, E)
  std::vector<float> input_norm_;  // (P)
  RowBuffer x_, h_, q_, k_, v_, a_, inputs_, projected_, gate_, input_, mixed_, routed_, experts_;
};

Result<> Gemma4::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_RETURN_IF_ERROR(LoadLayerInputs(tensors));
  std::vector<float> divisors;
  const auto is_global = [](const LayerShape& s) { return !s.windowed; };
  if (std::ranges::any_of(gemma_.layers, is_global)) {
    TATARA_TRY(divisors, tensors.LoadRopeFactors("rope_freqs.weight", c.rope.n_rot / 2));
  }
  global_rope_ = RotaryTable(c.rope, numerics::RopeLayout::kHalves, divisors);
  window_rope_ = RotaryTable(gemma_.window_rope, numerics::RopeLayout::kHalves, {});
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_RETURN_IF_ERROR(LoadAttentionOf(tensors, i, w));
    DecoderConfig sizes = c;
    sizes.n_ff = gemma_.layers[static_cast<std::size_t>(i)].n_ff;
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, sizes, i));
    TATARA_TRY(w.ffn_post_norm, LoadNorm(tensors, i, "post_ffw_norm", c.n_embd));
    if (tensors.Has(BlockName(i, "ffn_gate_inp.weight"))) {
      TATARA_RETURN_IF_ERROR(LoadMixture(tensors, i, w));
    }
    if (gemma_.n_layer_inputs > 0) {
      const int n_inputs = gemma_.n_layer_inputs;
      TATARA_TRY(w.input_gate, tensors.LoadLinear(BlockName(i, "inp_gate"), n_inputs, c.n_embd));
      TATARA_TRY(w.input_output, tensors.LoadLinear(BlockName(i, "proj"), c.n_embd, n_inputs));
      TATARA_TRY(w.input_post_norm, LoadNorm(tensors, i, "post_norm", c.n_embd));
    }
    if (tensors.Has(BlockName(i, "layer_output_scale.weight"))) {
      TATARA_TRY(const std::vector<float> scale, LoadNorm(tensors, i, "layer_output_scale", 1));
      w.scale = scale[0];
    }
  }
  TATARA_RETURN_IF_ERROR(FinishLoading(tensors, "gemma4"));
  for (std::size_t i = 0; i < gemma_.layers.size(); ++i) {
    const LayerShape& s = gemma_.layers[i];
    const bool keeps = s.cache_layer == static_cast<int>(i);
    info_.cache[i] =
        keeps ? LayerCacheShape{s.n_kv_heads, s.head_dim, s.head_dim} : LayerCacheShape{};
  }
  return Ok{};
}

Result<> Gemma4::LoadAttentionOf(TensorLoader& tensors, int layer, Layer& w) {
  const DecoderConfig& c = config_;
  const LayerShape& s = gemma_.layers[static_cast<std::size_t>(layer)];
  const int n_queries = c.n_heads * s.head_dim, n_keys = s.n_kv_heads * s.head_dim;
  TATARA_TRY(w.attn_norm, LoadNorm(tensors, layer, "attn_norm", c.n_embd));
  TATARA_TRY(w.q, tensors.LoadLinear(BlockName(layer, "attn_q"), n_queries, c.n_embd));
  TATARA_TRY(w.q_norm, LoadNorm(tensors, layer, "attn_q_norm", s.head_dim));
  if (s.cache_layer == layer) {
    TATARA_TRY(w.k, tensors.LoadLinear(BlockName(layer, "attn_k"), n_keys, c.n_embd));
    TATARA_TRY(w.k_norm, LoadNorm(tensors, layer, "attn_k_norm", s.head_dim));
    if (tensors.Has(BlockName(layer, "attn_v.weight"))) {
      TATARA_TRY(w.v, tensors.LoadLinear(BlockName(layer, "attn_v"), n_keys, c.n_embd));
    }
  } else {
    // Published checkpoints carry these from training; the model as published never reads them.
    for (const char* name : {"attn_k.weight", "attn_v.weight", "attn_k_norm.weight"}) {
      tensors.LeaveOut(BlockName(layer, name));
    }
  }
  TATARA_TRY(w.output, tensors.LoadLinear(BlockName(layer, "attn_output"), c.n_embd, n_queries));
  TATARA_TRY(w.attn_post_norm, LoadNorm(tensors, layer, "post_attention_norm", c.n_embd));
  return Ok{};
}

Result<> Gemma4::LoadMixture(TensorLoader& tensors, int layer, Layer& w) {
  const DecoderConfig& c = config_;
  w.mixture = std::make_unique<Mixture>();
  Mixture& m = *w.mixture;
  TATARA_TRY(m.router_norm, tensors.LoadVector(BlockName(layer, "ffn_gate_inp.scale"), c.n_embd));
  // The router's input is norm(x) / sqrt(E) * scale.
  for (float& value : m.router_norm) value = value / std::sqrt(static_cast<float>(c.n_embd));
  TATARA_TRY(m.norm, LoadNorm(tensors, layer, "pre_ffw_norm_2", c.n_embd));
  TATARA_TRY(m.dense_post_norm, LoadNorm(tensors, layer, "post_ffw_norm_1", c.n_embd));
  TATARA_TRY(m.post_norm, LoadNorm(tensors, layer, "post_ffw_norm_2", c.n_embd));
  const bool fused = tensors.Has(BlockName(layer, "ffn_gate_up_exps.weight"));
  TATARA_TRY(m.experts,
             LoadExperts(tensors, layer, gemma_.router,
                         {.n_embd = c.n_embd, .n_ff = gemma_.n_ff_expert, .fused_gate_up = fused}));
  m.experts.gate_up = GeluTanhMulRows;
  const std::string scale = BlockName(layer, "ffn_down_exps.scale");
  if (tensors.Has(scale)) {
    TATARA_TRY(m.experts.output_scale, tensors.LoadVector(scale, gemma_.router.n_experts));
  }
  return Ok{};
}

Result<> Gemma4::LoadLayerInputs(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  if (gemma_.n_layer_inputs == 0) return Ok{};
  const std::int64_t n_all = std::int64_t{c.n_layers} * gemma_.n_layer_inputs;
  const std::int64_t n_vocab = embedding_.table.n_rows();
  TATARA_TRY(input_embedding_,
             tensors.LoadEmbedding("per_layer_token_embd.weight", n_all, n_vocab));
  if (input_embedding_.table.n_rows() != n_vocab) {
    return Refuse("{0}: the tensor '{1}' has {2} rows, but the embedding has {3}",
                  store_->path().string(), "per_layer_token_embd.weight",
                  input_embedding_.table.n_rows(), n_vocab);
  }
  TATARA_TRY(input_projection_, tensors.LoadLinear("per_layer_model_proj", n_all, c.n_embd));
  TATARA_TRY(input_norm_, tensors.LoadVector("per_layer_proj_norm.weight", gemma_.n_layer_inputs));
  return Ok{};
}

// inputs[layer] = (norm(Wp x / sqrt(E)) + embedding * sqrt(P)) / sqrt(2): (T, L*P).
void Gemma4::LayerInputs(Pass& pass, Rows x, Rows inputs) {
  ThreadPool& pool = pass.pool();
  const Rows projected = projected_.Make(inputs.n_rows, inputs.n_cols);  // (T, L*P)
  pass.Project(x, {{&input_projection_, projected}});
  ScaleRows(pool, 1.0F / std::sqrt(static_cast<float>(config_.n_embd)), projected);
  NormHeads(pool, projected, input_norm_, config_.norm_eps);
  pass.Embed(input_embedding_, inputs);
  ScaleRows(pool, std::sqrt(static_cast<float>(gemma_.n_layer_inputs)), inputs);
  AddRows(pool, projected, inputs);
  ScaleRows(pool, 1.0F / std::sqrt(2.0F), inputs);
}

// a = softmax(rope(norm(Wq h)) rope(norm(Wk h))^T) norm(Wv h): (T, H*D).
void Gemma4::Attention(Pass& pass, int layer, Rows h, Rows a) {
  const DecoderConfig& c = config_;
  const Layer& w = layers_[static_cast<std::size_t>(layer)];
  const LayerShape& s = gemma_.layers[static_cast<std::size_t>(layer)];
  ThreadPool& pool = pass.pool();
  RotaryTable& rope = s.windowed ? window_rope_ : global_rope_;
  const numerics::AttentionShape shape{.n_heads = c.n_heads,
                                       .n_kv_heads = s.n_kv_heads,
                                       .head_dim = s.head_dim,
                                       .value_dim = s.head_dim,
                                       .scale = 1,
                                       .window = s.windowed ? gemma_.window : 0,
                                       .cache = cache_type()};
  const Rows q = q_.Make(h.n_rows, c.n_heads * s.head_dim);     // (T, H*D)
  const Rows k = k_.Make(h.n_rows, s.n_kv_heads * s.head_dim);  // (T, K*D)
  const Rows v = v_.Make(h.n_rows, s.n_kv_heads * s.head_dim);  // (T, K*D)
  const bool keeps = s.cache_layer == layer;
  if (!keeps) {
    pass.Project(h, {{&w.q, q}});
  } else if (w.v.w.empty()) {
    pass.Project(h, {{&w.q, q}, {&w.k, k}});
    std::copy_n(k.data, k.size(), v.data);
  } else {
    pass.Project(h, {{&w.q, q}, {&w.k, k}, {&w.v, v}});
  }
  NormHeads(pool, q, w.q_norm, c.norm_eps);
  pass.Rotate(rope, s.head_dim, q);
  if (!keeps) {
    pass.AttendStored(s.cache_layer, shape, q, a);
    return;
  }
  NormHeads(pool, k, w.k_norm, c.norm_eps);
  NormHeads(pool, v, s.head_dim, c.norm_eps);
  pass.Rotate(rope, s.head_dim, k);
  pass.Attend(layer, shape, q, k, v, a);
}

// h = norm(Wdown (gelu(Wgate norm(x)) * (Wup norm(x)))), with experts the norm of two such sums.
void Gemma4::FeedForwards(Pass& pass, const Layer& w, Rows x, Rows h) {
  const float eps = config_.norm_eps;
  ThreadPool& pool = pass.pool();
  NormRows(pool, x, w.ffn_norm, eps, h);
  FeedForward(pass, w.ffn, Gate::kGeluTanh, h);
  if (w.mixture != nullptr) {
    const Mixture& m = *w.mixture;
    const Rows mixed = mixed_.Make(x.n_rows, x.n_cols);    // (T, E)
    const Rows routed = routed_.Make(x.n_rows, x.n_cols);  // (T, E)
    const Rows out = experts_.Make(x.n_rows, x.n_cols);    // (T, E)
    NormRows(pool, h, m.dense_post_norm, eps, h);
    NormRows(pool, x, m.norm, eps, mixed);
    NormRows(pool, x, m.router_norm, eps, routed);
    RunExperts(pass, m.experts, routed, mixed, out);
    NormRows(pool, out, m.post_norm, eps, out);
    AddRows(pool, out, h);
  }
  NormRows(pool, h, w.ffn_post_norm, eps, h);
}

// x += norm(Wo (gelu(Wg x) * input)).
void Gemma4::AddLayerInput(Pass& pass, int layer, Rows inputs, Rows x, Rows h) {
  const Layer& w = layers_[static_cast<std::size_t>(layer)];
  const std::int64_t n_inputs = gemma_.n_layer_inputs;
  const Rows gate = gate_.Make(x.n_rows, n_inputs);    // (T, P)
  const Rows input = input_.Make(x.n_rows, n_inputs);  // (T, P)
  ForRows(pass.pool(), x.n_rows, n_inputs, [&](std::int64_t t) {
    std::copy_n(inputs.Row(t).data() + layer * n_inputs, n_inputs, input.Row(t).data());
  });
  pass.Project(x, {{&w.input_gate, gate}});
  GeluTanhMulRows(pass.pool(), gate, input);
  pass.Project(gate, {{&w.input_output, h}});
  NormRows(pass.pool(), h, w.input_post_norm, config_.norm_eps, h);
  AddRows(pass.pool(), h, x);
}

void Gemma4::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                     std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  const std::int64_t n_tokens = pass.n_tokens();
  Rows x = x_.Make(n_tokens, c.n_embd);  // (T, E)
  Rows h = h_.Make(n_tokens, c.n_embd);  // (T, E)
  Rows inputs = inputs_.Make(n_tokens, std::int64_t{c.n_layers} * gemma_.n_layer_inputs);

  pass.Embed(embedding_, x);
  ScaleRows(pool, std::sqrt(static_cast<float>(c.n_embd)), x);
  if (gemma_.n_layer_inputs > 0) LayerInputs(pass, x, inputs);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    Rows a = a_.Make(n_tokens, w.output.w.n_cols());  // (T, H*D)
    // x += norm(Wo attention(norm(x)))
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    Attention(pass, i, h, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a, &inputs});
    pass.Project(a, {{&w.output, h}});
    NormRows(pool, h, w.attn_post_norm, c.norm_eps, h);
    AddRows(pool, h, x);
    FeedForwards(pass, w, x, h);
    AddRows(pool, h, x);
    if (gemma_.n_layer_inputs > 0) AddLayerInput(pass, i, inputs, x, h);
    if (w.scale != 1.0F) ScaleRows(pool, w.scale, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
  if (gemma_.logit_cap > 0) {
    SoftCapRows(pool, gemma_.logit_cap, {logits.data(), pass.n_wanted(), info_.n_vocab});
  }
}

// A value for every layer: the key's array, or its one value for all.
Result<std::vector<std::int64_t>> ByLayer(Keys& keys, std::string_view key, int n_layers,
                                          IntRange range) {
  const auto count = static_cast<std::size_t>(n_layers);
  TATARA_TRY(std::vector<std::int64_t> values, keys.IntsOrNone(key, count, range));
  if (values.empty()) TATARA_RETURN_IF_ERROR(keys.Int(key, range));  // missing
  if (values.size() == 1) values.resize(count, values[0]);
  if (values.size() != count) {
    return Refuse("{0}: the key '{1}' has {2} values for {3} layers", keys.origin(),
                  keys.FullName(key), values.size(), n_layers);
  }
  return values;
}

// Which layer's keys and values each layer reads: with the last n_shared layers those of the last
// layer of their kind before them.
Result<> ShareKeys(const Keys& keys, int n_shared, std::vector<LayerShape>& layers) {
  const auto n_own = layers.size() - static_cast<std::size_t>(n_shared);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i].cache_layer = static_cast<int>(i);
    if (i < n_own) continue;
    std::size_t from = n_own;
    while (from > 0 && layers[from - 1].windowed != layers[i].windowed) --from;
    if (from == 0 || layers[from - 1].n_kv_heads != layers[i].n_kv_heads) {
      return Refuse(
          "{0}: layer {1} has no keys, and no layer before {2} has such as it reads "
          "(key '{3}')",
          keys.origin(), i, n_own, keys.FullName("attention.shared_kv_layers"));
    }
    layers[i].cache_layer = static_cast<int>(from) - 1;
  }
  return Ok{};
}

Result<> ReadLayers(Keys& keys, Gemma4Config& config) {
  DecoderConfig& c = config.decoder;
  const IntRange head_range{2, kHeadDimMax};
  TATARA_TRY(const std::int64_t global_size, keys.Int("attention.key_length", head_range));
  TATARA_TRY(const std::int64_t window_size, keys.Int("attention.key_length_swa", head_range));
  TATARA_RETURN_IF_ERROR(keys.OnlyInt("attention.value_length", global_size));
  TATARA_RETURN_IF_ERROR(keys.OnlyInt("attention.value_length_swa", window_size));
  TATARA_TRY(config.window, keys.Int("attention.sliding_window", {1, kContextMax}));
  TATARA_TRY(const std::vector<std::int64_t> windowed,
             ByLayer(keys, "attention.sliding_window_pattern", c.n_layers, {0, 1}));
  TATARA_TRY(const std::vector<std::int64_t> n_kv_heads,
             ByLayer(keys, "attention.head_count_kv", c.n_layers, {1, kHeadsMax}));
  TATARA_TRY(const std::vector<std::int64_t> n_ff,
             ByLayer(keys, "feed_forward_length", c.n_layers, {1, kFfMax}));
  for (std::size_t i = 0; i < windowed.size(); ++i) {
    LayerShape& s = config.layers.emplace_back();
    s.windowed = windowed[i] != 0;
    s.n_kv_heads = static_cast<int>(n_kv_heads[i]);
    s.head_dim = static_cast<int>(s.windowed ? window_size : global_size);
    s.n_ff = static_cast<int>(n_ff[i]);
    if (c.n_heads % s.n_kv_heads != 0) {
      return Refuse("{0}: {1} heads cannot share {2} key heads evenly (key '{3}')", keys.origin(),
                    c.n_heads, s.n_kv_heads, keys.FullName("attention.head_count_kv"));
    }
  }
  TATARA_TRY(const int n_shared, keys.IntOr("attention.shared_kv_layers", 0, {0, c.n_layers - 1}));
  return ShareKeys(keys, n_shared, config.layers);
}

Result<> ReadRopes(Keys& keys, Gemma4Config& config) {
  DecoderConfig& c = config.decoder;
  TATARA_TRY(const int global_size, keys.Int("attention.key_length", {2, kHeadDimMax}));
  TATARA_TRY(const int window_size, keys.Int("attention.key_length_swa", {2, kHeadDimMax}));
  TATARA_TRY(c.rope, ReadRopeConfig(keys, global_size, {}));
  TATARA_TRY(config.window_rope.n_rot,
             keys.IntOr("rope.dimension_count_swa", window_size, {2, window_size}));
  if (config.window_rope.n_rot % 2 != 0) {
    return Refuse("{0}: the key '{1}' is {2}; rotary positions turn pairs, so it must be even",
                  keys.origin(), keys.FullName("rope.dimension_count_swa"),
                  config.window_rope.n_rot);
  }
  TATARA_TRY(config.window_rope.base, keys.FloatOr("rope.freq_base_swa", 10000.0, kRopeBaseRange));
  return Ok{};
}

}  // namespace

Result<std::unique_ptr<Model>> LoadGemma4(const LoadContext& context) {
  Keys keys(context.store->metadata(), "gemma4");
  Gemma4Config config;
  DecoderConfig& c = config.decoder;
  TATARA_TRY(c.n_layers, keys.Int("block_count", {1, kLayersMax}));
  TATARA_TRY(c.n_embd, keys.Int("embedding_length", {1, kEmbdMax}));
  TATARA_TRY(c.n_heads, keys.Int("attention.head_count", {1, kHeadsMax}));
  TATARA_TRY(c.n_ctx, keys.Int("context_length", {1, kContextMax}));
  TATARA_TRY(const double eps, keys.Float("attention.layer_norm_rms_epsilon", {1e-12, 1.0}));
  c.norm_eps = static_cast<float>(eps);
  TATARA_TRY(c.n_vocab_key, keys.IntOr("vocab_size", 0, {0, kVocabMax}));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("attention.causal", true));
  TATARA_RETURN_IF_ERROR(keys.OnlyInt("pooling_type", 0));
  TATARA_RETURN_IF_ERROR(ReadLayers(keys, config));
  TATARA_RETURN_IF_ERROR(ReadRopes(keys, config));
  TATARA_TRY(config.n_layer_inputs,
             keys.IntOr("embedding_length_per_layer_input", 0, {0, kEmbdMax / c.n_layers}));
  TATARA_TRY(const double cap, keys.FloatOr("final_logit_softcapping", 0, {0, 1e6}));
  config.logit_cap = static_cast<float>(cap);
  TATARA_TRY(config.router, ReadRouterConfig(keys, {.renormalise = true}));
  if (config.router.n_experts > 0) {
    TATARA_TRY(config.n_ff_expert, keys.Int("expert_feed_forward_length", {1, kFfMax}));
  } else {
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("expert_feed_forward_length", 0));
  }
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Gemma4>(context, config);
}

}  // namespace tatara::model
