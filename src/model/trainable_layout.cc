#include "trainable_layout.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "tatara/base/philox.h"
#include "tatara/numerics/functions.h"

namespace tatara::model {
namespace {

constexpr int kDimensionMax = 1 << 17;
constexpr int kVocabularyMax = 1 << 21;
constexpr int kLayersMax = 1024;
constexpr int kHeadDimMax = 1024;  // that can be given
constexpr std::int64_t kValuesMax = std::int64_t{1} << 40;

enum class Windows { kNone, kEveryLayer, kByPeriod };

struct Family {
  std::string_view name;
  numerics::NormKind norm = numerics::NormKind::kRms;
  numerics::Activation activation = numerics::Activation::kSilu;
  bool gated = true, rotary = true;
  numerics::RopeLayout rope = numerics::RopeLayout::kHalves;
  bool fused = false;     // q, k and v in one matrix
  bool qkv_bias = false;  // of q, k and v
  bool biases = false;    // of the other matrices
  bool qk_norms = false, post_norms = false;
  bool scaled_embedding = false;  // by the root of n_embd
  Windows windows = Windows::kNone;
  int window_period = 0;
  bool window_rope = false;  // layers with a window have a base of their own
  bool caps = false;
  int n_layers_27b = 0;  // of the model whose scores are scaled otherwise (gemma2.cc, gemma3.cc)
};

// GPT-2: Radford et al. 2019. Llama: arXiv:2302.13971; Mistral: arXiv:2310.06825. Qwen2:
// arXiv:2407.10671. Qwen3: arXiv:2505.09388. Gemma 2: arXiv:2408.00118. Gemma 3: arXiv:2503.19786.
constexpr Family kFamilies[] = {
    {.name = "gpt2",
     .norm = numerics::NormKind::kLayer,
     .activation = numerics::Activation::kGeluTanh,
     .gated = false,
     .rotary = false,
     .fused = true,
     .qkv_bias = true,
     .biases = true},
    {.name = "llama", .rope = numerics::RopeLayout::kPairs, .windows = Windows::kEveryLayer},
    {.name = "qwen2", .qkv_bias = true},
    {.name = "qwen3", .qk_norms = true},
    {.name = "gemma2",
     .activation = numerics::Activation::kGeluTanh,
     .post_norms = true,
     .scaled_embedding = true,
     .windows = Windows::kByPeriod,
     .window_period = 2,
     .caps = true,
     .n_layers_27b = 46},
    {.name = "gemma3",
     .activation = numerics::Activation::kGeluTanh,
     .qk_norms = true,
     .post_norms = true,
     .scaled_embedding = true,
     .windows = Windows::kByPeriod,
     .window_period = 6,
     .window_rope = true,
     .n_layers_27b = 62},
};

Result<const Family*> FindFamily(std::string_view name) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.name == name) return &family;
    if (!known.empty()) known += ", ";
    known += family.name;
  }
  return Refuse("the architecture '{0}' can not be trained here; {1} can", name, known);
}

Result<> CheckRange(std::string_view what, int value, int max) {
  if (value >= 1 && value <= max) return Ok{};
  return Refuse("model shape: {0} is {1}; 1 to {2} is accepted", what, value, max);
}

int HeadDim(const TrainableShape& s) {
  return s.head_dim != 0 ? s.head_dim : s.n_embd / s.n_heads;
}

// What only some families have must be left out of the others.
Result<> CheckWindows(const TrainableShape& s, const Family& family) {
  const auto refuse = [&](std::string_view key) {
    return Refuse("model shape: the architecture '{0}' does not take {1} as it is given",
                  s.architecture, key);
  };
  if (s.window < 0 || s.window > 1 << 20 || (s.window > 0 && family.windows == Windows::kNone)) {
    return refuse("window");
  }
  if (s.window_period < 0 || s.window_period > kLayersMax ||
      (s.window_period > 0 && family.windows != Windows::kByPeriod)) {
    return refuse("window_period");
  }
  if (!(s.rope_base_window > 1 && s.rope_base_window < 1e12)) return refuse("rope_base_window");
  const auto cap_fits = [&](double cap) {
    return cap == 0 || (family.caps && cap >= 1e-3 && cap <= 1e6);
  };
  if (!cap_fits(s.score_cap)) return refuse("score_cap");
  if (!cap_fits(s.logit_cap)) return refuse("logit_cap");
  return Ok{};
}

