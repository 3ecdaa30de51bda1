// Jina's BERT for long texts: no positions but ALiBi, which takes slope times distance from a
// score, and a GELU (erf) gate. Sources: Günther et al. 2023 (arXiv:2310.19923); ALiBi, Press et
// al. 2021 (arXiv:2108.12409), here over the absolute distance.
//
// Shapes: T tokens of the pass, E n_embd, H heads, F inner size.

#include <algorithm>
#include <utility>

#include "encoder_base.h"
#include "tatara/numerics/functions.h"

namespace tatara::model {
namespace {

class JinaBertV2 final : public BidirectionalEncoder {
 public:
  using BidirectionalEncoder::BidirectionalEncoder;
  Result<> LoadTensors(TensorLoader& tensors);

 private:
  void Forward(Pass& pass, Rows x) override;

  struct Layer {
    AttentionWeights attn;
    LayerNormWeights attn_norm;  // (E)
    Linear gate, up, down;       // (F, E), (F, E), (E, F)
    LayerNormWeights ffn_norm;   // (E)
  };
  std::vector<Layer> layers_;
  std::vector<float> slopes_;  // (H)
};

// With n the largest power of two in H: 2^(-8 h / n) for the first n heads (h from 1), then the
// odd steps of the series of 2n heads (arXiv:2108.12409, section 3 and its published code).
std::vector<float> AlibiSlopes(int n_heads) {
  int n = 1;
  while (2 * n <= n_heads) n *= 2;
  std::vector<float> slopes;
  for (int h = 0; h < n_heads; ++h) {
    const double exponent = h < n ? -8.0 * (h + 1) / n : -4.0 * (2 * (h - n) + 1) / n;
    slopes.push_back(static_cast<float>(numerics::PowF64(2.0, exponent)));
  }
  return slopes;
}

Result<> JinaBertV2::LoadTensors(TensorLoader& tensors) {
  const EncoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEmbeddings(tensors, Bias::kRequired));
  slopes_ = AlibiSlopes(c.n_heads);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn,
               LoadAttentionOf(tensors, i, {.qkv = Bias::kOptional, .output = Bias::kOptional}));
    TATARA_TRY(w.attn_norm,
               LoadLayerNorm(tensors, BlockName(i, "attn_output_norm"), c.n_embd, Bias::kRequired));
    TATARA_TRY(w.gate, tensors.LoadLinear(BlockName(i, "ffn_gate"), c.n_ff, c.n_embd));
    TATARA_TRY(w.up, tensors.LoadLinear(BlockName(i, "ffn_up"), c.n_ff, c.n_embd));
    TATARA_TRY(w.down,
               tensors.LoadLinear(BlockName(i, "ffn_down"), c.n_embd, c.n_ff, Bias::kOptional));
    TATARA_TRY(w.ffn_norm, LoadLayerNorm(tensors, BlockName(i, "layer_output_norm"), c.n_embd,
                                         Bias::kRequired));
  }
  return FinishLoading(tensors, "jina-bert-v2");
}

void JinaBertV2::Forward(Pass& pass, Rows x) {
  ThreadPool& pool = pass.pool();
  numerics::AttentionShape shape = ShapeOf();
  shape.alibi_slopes = slopes_;
  const Rows g = pass.scratch().gate.Make(x.n_rows, config_.n_ff);  // (T, F)
  const Rows u = pass.scratch().up.Make(x.n_rows, config_.n_ff);    // (T, F)
  Embed(pass, nullptr, x);
  const Rows h = Scratch(pass);  // (T, E)
  for (const Layer& w : layers_) {
    // x = norm(x + Wo attention(x) + bo)
    std::copy_n(x.data, x.size(), h.data);
    Attend(pass, w.attn, shape, nullptr, h);
    AddRows(pool, h, x);
    Norm(pass, w.attn_norm, x, x);
    // x = norm(x + Wdown (gelu(Wgate x) * (Wup x)) + bdown)
    pass.Project(x, {{&w.gate, g}, {&w.up, u}});
    GeluErfMulRows(pool, g, u);
    pass.Project(g, {{&w.down, h}});
    AddRows(pool, h, x);
    Norm(pass, w.ffn_norm, x, x);
  }
}

}  // namespace

Result<std::unique_ptr<Encoder>> LoadJinaBertV2(const LoadContext& context) {
  Keys keys(context.store->metadata(), "jina-bert-v2");
  TATARA_TRY(const EncoderConfig config, ReadEncoderConfig(keys));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadEncoder<JinaBertV2>(context, config);
}

}  // namespace tatara::model
