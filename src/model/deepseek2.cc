// DeepSeek-V2, V3 and R1, and what was published in their form (Kimi K2, ...): latent attention,
// where a token keeps one small vector for all heads; a dense feed-forward in the first layers,
// then experts with a shared one. Sources: DeepSeek-V2 (arXiv:2405.04434), whose router is a
// softmax, and of groups of experts the best by their best expert; DeepSeek-V3 (arXiv:2412.19437),
// whose router is a sigmoid with a bias for the choice, and of groups the best by their best two.
//
// A head's key is its part of the latent, expanded by K_b, and a rotated part that all heads share;
// its value is the latent expanded by V_b. Since (K_b^T q) . latent = q . (K_b latent), queries are
// brought into the latent's space instead, and the values out of it after attention: the cache
// holds the latent and the rotated part as one key head, and the latent as its value.
//
// Shapes: T tokens of the pass, E n_embd, H heads, N plain and R rotated size of a head, C latent
// size, Dv value size, Cq latent size of queries, F inner size, V vocabulary.

#include <algorithm>
#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "experts.h"
#include "tatara/numerics/functions.h"

namespace tatara::model {
namespace {

struct Deepseek2Config {
  DecoderConfig decoder;   // as the cache sees it: one key head of C + R, a value of C
  int n_latent = 0;        // C
  int n_query_latent = 0;  // Cq; 0: queries come straight from the hidden state
  int plain_dim = 0;       // N
  int value_dim = 0;       // Dv
  bool unsplit = false;    // older files: K_b and V_b as one matrix, head after head
  float score_scale = 0;
  int n_dense_layers = 0;
  RouterConfig router;
  int n_ff_expert = 0;
  int n_ff_shared = 0;
  int n_ahead = 0;  // trailing layers that predict further tokens; not run
};

class Deepseek2 final : public Decoder {
 public:
  Deepseek2(const LoadContext& context, const Deepseek2Config& config)
      : Decoder(context, config.decoder), mla_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    Linear q_a;                    // (Cq, E), where there is a latent of queries
    std::vector<float> q_a_norm;   // (Cq)
    Linear q;                      // (H*(N+R), Cq) or (H*(N+R), E)
    Linear kv_a;                   // (C+R, E)
    std::vector<float> kv_a_norm;  // (C)
    std::vector<Linear> k_b;       // H of (C, N): from a head's query into the latent's space
    std::vector<Linear> v_b;       // H of (Dv, C)
    Linear output;                 // (E, H*Dv)
    std::vector<float> ffn_norm;   // (E)
    GatedFfn ffn;                  // of a dense layer
    Experts experts;
    SharedExpert shared;
  };
  Result<> LoadHeads(TensorLoader& tensors, int layer, Layer& w);
  Result<> LoadFeedForward(TensorLoader& tensors, int layer, Layer& w);
  void Queries(Pass& pass, const Layer& w, Rows h, Rows q);
  void Latents(Pass& pass, const Layer& w, Rows h, Rows k, Rows v);
  void ByHead(Pass& pass, const std::vector<Linear>& heads, Rows x, Rows y);

  int n_rot() const { return config_.rope.n_rot; }

  Deepseek2Config mla_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
  std::vector<std::int64_t> segment_ends_;
  std::vector<numerics::MatMulJob> jobs_;
  RowBuffer x_, h_, q_, k_, v_, a_, values_;
  RowBuffer q_latent_, heads_, rotated_, kv_, by_head_, from_heads_;
};

Result<> Deepseek2::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  const Deepseek2Config& m = mla_;
  const int head_size = m.plain_dim + n_rot();
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  rope_ = RotaryTable(c.rope, numerics::RopeLayout::kPairs, {});
  attention_ = AttentionOf(m.score_scale, 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    if (m.n_query_latent > 0) {
      TATARA_TRY(w.q_a, tensors.LoadLinear(BlockName(i, "attn_q_a"), m.n_query_latent, c.n_embd));
      TATARA_TRY(w.q_a_norm, LoadNorm(tensors, i, "attn_q_a_norm", m.n_query_latent));
      TATARA_TRY(w.q, tensors.LoadLinear(BlockName(i, "attn_q_b"), c.n_heads * head_size,
                                         m.n_query_latent));
    } else {
      TATARA_TRY(w.q, tensors.LoadLinear(BlockName(i, "attn_q"), c.n_heads * head_size, c.n_embd));
    }
    TATARA_TRY(w.kv_a,
               tensors.LoadLinear(BlockName(i, "attn_kv_a_mqa"), m.n_latent + n_rot(), c.n_embd));
    TATARA_TRY(w.kv_a_norm, LoadNorm(tensors, i, "attn_kv_a_norm", m.n_latent));
    TATARA_RETURN_IF_ERROR(LoadHeads(tensors, i, w));
    TATARA_TRY(w.output,
               tensors.LoadLinear(BlockName(i, "attn_output"), c.n_embd, c.n_heads * m.value_dim));
    TATARA_RETURN_IF_ERROR(LoadFeedForward(tensors, i, w));
  }
  for (int i = 0; i < m.n_ahead; ++i) tensors.IgnoreLayer(c.n_layers + i);
  return FinishLoading(tensors, "deepseek2");
}