Result<> CheckShape(const TrainableShape& s, const Family& family) {
  TATARA_RETURN_IF_ERROR(CheckRange("n_vocab", s.n_vocab, kVocabularyMax));
  TATARA_RETURN_IF_ERROR(CheckRange("n_layers", s.n_layers, kLayersMax));
  TATARA_RETURN_IF_ERROR(CheckRange("n_embd", s.n_embd, kDimensionMax));
  TATARA_RETURN_IF_ERROR(CheckRange("n_heads", s.n_heads, s.n_embd));
  TATARA_RETURN_IF_ERROR(CheckRange("n_kv_heads", s.n_kv_heads, s.n_heads));
  TATARA_RETURN_IF_ERROR(CheckRange("n_ff", s.n_ff, kDimensionMax));
  TATARA_RETURN_IF_ERROR(CheckRange("n_ctx", s.n_ctx, 1 << 20));
  if (s.head_dim != 0) TATARA_RETURN_IF_ERROR(CheckRange("head_dim", s.head_dim, kHeadDimMax));
  if (s.head_dim == 0 && s.n_embd % s.n_heads != 0) {
    return Refuse("model shape: n_embd {0} is not a multiple of n_heads {1}", s.n_embd, s.n_heads);
  }
  if (s.n_heads % s.n_kv_heads != 0 || (family.fused && s.n_heads != s.n_kv_heads)) {
    return Refuse("model shape: {0} key heads do not fit {1} heads of the architecture '{2}'",
                  s.n_kv_heads, s.n_heads, s.architecture);
  }
  const int head_dim = HeadDim(s);
  if (family.rotary && head_dim % 2 != 0) {
    return Refuse("model shape: rotary positions need an even head size, not {0}", head_dim);
  }
  if (!(s.norm_eps > 0 && s.norm_eps < 1) || !(s.rope_base > 1 && s.rope_base < 1e12)) {
    return Refuse("model shape: norm_eps {0} or rope_base {1} is out of range", s.norm_eps,
                  s.rope_base);
  }
  return CheckWindows(s, family);
}

// Hands out places in the array.
class Layer {
 public:
  Layer(TrainableLayout& layout, std::string prefix)
      : layout_(layout), prefix_(std::move(prefix)) {}

  std::int64_t Matrix(const std::string& name, std::int64_t n_rows, std::int64_t n_cols,
                      double deviation) {
    return Take({.name = prefix_ + name + ".weight",
                 .n_rows = n_rows,
                 .n_cols = n_cols,
                 .decays = true,
                 .deviation = deviation});
  }
  std::int64_t Vector(const std::string& name, std::int64_t n, float start) {
    return Take({.name = prefix_ + name, .n_rows = 1, .n_cols = n, .start = start});
  }
  NormPart Norm(const std::string& name, std::int64_t n) {
    NormPart part;
    part.weight = Vector(name + ".weight", n, 1);
    if (layout_.norm == numerics::NormKind::kLayer) part.bias = Vector(name + ".bias", n, 0);
    return part;
  }
  NormPart Norm(const std::string& name) { return Norm(name, layout_.shape.n_embd); }
  LinearPart Linear(const std::string& name, std::int64_t n_rows, std::int64_t n_cols,
                    std::int64_t column, bool bias, double deviation) {
    LinearPart part{.n_outputs = n_rows, .column = column};
    part.weight = Matrix(name, n_rows, n_cols, deviation);
    if (bias) part.bias = Vector(name + ".bias", n_rows, 0);
    return part;
  }

