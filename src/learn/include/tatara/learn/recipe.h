// What a training run does, read from TOML. Every key is in this list; others are refused by name
// with the nearest known one. Thread safety: values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/learn/spikes.h"
#include "tatara/model/trainable.h"
#include "tatara/model/trainable_base.h"

namespace tatara::learn {

// A text, a folder or a file of rows (corpus/reading.h).
struct DataSource {
  std::string name;   // empty: the path's last part without its ending
  std::string path;   // relative to the recipe, else to TATARA_TEST_DATA
  double weight = 0;  // of the mixture; where no source has one, all documents are one set
  std::string format = "auto";  // auto, text, openai, sharegpt, alpaca, pairs
  std::string unit = "file";    // of a text file, what is a document: file, paragraph, line
  std::string field, question, answer, sheet;
  std::string sha256;  // of the file; may be empty
  std::string source;  // where to get it
};

// Other weights of the sources from a step on.
struct DataPhase {
  std::int64_t from_step = 0;
  std::vector<double> weights;
};

// A vocabulary learned from the sources themselves (corpus/tokenizer_training.h).
struct VocabularyRecipe {
  int size = 0;               // tokens; 0: none is learned, data.tokenizer names one
  std::string kind = "bpe";   // or "unigram"
  std::string pre = "gpt-2";  // bpe: how texts are cut first
  std::int64_t min_frequency = 2;
};

struct DataRecipe {
  // "char": a text by characters (corpus/char_text.h); "text" and "chat": the sources, prepared
  // with a tokenizer; "prepared": a set that was prepared (corpus/prepare.h);
  // "stated": none, to be estimated only.
  std::string kind = "char";
  std::string text;  // relative to the recipe, else to TATARA_TEST_DATA
  std::string sha256;
  std::string source;         // where to get it; shown where it is missing
  double validation = 0.1;    // of the characters, or of the documents
  std::string tokenizer;      // a model's name or file, or a tokenizer.json
  std::string chat_template;  // a file; empty: the model's
  std::string set;            // kind "prepared"
  std::string packing;        // "stream" or "whole"; empty: whole for chat, else stream
  VocabularyRecipe vocabulary;
  std::vector<DataSource> sources;
  std::vector<DataPhase> phases;
};

enum class Schedule { kConstant, kLinear, kCosine, kWarmupStableDecay };

// kMuon: matrices inside layers by Muon (muon.h), everything else by AdamW.
enum class OptimizerKind { kAdamW, kMuon };
// What is validated, sampled and kept as the run's weights besides the last ones: see optimizer.h.
enum class Average { kNone, kEma, kLawa };

struct OptimizerRecipe {
  OptimizerKind kind = OptimizerKind::kAdamW;
  Schedule schedule = Schedule::kCosine;
  double learning_rate = 1e-3;
  double learning_rate_end = 1e-4;
  std::int64_t warmup_steps = 0;
  std::int64_t decay_steps = 0;  // of warmup-stable-decay: the last steps, linear
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;                 // of the gradient's norm; 0: none
  double muon_learning_rate = 0.02;  // at its highest; follows the schedule
  double muon_momentum = 0.95;
  model::Storage moments = model::Storage::kF32;  // how they are stored (optimizer.h)
  Average average = Average::kNone;
  double average_decay = 0.999;     // of EMA
  std::int64_t average_every = 50;  // steps between the copies of LAWA
  int average_count = 5;            // of copies
};

// What repeated layers of a deeper phase start as (grow.h).
enum class NewBlocks { kCopy, kIdentity };

struct TrainingRecipe {
  std::uint64_t seed = 1;
  std::int64_t steps = 1000;
  int batch = 8;           // sequences of a step
  int context = 0;         // tokens of a sequence; 0: the model's
  int virtual_shards = 4;  // a power of two
  double dropout = 0;
  double attention_dropout = 0;  // of the attention's weights
  // What is kept for the way back (model/trainable.h).
  model::Storage storage = model::Storage::kF32;
  NewBlocks new_blocks = NewBlocks::kCopy;
};

// How a run is watched and kept; none of it changes a weight.
struct RunRecipe {
  int micro_batch = 0;  // sequences of a pass at most; 0: see learn/passes.h
  bool recompute = false;
  std::int64_t validate_every = 250;
  int validation_sequences = 200;  // of those in between, spread evenly; the last one takes all
  std::int64_t checkpoint_every = 250;
  int checkpoints_kept = 2;       // besides the best
  std::int64_t digest_every = 0;  // digest of the weights into metrics.jsonl; 0: with checkpoints
  std::int64_t sample_every = 500;
  int sample_tokens = 300;
  std::uint64_t checkpoint_bytes_max = 0;  // of all checkpoints together; 0: no bound
  SpikeRecipe spikes;                      // changes weights where something happens
};

// What `tatara estimate` is told besides: how much is trained on where the recipe's steps stand for
// a part of it, and what time costs, here and on other machines. None of it changes a weight.
struct EstimateRecipe {
  double tokens = 0;  // 0: those of training.steps
  double watts = 0;   // of this machine
  double price_kwh = 0, price_hour = 0;
  std::string currency;
  int devices = 0;           // other machines, all together; 0: none are stated
  double device_flops = 0;   // of one, at its peak
  double utilisation = 0.4;  // the share of the peak that training reaches
  double device_watts = 0, device_price_hour = 0;
};

// Weights to start from, or under an adapter: [model] from, a model of this machine, a file, a
// folder, a run or a checkpoint; paths beside the recipe come first.
struct BaseRecipe {
  // What is not as the model has it: a longer context, other rotary positions, more layers
  // (grow.h). Only where all weights train.
  struct Changes {
    std::optional<int> n_layers, n_ctx, window, window_period;
    std::optional<double> rope_base, rope_base_window;
    bool operator==(const Changes&) const = default;
  };
  std::string from;  // empty: none
  Changes changes;
  // By ResolveBase. `name`: a name of the store, or an absolute path.
  std::string name, sha256;
  std::filesystem::path path;
};

enum class AdapterKind { kNone, kLora, kDora };
struct AdapterRecipe {
  AdapterKind kind = AdapterKind::kNone;
  model::AdapterShape shape;
};

// What `tatara tune` does besides training; none of it changes a weight.
struct TuneRecipe {
  std::string held_out;    // questions that no training line has, JSON Lines; empty: none
  int answer_tokens = 64;  // of an answer to them, at most
  bool registers = true;   // under the recipe's name, so that it can be chatted with
};

struct Recipe {
  std::string name;
  DataRecipe data;
  model::TrainableShape model;  // n_vocab 0: that of the data; with a base its shape
  BaseRecipe base;
  AdapterRecipe adapter;
  TuneRecipe tune;
  OptimizerRecipe optimizer;
  TrainingRecipe training;
  RunRecipe run;
  EstimateRecipe estimate;
  std::filesystem::path folder;  // where it lies
  std::string file;              // in errors
  // Where not empty: the run is these, one after the other, each with the schedule of its own steps
  // and fresh moments; training.steps is their sum. Their data is this recipe's.
  std::vector<Recipe> phases;
  // As it was read, so that a run's folder tells the whole of it.
  std::string text;
  std::vector<std::string> overrides;
};

// `overrides`: "section.key=value", the value as in TOML or a bare text.
Result<Recipe> ParseRecipe(std::string_view toml, std::string_view path,
                           const std::vector<std::string>& overrides);
Result<Recipe> ReadRecipe(const std::filesystem::path& path,
                          const std::vector<std::string>& overrides);

// Every key of the recipe's text and of what was changed in it, "section.key", with its value as in
// TOML: what people compare. Empty where the text is no TOML.
std::map<std::string, std::string> RecipeKeys(const Recipe& recipe);

// Finds the base and takes its shape; nothing where there is none. Before a recipe with a base is
// trained, estimated or digested.
Result<> ResolveBase(Recipe& recipe);

// Everything that the weights depend on, besides the data, as one line of JSON; and its SHA-256.
std::string CanonicalRecipe(const Recipe& recipe);
std::string RecipeDigest(const Recipe& recipe);

// Of step 0 .. steps - 1, in f64 with our own cosine.
double LearningRate(const OptimizerRecipe& optimizer, std::int64_t steps, std::int64_t step);

}  // namespace tatara::learn
