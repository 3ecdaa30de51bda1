// BERT and, in the form of its files without the two unused rows of positions, XLM-RoBERTa; also
// their cross-encoders, which judge a pair of texts by a head over the first token. Learned
// positions, a norm after each block, the exact GELU (erf). Sources: Devlin et al. 2018
// (arXiv:1810.04805), Conneau et al. 2019 (arXiv:1911.02116).
//
// Shapes: T tokens of the pass, E n_embd, F inner size, P positions.

#include <algorithm>
#include <utility>

#include "encoder_base.h"

namespace tatara::model {
namespace {

class Bert final : public BidirectionalEncoder {
 public:
  using BidirectionalEncoder::BidirectionalEncoder;
  Result<> LoadTensors(TensorLoader& tensors);

 private:
  void Forward(Pass& pass, Rows x) override;

  struct Layer {
    AttentionWeights attn;
    LayerNormWeights attn_norm;  // (E)
    Linear up, down;             // (F, E), (E, F)
    LayerNormWeights ffn_norm;   // (E)
  };
  Embedding positions_;  // (P, E)
  std::vector<Layer> layers_;
};

Result<> Bert::LoadTensors(TensorLoader& tensors) {
  const EncoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEmbeddings(tensors, Bias::kRequired));
  TATARA_TRY(positions_, tensors.LoadEmbedding("position_embd.weight", c.n_embd, c.n_ctx));
  if (positions_.table.n_rows() != c.n_ctx) {
    return Refuse("{0}: the tensor '{1}' has {2} rows for {3} positions (key '{4}')", origin(),
                  "position_embd.weight", positions_.table.n_rows(), c.n_ctx,
                  "bert.context_length");
  }
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn,
               LoadAttentionOf(tensors, i, {.qkv = Bias::kOptional, .output = Bias::kOptional}));
    TATARA_TRY(w.attn_norm,
               LoadLayerNorm(tensors, BlockName(i, "attn_output_norm"), c.n_embd, Bias::kRequired));
    TATARA_TRY(w.up, tensors.LoadLinear(BlockName(i, "ffn_up"), c.n_ff, c.n_embd, Bias::kOptional));
    TATARA_TRY(w.down,
               tensors.LoadLinear(BlockName(i, "ffn_down"), c.n_embd, c.n_ff, Bias::kOptional));
    TATARA_TRY(w.ffn_norm, LoadLayerNorm(tensors, BlockName(i, "layer_output_norm"), c.n_embd,
                                         Bias::kRequired));
  }
  TATARA_RETURN_IF_ERROR(LoadHead(tensors));
  return FinishLoading(tensors, "bert");
}

void Bert::Forward(Pass& pass, Rows x) {
  ThreadPool& pool = pass.pool();
  const Rows f = pass.scratch().up.Make(x.n_rows, config_.n_ff);  // (T, F)
  Embed(pass, &positions_, x);
  const Rows h = Scratch(pass);  // (T, E)
  for (const Layer& w : layers_) {
    // x = norm(x + Wo attention(x) + bo)
    std::copy_n(x.data, x.size(), h.data);
    Attend(pass, w.attn, ShapeOf(), nullptr, h);
    AddRows(pool, h, x);
    Norm(pass, w.attn_norm, x, x);
    // x = norm(x + Wdown gelu(Wup x + bup) + bdown)
    pass.Project(x, {{&w.up, f}});
    GeluErfRows(pool, f);
    pass.Project(f, {{&w.down, h}});
    AddRows(pool, h, x);
    Norm(pass, w.ffn_norm, x, x);
  }
}

}  // namespace

Result<std::unique_ptr<Encoder>> LoadBert(const LoadContext& context) {
  Keys keys(context.store->metadata(), "bert");
  TATARA_TRY(const EncoderConfig config, ReadEncoderConfig(keys));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadEncoder<Bert>(context, config);
}

}  // namespace tatara::model
