// What the encoder architectures share: hyper-parameters read and checked once, one pass over the
// layers for several sequences, and the layer of BERT, which most of them vary in a detail.
//
// Shapes: T tokens of the pass, E n_embd, H heads, D head size, F inner size, V vocabulary.
//
// Thread safety: as Encoder.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "architectures.h"
#include "blocks.h"
#include "decoder.h"
#include "keys.h"
#include "pass.h"
#include "rope.h"
#include "tatara/model/encoder.h"
#include "tensors.h"

namespace tatara::model {

struct EncoderArchitecture {
  std::string_view name;
  Result<std::unique_ptr<Encoder>> (*load)(const LoadContext& context);
};
std::span<const EncoderArchitecture> EncoderArchitectures();

Result<std::unique_ptr<Encoder>> LoadBert(const LoadContext& context);
Result<std::unique_ptr<Encoder>> LoadJinaBertV2(const LoadContext& context);
Result<std::unique_ptr<Encoder>> LoadModernBert(const LoadContext& context);
Result<std::unique_ptr<Encoder>> LoadNomicBert(const LoadContext& context);
// A decoder whose file says how its states are pooled.
Result<std::unique_ptr<Encoder>> LoadEmbeddingDecoder(const LoadContext& context);

struct EncoderConfig {
  int n_layers = 0;
  int n_embd = 0;
  int n_heads = 0;
  int head_dim = 0;
  int n_ff = 0;
  std::int64_t n_ctx = 0;
  float norm_eps = 0;
  std::int64_t n_vocab_key = 0;  // 0: not said
  Pooling pooling = Pooling::kMean;
  double rope_base = 10000;  // where the architecture rotates
  int n_rot = 0;
};

// Everything but what only one architecture has. Poolings: 1 mean, 2 first token, 3 last token, 4
// first token for a classification head.
Result<EncoderConfig> ReadEncoderConfig(Keys& keys);

// Refused where n_rot is odd: rotary positions turn pairs.
Result<> RequireWholePairs(const Keys& keys, const EncoderConfig& config);

// Weight and bias of a layer norm; the bias may be empty.
struct LayerNormWeights {
  std::vector<float> weight, bias;  // (E)
};

class BidirectionalEncoder : public Encoder {
 public:
  BidirectionalEncoder(const LoadContext& context, const EncoderConfig& config);

 protected:
  // x (T, E) of the tokens, and after the last layer what is pooled.
  virtual void Forward(Pass& pass, Rows x) = 0;

  // token_embd, and where there are some, token_types; token_embd_norm.
  Result<> LoadEmbeddings(TensorLoader& tensors, Bias norm_bias);
  // "cls" and "cls.output", where there are some.
  Result<> LoadHead(TensorLoader& tensors);
  Result<> FinishLoading(const TensorLoader& tensors, std::string_view architecture);

  static Result<LayerNormWeights> LoadLayerNorm(TensorLoader& tensors, const std::string& name,
                                                int n, Bias bias);
  // "blk.LAYER.attn_qkv" (3 H*D, E) in one, or attn_q, attn_k and attn_v; attn_output.
  Result<AttentionWeights> LoadAttentionOf(TensorLoader& tensors, int layer, BiasOf bias) const;

  // x = norm(word + segment (+ rows of `positions`)): (T, E).
  void Embed(Pass& pass, const Embedding* positions, Rows x);
  // h = Wo attention(h) + bo, in place; rope may be null.
  void Attend(Pass& pass, const AttentionWeights& w, const numerics::AttentionShape& shape,
              RotaryTable* rope, Rows h);
  void Norm(Pass& pass, const LayerNormWeights& w, Rows x, Rows y) const;
  // All tokens see each other; window 0, or the distance seen is window / 2.
  numerics::AttentionShape ShapeOf(int window = 0) const;
  Rows Scratch(Pass& pass);  // (T, E), for a layer's h
  std::string origin() const { return store_->path().string(); }

  void Head(std::span<float> pooled, ThreadPool& pool, std::span<float> scores) override;

  EncoderConfig config_;

 private:
  Result<std::span<const float>> States(std::span<const EncoderInput> inputs,
                                        ThreadPool& pool) override;
  // One sequence's slice each, with pages of its own.
  Result<> MakeSlices(std::span<const EncoderInput> inputs);

  std::shared_ptr<const weights::TensorStore> store_;  // the embedding reads its mapped file
  Embedding embedding_;                                // (V, E)
  std::vector<float> segments_;                        // (n_segments, E)
  LayerNormWeights embedding_norm_;
  Linear dense_, classes_;  // of the head: (E, E) with tanh after it, or empty; (n_classes, E)

  PassScratch scratch_;
  std::unique_ptr<KvPool> kv_;  // one layer's keys and values, since no other needs them
  std::vector<int> pages_;
  std::vector<SequenceSlice> slices_;
  std::vector<std::uint8_t> segment_of_token_;
  RowBuffer x_, h_, q_, k_, v_, a_, pooled_;
};

template <typename T, typename Config>
Result<std::unique_ptr<Encoder>> LoadEncoder(const LoadContext& context, const Config& config) {
  TensorLoader tensors(*context.store, context.pool, context.progress);
  auto encoder = std::make_unique<T>(context, config);
  TATARA_RETURN_IF_ERROR(encoder->LoadTensors(tensors));
  return std::unique_ptr<Encoder>(std::move(encoder));
}

}  // namespace tatara::model
