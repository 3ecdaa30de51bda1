// The shape of weights that are there: what a container's keys and tensors say, read so that
// nothing of it is lost. Keys are GGUF's; the check at the end is that the shape's own keys say the
// same.
#include <algorithm>
#include <array>
#include <limits>

#include "tatara/base/utf8.h"
#include "tatara/model/trainable_base.h"
#include "trainable_layout.h"

namespace tatara::model {
namespace {

class KeyReader {
 public:
  KeyReader(const Metadata& keys, std::string architecture)
      : keys_(keys), prefix_(std::move(architecture) + ".") {}

  bool Has(std::string_view name) const { return keys_.Has(prefix_ + std::string(name)); }
  Result<int> Int(std::string_view name) const {
    TATARA_TRY(const std::int64_t value, keys_.Int(prefix_ + std::string(name)));
    return Narrow(name, value);
  }
  Result<int> IntOr(std::string_view name, int otherwise) const {
    TATARA_TRY(const std::int64_t value, keys_.IntOr(prefix_ + std::string(name), otherwise));
    return Narrow(name, value);
  }
  Result<double> FloatOr(std::string_view name, double otherwise) const {
    return keys_.FloatOr(prefix_ + std::string(name), otherwise);
  }

 private:
  Result<int> Narrow(std::string_view name, std::int64_t value) const {
    if (value >= 0 && value <= std::numeric_limits<int>::max()) return static_cast<int>(value);
    return Refuse("{0}: the key '{1}' is {2}", keys_.origin(), prefix_ + std::string(name), value);
  }
  const Metadata& keys_;
  std::string prefix_;
};

Result<> ReadSizes(const weights::TensorStore& store, const KeyReader& keys, TrainableShape& s) {
  TATARA_TRY(s.n_layers, keys.Int("block_count"));
  TATARA_TRY(s.n_embd, keys.Int("embedding_length"));
  TATARA_TRY(s.n_ff, keys.Int("feed_forward_length"));
  TATARA_TRY(s.n_heads, keys.Int("attention.head_count"));
  TATARA_TRY(s.n_kv_heads, keys.IntOr("attention.head_count_kv", s.n_heads));
  TATARA_TRY(s.n_ctx, keys.Int("context_length"));
  TATARA_TRY(const int head_dim, keys.IntOr("attention.key_length", 0));
  if (s.n_heads < 1 || head_dim * std::int64_t{s.n_heads} != s.n_embd) s.head_dim = head_dim;
  const weights::TensorView* embedding = store.Find("token_embd.weight");
  if (embedding == nullptr || embedding->n_rows() > std::numeric_limits<int>::max()) {
    return Refuse("{0}: the tensor '{1}' is missing", store.path().string(), "token_embd.weight");
  }
  s.n_vocab = static_cast<int>(embedding->n_rows());
  s.tied = store.Find("output.weight") == nullptr;
  return Ok{};
}

Result<> ReadNumbers(const KeyReader& keys, TrainableShape& s) {
  const char* const eps = s.architecture == "gpt2" ? "attention.layer_norm_epsilon"
                                                   : "attention.layer_norm_rms_epsilon";
  TATARA_TRY(s.norm_eps, keys.FloatOr(eps, s.norm_eps));
  TATARA_TRY(s.rope_base, keys.FloatOr("rope.freq_base", s.rope_base));
  TATARA_TRY(s.window, keys.IntOr("attention.sliding_window", 0));
  TATARA_TRY(s.window_period, keys.IntOr("attention.sliding_window_pattern", 0));
  TATARA_TRY(s.rope_base_window, keys.FloatOr("rope.freq_base_swa", s.rope_base_window));
  TATARA_TRY(s.score_cap, keys.FloatOr("attn_logit_softcapping", 0));
  TATARA_TRY(s.logit_cap, keys.FloatOr("final_logit_softcapping", 0));
  return Ok{};
}

// Keys that say again what the tensors say, or what is so anyway.
Result<bool> SaysNothingNew(const Metadata& keys, std::string_view key, std::string_view name,
                            int head_dim) {
  if (name == "vocab_size") return true;
  for (const char* size :
       {"rope.dimension_count", "attention.key_length", "attention.value_length"}) {
    if (name != size) continue;
    TATARA_TRY(const std::int64_t value, keys.Int(key));
    return value == head_dim;
  }
  if (name == "expert_count" || name == "expert_used_count") {
    TATARA_TRY(const std::int64_t value, keys.Int(key));
    return value == 0;
  }
  if (name == "rope.scaling.type") {
    const auto type = keys.String(key);
    return type.ok() && *type == "none";
  }
  return false;
}

// As f32, which is what a container keeps of them.
bool SameNumber(const Metadata& a, const Metadata& b, std::string_view key) {
  const auto x = a.Float(key), y = b.Float(key);
  return x.ok() && y.ok() && static_cast<float>(*x) == static_cast<float>(*y);
}

Result<> CheckKeys(const Metadata& keys, const Trainable& trainable, int head_dim) {
  const std::string prefix = trainable.shape().architecture + ".";
  const Metadata own = trainable.Keys();
  for (const auto& [key, value] : keys.values()) {
    if (!key.starts_with(prefix)) continue;
    if (own.Has(key) && SameNumber(own, keys, key)) continue;
    TATARA_TRY(const bool fits, SaysNothingNew(keys, key, key.substr(prefix.size()), head_dim));
    if (fits) continue;
    return Refuse("{0}: the key '{1}' asks for something that is not trained here", keys.origin(),
                  Printable(key));
  }
  return Ok{};
}

Result<> CheckTensors(const weights::TensorStore& store, const Trainable& trainable) {
  std::size_t n_found = 0;
  for (const Parameter& p : trainable.parameters()) {
    TATARA_TRY([[maybe_unused]] const weights::TensorView view,
               store.Get(p.name, p.n_rows, p.n_cols));
    ++n_found;
  }
  if (n_found == store.tensors().size()) return Ok{};
  for (const auto& [name, view] : store.tensors()) {
    if (std::ranges::find(trainable.parameters(), name, &Parameter::name) ==
        trainable.parameters().end()) {
      return Refuse("{0}: the tensor '{1}' has no place in the model as it is trained here",
                    store.path().string(), Printable(name));
    }
  }
  return Ok{};
}

}  // namespace

Result<TrainableShape> ShapeOf(const weights::TensorStore& store) {
  const Metadata& metadata = store.metadata();
  TrainableShape shape;
  TATARA_TRY(shape.architecture, metadata.String("general.architecture"));
  const KeyReader keys(metadata, shape.architecture);
  TATARA_RETURN_IF_ERROR(ReadSizes(store, keys, shape));
  TATARA_RETURN_IF_ERROR(ReadNumbers(keys, shape));
  TATARA_TRY(const auto trainable, Trainable::Make(shape));
  TATARA_TRY(const TrainableLayout layout, LayOut(shape));
  TATARA_RETURN_IF_ERROR(CheckKeys(metadata, *trainable, layout.head_dim));
  TATARA_RETURN_IF_ERROR(CheckTensors(store, *trainable));
  return trainable->shape();
}

}  // namespace tatara::model
