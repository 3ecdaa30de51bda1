// A family of models as Hugging Face publishes them: which "architectures" of config.json it is,
// how its tensors are called and laid out there and in GGUF, and how its settings become GGUF's
// keys. One file a family in families/; families.cc lists them.
//
// Source of the names on one side: each model's published checkpoint and transformers' modeling
// file; on the other: the GGUF specification's standard names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "huggingface/config.h"
#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::weights {

// What has to happen to a tensor's values.
enum class Change : std::uint8_t {
  kKeep,         // the file's bytes as they are
  kDrop,         // nothing that is computed with, or said again elsewhere
  kDropTied,     // the head, where config.json says it is the embedding
  kPairs,        // rows of each query head from halves (i, i + D/2) to neighbours (2i, 2i + 1)
  kKeyPairs,     // the same for key heads
  kPlusOne,      // a norm that is published as its difference from 1
  kSqueeze,      // with dimensions of 1 that GGUF has not
  kOneRow,       // a vector that is published as a matrix of one row
  kTranspose,    // stored input x output, for each expert
  kHalves,       // two matrices, one above the other: the first is `to`, the second `second`
  kDropTwoRows,  // RoBERTa counts positions from 2

  // gpt-oss: rows (or numbers) of two matrices in turn, `to` and `second`.
  kEvenOddRows,
  kEvenOdd,
  kTransposeEvenOdd,  // and stored input x output

  // DeepSeek: of every head first K_b, which GGUF has transposed (`to`), then V_b (`second`).
  kKeysAndValues,

  // Delta nets. -exp(x): GGUF has the decay itself.
  kNegativeExp,
  // Key head after key head: its query, its key, the values and the gates of its value heads;
  // queries, keys and values are `to`, gates `second`.
  kQueriesToGates,
  // Value heads that read key head h / ratio there and h mod n here: their rows; their rows after
  // those of queries and keys; their columns.
  kValueHeads,
  kValueHeadsNegativeExp,
  kAfterKeysValueHeads,
  kSqueezeAfterKeysValueHeads,
  kValueHeadColumns,
};

// '#' stands for the layer's number, '*' for the expert's; tensors of several experts become one.
struct Rename {
  std::string_view from, to;
  Change change = Change::kKeep;
  std::string_view second = {};
};

struct MadeTensor {
  std::string name;
  std::vector<float> values;
};

// Sizes that several places need, checked once.
struct FamilySizes {
  std::int64_t n_embd = 0, n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0;
  std::int64_t plain_dim = 0, value_dim = 0;  // of latent attention: unturned keys, and values
  // Of delta nets: heads of keys and of values, and the size of both.
  std::int64_t n_state_heads = 0, n_value_heads = 0, state_dim = 0;
};

// What a family writes its keys with.
class KeyWriter {
 public:
  KeyWriter(const Config& config, std::string_view architecture, Metadata& metadata)
      : config(config), architecture_(architecture), metadata_(metadata) {}

  const Config& config;  // the part of config.json about text
  FamilySizes sizes;
  std::vector<MadeTensor> made;
  // What holds where config.json says nothing: how much of a head is turned; whether every layer
  // may have experts, so that no size of a dense feed-forward is needed.
  double partial_rotary_otherwise = 1;
  bool all_experts = false;

  void Set(std::string_view key, Metadata::Value value) {
    metadata_.Set(std::string(architecture_) + "." + std::string(key), std::move(value));
  }
  void SetInt(std::string_view key, std::int64_t value) {
    Set(key, static_cast<std::uint64_t>(value));
  }
  Metadata& metadata() { return metadata_; }

  // Settings of the same kind under another name; absent ones are left out, or refused.
  Result<> CopyInt(std::string_view from, std::string_view to);
  Result<> CopyFloat(std::string_view from, std::string_view to);
  Result<> NeedInt(std::string_view from, std::string_view to);
  // A setting whose other values ask for something that has no GGUF key.
  Result<> OnlyBool(std::string_view key, bool value) const;
  Result<> OnlyNumber(std::string_view key, double value) const;
  Result<> OnlyString(std::string_view key, std::initializer_list<std::string_view> values) const;

 private:
  std::string_view architecture_;
  Metadata& metadata_;
};

struct Family {
  std::span<const std::string_view> names;  // of config.json's "architectures"
  std::string_view architecture;            // GGUF's name
  std::span<const std::span<const Rename>> renames;
  Result<> (*write_keys)(KeyWriter& keys);
  // Of families that share a name: whether it is this one. Null: it is.
  bool (*is_meant)(const Config& text) = nullptr;
};

// Null where no family has it. `name`: the first of "architectures"; `text` its part of config.json
// about text.
const Family* FindFamily(std::string_view name, const Config& text);
// Those whose models GGUF calls `architecture`.
std::vector<const Family*> FamiliesOfArchitecture(std::string_view architecture);
std::string NearestFamilyName(std::string_view name);

// Sizes, vocabulary, context, heads: what all decoders have. `head_dim` false: GGUF's defaults
// hold.
Result<> WriteDecoderKeys(KeyWriter& keys);
// rope_theta, rope_scaling (or rope_parameters) and partial_rotary_factor.
Result<> WriteRopeKeys(KeyWriter& keys);
// "rms_norm_eps" or what `from` says.
Result<> WriteNormKey(KeyWriter& keys, std::string_view from = "rms_norm_eps",
                      std::string_view to = "attention.layer_norm_rms_epsilon");
Result<> WriteUsualKeys(KeyWriter& keys);  // the three above
// A size of 1 to 2^24; `otherwise` above 0 where the key is absent.
Result<std::int64_t> SizeOf(const Config& config, std::string_view key, std::int64_t otherwise = 0);
// rope_parameters, or rope_scaling as older files call it; of global layers where kinds differ.
Config RopeOf(const Config& config);
// "layer_types", if there: of a layer each, every `period`-th "full_attention".
Result<> OnlyFullEvery(const Config& config, std::int64_t period);
// Layers that predict further tokens follow the others; they are counted, and not run.
Result<> WriteLayersAhead(KeyWriter& keys);
// All layers see a window, or the config says which do; 0 where none does.
Result<std::int64_t> WindowOf(const Config& config);

// Ends and blocks under the names that most decoders share ("layers.#.self_attn.q_proj.weight").
extern const std::span<const Rename> kDecoderEnds;
extern const std::span<const Rename> kAttention;       // rotary pairs as halves, as published
extern const std::span<const Rename> kPairsAttention;  // rotary pairs as GGUF's llama has them
extern const std::span<const Rename> kGatedFfn;
extern const std::span<const Rename> kTwoNorms;
extern const std::span<const Rename> kHeadNorms;
extern const std::span<const Rename> kLayersAhead;

}  // namespace tatara::weights