Result<> Deepseek2::LoadHeads(TensorLoader& tensors, int layer, Layer& w) {
  const int n_heads = config_.n_heads;
  const Deepseek2Config& m = mla_;
  if (!m.unsplit) {
    TATARA_TRY(w.k_b, tensors.LoadExperts(BlockName(layer, "attn_k_b"),
                                          {n_heads, m.plain_dim, m.n_latent, 0, m.n_latent}));
    TATARA_TRY(w.v_b, tensors.LoadExperts(BlockName(layer, "attn_v_b"),
                                          {n_heads, m.n_latent, m.value_dim, 0, m.value_dim}));
    return Ok{};
  }
  // Of every head first K_b as (N, C), which is needed the other way round, then V_b.
  const std::string both = BlockName(layer, "attn_kv_b");
  const int rows = m.plain_dim + m.value_dim;
  TATARA_TRY(w.k_b, tensors.LoadTransposed(
                        both, {n_heads, m.n_latent, rows, 0, m.plain_dim, /*flat=*/true}));
  TATARA_TRY(w.v_b, tensors.LoadExperts(both, {n_heads, m.n_latent, rows, m.plain_dim, m.value_dim,
                                               /*flat=*/true}));
  return Ok{};
}

Result<> Deepseek2::LoadFeedForward(TensorLoader& tensors, int layer, Layer& w) {
  const DecoderConfig& c = config_;
  const Deepseek2Config& m = mla_;
  TATARA_TRY(w.ffn_norm, LoadNorm(tensors, layer, "ffn_norm", c.n_embd));
  if (layer < m.n_dense_layers) {
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, layer));
    return Ok{};
  }
  TATARA_TRY(w.experts, LoadExperts(tensors, layer, m.router, {c.n_embd, m.n_ff_expert}));
  const std::string bias = BlockName(layer, "exp_probs_b.bias");
  if (tensors.Has(bias)) {
    TATARA_TRY(w.experts.selection_bias, tensors.LoadVector(bias, m.router.n_experts));
  }
  if (m.n_ff_shared > 0) {
    TATARA_TRY(w.shared, LoadSharedExpert(tensors, layer, c.n_embd, m.n_ff_shared, false));
  }
  return Ok{};
}

// y[t, head] = heads[head] x[t, head] for every head; x: (T, H*n_in), y: (T, H*n_out) may have more
// columns a head, of which the first n_out are written.
void Deepseek2::ByHead(Pass& pass, const std::vector<Linear>& heads, Rows x, Rows y) {
  const auto n_heads = static_cast<std::int64_t>(heads.size());
  const std::int64_t n_in = heads.front().w.n_cols(), n_out = heads.front().w.n_rows();
  const std::int64_t x_size = x.n_cols / n_heads, y_size = y.n_cols / n_heads;
  const Rows in = by_head_.Make(n_heads * x.n_rows, n_in);       // head after head
  const Rows out = from_heads_.Make(n_heads * x.n_rows, n_out);  // head after head
  ForRows(pass.pool(), x.n_rows, x.n_cols, [&](std::int64_t t) {
    for (std::int64_t head = 0; head < n_heads; ++head) {
      std::copy_n(x.Row(t).data() + head * x_size, n_in, in.Row(head * x.n_rows + t).data());
    }
  });
  segment_ends_.clear();
  jobs_.clear();
  for (std::int64_t head = 0; head < n_heads; ++head) {
    segment_ends_.push_back((head + 1) * x.n_rows);
    jobs_.push_back(
        {&heads[static_cast<std::size_t>(head)].w, out.data, out.n_cols, static_cast<int>(head)});
  }
  pass.ProjectSegments(in, segment_ends_, jobs_);
  ForRows(pass.pool(), x.n_rows, y.n_cols, [&](std::int64_t t) {
    for (std::int64_t head = 0; head < n_heads; ++head) {
      std::copy_n(out.Row(head * x.n_rows + t).data(), n_out, y.Row(t).data() + head * y_size);
    }
  });
}