 private:
  std::int64_t Take(Parameter parameter) {
    parameter.offset = layout_.n_values;
    layout_.n_values += (parameter.size() + 15) / 16 * 16;
    layout_.parameters.push_back(parameter);
    return parameter.offset;
  }
  TrainableLayout& layout_;
  std::string prefix_;
};

// Standard deviation 0.02, smaller by sqrt(2 * layers) where a block is added to the residual
// stream (Radford et al. 2019).
constexpr double kDeviation = 0.02;

LayerParts LayOutLayer(TrainableLayout& layout, const Family& family, int index) {
  const TrainableShape& s = layout.shape;
  const double small = kDeviation / std::sqrt(2.0 * s.n_layers);
  const std::int64_t n_q = layout.n_q(), n_kv = layout.n_kv();
  Layer layer(layout, "blk." + std::to_string(index) + ".");
  LayerParts parts;
  parts.attn_norm = layer.Norm("attn_norm");
  const auto add = [&](const char* name, std::int64_t n, std::int64_t column) {
    parts.qkv.push_back(layer.Linear(name, n, s.n_embd, column, family.qkv_bias, kDeviation));
  };
  if (family.fused) {
    add("attn_qkv", n_q + 2 * n_kv, 0);
  } else {
    add("attn_q", n_q, 0);
    add("attn_k", n_kv, n_q);
    add("attn_v", n_kv, n_q + n_kv);
  }
  if (family.qk_norms) {
    parts.q_norm = layer.Norm("attn_q_norm", layout.head_dim);
    parts.k_norm = layer.Norm("attn_k_norm", layout.head_dim);
  }
  parts.output = layer.Linear("attn_output", s.n_embd, n_q, 0, family.biases, small);
  if (family.post_norms) parts.attn_post_norm = layer.Norm("post_attention_norm");
  parts.ffn_norm = layer.Norm("ffn_norm");
  if (family.gated)
    parts.inner.push_back(layer.Linear("ffn_gate", s.n_ff, s.n_embd, 0, family.biases, kDeviation));
  parts.inner.push_back(layer.Linear("ffn_up", s.n_ff, s.n_embd, family.gated ? s.n_ff : 0,
                                     family.biases, kDeviation));
  parts.down = layer.Linear("ffn_down", s.n_embd, s.n_ff, 0, family.biases, small);
  if (family.post_norms) parts.ffn_post_norm = layer.Norm("post_ffw_norm");
  return parts;
}

// Four values of the standard normal distribution by Box and Muller's transform in our f64.
std::array<double, 4> NormalValues(std::uint64_t seed, std::uint32_t tensor, std::uint64_t block) {
  const auto words = RandomWords(
      {.seed = seed, .purpose = RandomPurpose::kInitialise, .choice = tensor, .position = block});
  std::array<double, 4> values{};
  for (int pair = 0; pair < 2; ++pair) {
    const double u = (static_cast<double>(words[2 * pair]) + 1) * 0x1p-32;
    const double angle = static_cast<double>(words[2 * pair + 1]) * 0x1.921fb54442d18p-30;
    const double radius = std::sqrt(-2 * numerics::LogF64(u));
    values[2 * pair] = radius * numerics::CosF64(angle);
    values[2 * pair + 1] = radius * numerics::SinF64(angle);
  }
  return values;
}

}  // namespace