// q[head] = (K_b^T of the plain part, the rotated part): (T, H*(C+R)).
void Deepseek2::Queries(Pass& pass, const Layer& w, Rows h, Rows q) {
  const Deepseek2Config& m = mla_;
  const int n_heads = config_.n_heads, head_size = m.plain_dim + n_rot();
  const Rows heads = heads_.Make(h.n_rows, n_heads * head_size);    // (T, H*(N+R))
  const Rows rotated = rotated_.Make(h.n_rows, n_heads * n_rot());  // (T, H*R)
  if (m.n_query_latent > 0) {
    const Rows latent = q_latent_.Make(h.n_rows, m.n_query_latent);  // (T, Cq)
    pass.Project(h, {{&w.q_a, latent}});
    NormRows(pass.pool(), latent, w.q_a_norm, config_.norm_eps, latent);
    pass.Project(latent, {{&w.q, heads}});
  } else {
    pass.Project(h, {{&w.q, heads}});
  }
  const auto each_head = [&](auto body) {
    ForRows(pass.pool(), h.n_rows, rotated.n_cols, [&](std::int64_t t) {
      for (std::int64_t head = 0; head < n_heads; ++head) body(t, head);
    });
  };
  each_head([&](std::int64_t t, std::int64_t head) {
    std::copy_n(heads.Row(t).data() + head * head_size + m.plain_dim, n_rot(),
                rotated.Row(t).data() + head * n_rot());
  });
  pass.Rotate(rope_, n_rot(), rotated);
  ByHead(pass, w.k_b, heads, q);
  each_head([&](std::int64_t t, std::int64_t head) {
    std::copy_n(rotated.Row(t).data() + head * n_rot(), n_rot(),
                q.Row(t).data() + head * config_.head_dim + m.n_latent);
  });
}

// k = (normed latent, rotated part): (T, C+R); v = the normed latent: (T, C).
void Deepseek2::Latents(Pass& pass, const Layer& w, Rows h, Rows k, Rows v) {
  const int n_latent = mla_.n_latent;
  const Rows rotated = rotated_.Make(h.n_rows, n_rot());  // (T, R)
  pass.Project(h, {{&w.kv_a, k}});
  ForRows(pass.pool(), h.n_rows, k.n_cols, [&](std::int64_t t) {
    std::copy_n(k.Row(t).data(), n_latent, v.Row(t).data());
    std::copy_n(k.Row(t).data() + n_latent, n_rot(), rotated.Row(t).data());
  });
  NormRows(pass.pool(), v, w.kv_a_norm, config_.norm_eps, v);
  pass.Rotate(rope_, n_rot(), rotated);
  ForRows(pass.pool(), h.n_rows, k.n_cols, [&](std::int64_t t) {
    std::copy_n(v.Row(t).data(), n_latent, k.Row(t).data());
    std::copy_n(rotated.Row(t).data(), n_rot(), k.Row(t).data() + n_latent);
  });
}

void Deepseek2::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                        std::span<float> logits) {
  const DecoderConfig& c = config_;
  const Deepseek2Config& m = mla_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  const std::int64_t n_tokens = pass.n_tokens();
  Rows x = x_.Make(n_tokens, c.n_embd);                      // (T, E)
  Rows h = h_.Make(n_tokens, c.n_embd);                      // (T, E)
  const Rows q = q_.Make(n_tokens, c.n_heads * c.head_dim);  // (T, H*(C+R))
  const Rows k = k_.Make(n_tokens, c.head_dim);              // (T, C+R)
  const Rows v = v_.Make(n_tokens, m.n_latent);              // (T, C)
  Rows a = a_.Make(n_tokens, c.n_heads * m.n_latent);        // (T, H*C)

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo V_b softmax((K_b^T q, rope(q')) (latent, rope(k'))^T * scale) latent,  of h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    Queries(pass, w, h, q);
    Latents(pass, w, h, k, v);
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    const Rows values = values_.Make(a.n_rows, c.n_heads * m.value_dim);  // (T, H*Dv)
    ByHead(pass, w.v_b, a, values);
    pass.Project(values, {{&w.output, h}});
    AddRows(pool, h, x);
    // x += Wdown (silu(Wgate h) * (Wup h)), or experts of this form;  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    if (i < m.n_dense_layers) {
      FeedForward(pass, w.ffn, Gate::kSilu, h);
    } else {
      MixtureFeedForward(pass, w.experts, m.n_ff_shared > 0 ? &w.shared : nullptr, h);
    }
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