Result<TrainableLayout> LayOut(const TrainableShape& wanted) {
  TATARA_TRY(const Family* family, FindFamily(wanted.architecture));
  TrainableLayout layout;
  layout.shape = wanted;
  TrainableShape& s = layout.shape;
  if (s.n_kv_heads == 0) s.n_kv_heads = s.n_heads;
  if (s.n_ff == 0 && s.n_embd <= kDimensionMax / 4) s.n_ff = 4 * s.n_embd;
  TATARA_RETURN_IF_ERROR(CheckShape(s, *family));
  layout.norm = family->norm;
  layout.activation = family->activation;
  layout.gated = family->gated;
  layout.rope = family->rope;
  layout.qk_norms = family->qk_norms;
  layout.post_norms = family->post_norms;
  layout.head_dim = HeadDim(s);
  const bool is_27b = family->n_layers_27b != 0 && s.n_layers == family->n_layers_27b;
  layout.score_size = is_27b ? std::max(1, s.n_embd / s.n_heads) : layout.head_dim;
  if (family->scaled_embedding) layout.embedding_scale = std::sqrt(static_cast<float>(s.n_embd));
  if (s.window_period == 0) s.window_period = family->window_period;
  if (family->rotary) layout.rope_bases.push_back(s.rope_base);
  if (family->window_rope) layout.rope_bases.push_back(s.rope_base_window);
  Layer ends(layout, "");
  layout.embedding = ends.Matrix("token_embd", s.n_vocab, s.n_embd, kDeviation);
  if (!family->rotary) {
    layout.positions = ends.Matrix("position_embd", s.n_ctx, s.n_embd, kDeviation);
  }
  for (int i = 0; i < s.n_layers; ++i) layout.layers.push_back(LayOutLayer(layout, *family, i));
  layout.final_norm = ends.Norm("output_norm");
  layout.head = s.tied ? layout.embedding : ends.Matrix("output", s.n_vocab, s.n_embd, kDeviation);
  if (layout.n_values > kValuesMax) {
    return Refuse("model shape: {0} values, at most {1} are accepted", layout.n_values, kValuesMax);
  }
  return layout;
}

void Trainable::Initialise(std::uint64_t seed, std::span<float> weights, ThreadPool& pool) const {
  constexpr std::int64_t kBlocksOfAnItem = 1024;
  std::uint32_t tensor = 0;
  for (float& w : weights) w = 0;
  for (const Parameter& p : parameters()) {
    const std::span<float> values =
        weights.subspan(static_cast<std::size_t>(p.offset), static_cast<std::size_t>(p.size()));
    const std::int64_t n_blocks = (p.size() + 3) / 4;
    pool.For((n_blocks + kBlocksOfAnItem - 1) / kBlocksOfAnItem, [&](std::int64_t item, int) {
      const std::int64_t end = std::min(n_blocks, (item + 1) * kBlocksOfAnItem);
      for (std::int64_t block = item * kBlocksOfAnItem; block < end; ++block) {
        const auto first = static_cast<std::size_t>(4 * block);
        const std::span<float> four =
            values.subspan(first, std::min<std::size_t>(4, values.size() - first));
        if (p.deviation == 0) {
          std::fill(four.begin(), four.end(), p.start);
          continue;
        }
        const auto normal = NormalValues(seed, tensor, static_cast<std::uint64_t>(block));
        for (std::size_t i = 0; i < four.size(); ++i) {
          four[i] = static_cast<float>(p.deviation * normal[i]);
        }
      }
    });
    ++tensor;
  }
}

Metadata Trainable::Keys() const {
  const TrainableShape& s = shape();
  Metadata keys("trained model");
  const auto set = [&](const char* name, Metadata::Value value) {
    keys.Set(s.architecture + "." + name, std::move(value));
  };
  keys.Set("general.architecture", s.architecture);
  set("context_length", static_cast<std::uint64_t>(s.n_ctx));
  set("embedding_length", static_cast<std::uint64_t>(s.n_embd));
  set("block_count", static_cast<std::uint64_t>(s.n_layers));
  set("feed_forward_length", static_cast<std::uint64_t>(s.n_ff));
  set("attention.head_count", static_cast<std::uint64_t>(s.n_heads));
  set("attention.head_count_kv", static_cast<std::uint64_t>(s.n_kv_heads));
  if (s.head_dim != 0) {
    set("attention.key_length", static_cast<std::uint64_t>(s.head_dim));
    set("attention.value_length", static_cast<std::uint64_t>(s.head_dim));
  }
  if (s.architecture == "gpt2") {
    set("attention.layer_norm_epsilon", s.norm_eps);
  } else {
    set("attention.layer_norm_rms_epsilon", s.norm_eps);
    set("rope.freq_base", s.rope_base);
  }
  const bool by_period = s.window_period != 0;
  if (s.window != 0 || by_period) {
    set("attention.sliding_window", static_cast<std::uint64_t>(s.window));
  }
  // The family's own period goes without saying, as in published files.
  const auto family = FindFamily(s.architecture);
  if (by_period && family.ok() && s.window_period != (*family)->window_period) {
    set("attention.sliding_window_pattern", static_cast<std::uint64_t>(s.window_period));
  }
  if (s.architecture == "gemma3") set("rope.freq_base_swa", s.rope_base_window);
  if (s.architecture == "gemma2") {
    set("attn_logit_softcapping", s.score_cap);
    set("final_logit_softcapping", s.logit_cap);
  }
  return keys;
}

namespace {

// What an adapter needs besides, in floats for n rows: its input dropped, what it adds, the
// gradient before DoRA's magnitudes, and its narrow rows.
double AdapterFloats(const std::vector<Parameter>& parameters, double n_rows) {
  double rank = 0, n_in = 0, n_out = 0, n_dora = 0;
  for (const Parameter& p : parameters) {
    if (p.name.ends_with(".lora_a")) {
      rank = static_cast<double>(p.n_rows);
      n_in = std::max(n_in, static_cast<double>(p.n_cols));
    } else if (p.name.ends_with(".lora_b")) {
      n_out = std::max(n_out, static_cast<double>(p.n_rows));
    } else if (p.name.ends_with(".lora_magnitude")) {
      n_dora = std::max(n_dora, static_cast<double>(p.n_cols));
    }
  }
  return (2 * rank + n_in + n_out + n_dora) * n_rows;
}

}  // namespace

double Trainable::ActivationBytes(double n_positions, const TrainableOptions& options) const {
  const TrainableShape& s = shape();
  const double n_embd = s.n_embd, n_ff = s.n_ff, n_layers = s.n_layers;
  const double head_dim = HeadDim(s);
  const double n_qkv = head_dim * (s.n_heads + 2.0 * s.n_kv_heads);
  const bool gemma = s.architecture.starts_with("gemma");
  // Gemma and Qwen3 keep what goes into the norms of heads, Gemma what goes into those after
  // blocks.
  const double normed_heads = s.architecture == "qwen3" || s.architecture == "gemma3"
                                  ? head_dim * (s.n_heads + s.n_kv_heads)
                                  : 0;
  const auto family = FindFamily(s.architecture);
  const double n_inner =
      (family.ok() && !(*family)->gated ? 2 : 3) * n_ff;  // with what is activated
  // One layer's own state and, once more, its gradients; the stream before each layer; the ends.
  const double layer =
      (gemma ? 5 : 3) * n_embd + head_dim * s.n_heads + n_qkv + n_inner + normed_heads;
  // As bf16: all layers with the streams before them, but not what is activated, beside one that is
  // in work.
  const bool stored = options.storage == Storage::kBF16 && !options.recompute;
  const double n_whole = options.recompute || stored ? 1 : n_layers;
  const double halves = stored ? n_layers * (layer + n_embd - n_ff) : 0;
  const double floats = layer * (n_whole + 1) + ((stored ? 1 : n_layers) + 5) * n_embd + halves / 2;
  const double n_logits = std::min(n_positions, static_cast<double>(HeadRows(s.n_vocab))) *
                          s.n_vocab * (s.logit_cap == 0 ? 1 : 2);
  return 4 * (floats * n_positions + n_logits + AdapterFloats(parameters(), n_positions));
}

}  // namespace tatara::model