// Sizes of latents and heads, and the decoder's sizes as the cache sees them.
Result<> ReadLatentAttention(Keys& keys, Deepseek2Config& m) {
  DecoderConfig& c = m.decoder;
  TATARA_TRY(m.n_query_latent, keys.IntOr("attention.q_lora_rank", 0, {0, kEmbdMax}));
  TATARA_TRY(m.n_latent, keys.Int("attention.kv_lora_rank", {1, kHeadDimMax}));
  m.unsplit = !keys.Has("attention.key_length_mla");
  const IntRange sizes{1, kHeadDimMax};
  TATARA_TRY(const std::int64_t key_size,
             keys.IntOr("attention.key_length_mla", c.head_dim, sizes));
  TATARA_TRY(m.value_dim, keys.IntOr("attention.value_length_mla", c.value_dim, sizes));
  m.plain_dim = static_cast<int>(key_size) - c.rope.n_rot;
  const int cached = m.n_latent + c.rope.n_rot;
  if (m.plain_dim < 1 || cached > kHeadDimMax) {
    return Refuse("{0}: heads of {1} values, {2} of them rotated, over a latent of {3}",
                  keys.origin(), key_size, c.rope.n_rot, m.n_latent);
  }
  const bool fits = m.unsplit
                        ? c.n_kv_heads == c.n_heads
                        : c.n_kv_heads == 1 && c.head_dim == cached && c.value_dim == m.n_latent;
  if (!fits) {
    return Refuse(
        "{0}: {1} key heads of {2} and {3} values do not fit a latent of {4} and {5} rotated "
        "values (key '{6}')",
        keys.origin(), c.n_kv_heads, c.head_dim, c.value_dim, m.n_latent, c.rope.n_rot,
        keys.FullName("attention.kv_lora_rank"));
  }
  c.n_kv_heads = 1;
  c.head_dim = cached;
  c.value_dim = m.n_latent;
  // YaRN's weight of long contexts multiplies the scores, squared, and not cosines and sines.
  double weight = 1;
  if (c.rope.scaling == RopeScaling::kYarn) {
    TATARA_TRY(const double multiplier, keys.Float("rope.scaling.yarn_log_multiplier", {0, 100}));
    TATARA_RETURN_IF_ERROR(keys.OnlyFloat("rope.scaling.attn_factor", 1));
    TATARA_RETURN_IF_ERROR(keys.OnlyFloat("rope.scaling.yarn_attn_factor", 1));
    weight = 1 + multiplier * numerics::LogF64(c.rope.factor);
    c.rope.magnitude = 1;
  }
  m.score_scale = static_cast<float>(weight * weight / std::sqrt(static_cast<double>(key_size)));
  return Ok{};
}

Result<> ReadFeedForward(Keys& keys, const weights::TensorStore& store, Deepseek2Config& m) {
  const DecoderConfig& c = m.decoder;
  TATARA_TRY(m.n_dense_layers, keys.IntOr("leading_dense_block_count", 0, {0, c.n_layers}));
  const std::string first = BlockName(m.n_dense_layers, "exp_probs_b.bias");
  // A bias for the choice came with the sigmoid; older files do not say which of the two it is.
  const bool sigmoid = store.Find(first) != nullptr;
  TATARA_TRY(m.router, ReadRouterConfig(
                           keys, {.score = sigmoid ? RouterScore::kSigmoid : RouterScore::kSoftmax,
                                  .sum_min = 1e-20F}));
  m.router.group_best = m.router.score == RouterScore::kSoftmax ? 1 : 2;
  if (m.router.n_experts == 0) {
    m.n_dense_layers = c.n_layers;
    return Ok{};
  }
  TATARA_TRY(m.n_ff_expert, keys.Int("expert_feed_forward_length", {1, kFfMax}));
  TATARA_TRY(const std::int64_t n_shared, keys.IntOr("expert_shared_count", 0, {0, 64}));
  m.n_ff_shared = static_cast<int>(n_shared * m.n_ff_expert);
  return Ok{};
}

}  // namespace

Result<std::unique_ptr<Model>> LoadDeepseek2(const LoadContext& context) {
  Keys keys(context.store->metadata(), "deepseek2");
  Deepseek2Config config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, {.experts = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, {.linear = true, .yarn = true}));
  TATARA_TRY(config.n_ahead, keys.IntOr("nextn_predict_layers", 0, {0, decoder.n_layers - 1}));
  decoder.n_layers -= config.n_ahead;
  TATARA_RETURN_IF_ERROR(ReadLatentAttention(keys, config));
  TATARA_RETURN_IF_ERROR(ReadFeedForward(keys, *context.store, config));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Deepseek2>(context, config);
}

}  // namespace tatara::model
