// What each command was asked to do, as plain values. Filled by the parser (parse_*.cc), read by
// the commands; no command sees the parser.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tatara::cli {

// How a model is opened.
struct ModelOptions {
  std::string model;  // catalogue name, local name or path
  std::string activations = "int8";
  int n_threads = 0;
  std::int64_t context_tokens = 0;
  std::string adapter;       // "PATH[:SCALE]"; empty: none
  std::string adapter_name;  // by which it is recorded; empty: its path
  bool merge = false;        // add it to the weights instead of keeping it beside them
  bool requantise = false;   // merged: back to a type like the one that each matrix had
};

struct SamplingOptions {
  double temperature = 0;
  int top_k = 0;
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::vector<std::string> logit_bias;  // "ID=BIAS"
  std::optional<std::uint64_t> seed;
};

struct PullOptions {
  std::vector<std::string> models;
  std::string from;       // a folder of files brought by hand
  std::string link_into;  // a folder that gets a link to each file
  bool accept_licence = false;
  bool json = false;
};

struct RemoveOptions {
  std::vector<std::string> models;
  bool json = false;
};

struct ModelsOptions {
  bool names = false;  // only the names, for completion
  bool json = false;
};

struct RunOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::optional<std::string> prompt;
  std::string chat_file;  // messages as JSON
  int tokens_max = 256;
  std::vector<std::string> stop;
  int logprobs = -1;
  bool ignore_end = false;
  std::string receipt;
  bool redact = false;
  bool json = false;
};

struct ChatOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::string system;
  int tokens_max = 1024;
};

struct AskOptions {
  ModelOptions model;  // model empty: the default, see DefaultAskModel
  std::string question;
  std::string collection = "default";
  int tokens_max = 300;
  std::string receipt;
  bool redact = false;
  bool json = false;
};

struct DocumentsOptions {
  enum class Action { kAdd, kList, kRemove } action = Action::kList;
  std::vector<std::string> paths;
  std::string collection = "default";
  bool all = false;  // remove: the whole collection
  bool json = false;
};

struct InspectOptions {
  std::string model;
  bool digest = false;
  bool json = false;
};

struct TokenizeOptions {
  std::string model;
  std::string chat_file;
  bool special = false;
  bool bare = false;  // without what the model asks for around a text
  bool json = false;
};

struct TemplateOptions {
  std::string file;
  std::string input;  // the context as one JSON object
  bool json = false;
};

struct LogitsOptions {
  ModelOptions model;
  std::vector<std::int32_t> tokens;
  int top = 20;
  bool json = false;
};

// An embedding model, and how it is opened.
struct EmbedderModelOptions {
  std::string model;
  std::string activations = "int8";
  int n_threads = 0;
};

struct EmbedOptions {
  EmbedderModelOptions model;
  std::vector<std::int32_t> tokens;  // instead of lines
  std::string role = "passage";      // "query", "passage", "plain"
  bool raw = false;                  // not scaled to length 1
  int dimensions = 0;                // 0: all
  bool special = false;
  bool json = false;
};

struct RerankOptions {
  EmbedderModelOptions model;
  std::string query;
  bool json = false;
};

struct ExportOptions {
  ModelOptions model;     // the adapter's options count, the others do not
  std::string to = "hf";  // or "gguf"
  std::string folder;     // where to write; or `out`
  std::string out;
  std::string dtype = "f32";
  bool json = false;
};

struct LineageOptions {
  std::string what;
  bool mermaid = false;
  std::string page;
  bool json = false;
};

struct LedgerOptions {
  enum class Action { kLog, kVerify, kCheckpoint, kKey, kCollect, kObject } action = Action::kLog;
  std::string earlier;
  std::string key;
  bool dry_run = false;  // collect
  std::string object;    // its digest
  bool json = false;
};

struct ServeOptions {
  std::string config;                                         // empty: HOME/tatara.toml, if there
  std::vector<std::string> models;                            // empty: as configured
  std::vector<std::pair<std::string, std::string>> settings;  // stronger than the file
  bool check = false;
  bool print_config = false;
};

struct KeysOptions {
  enum class Action { kAdd, kList, kRevoke } action = Action::kList;
  std::string name;  // revoke: or the id
  std::string tenant = "default";
  bool json = false;
};

struct BenchOptions {
  ModelOptions model;
  int prompt_tokens = 512;
  int generate_tokens = 64;
  int batch = 1;
  int rounds = 3;
  int long_prompt_tokens = 0;  // 0: the usual measurement
  int step_ms_max = 100;
  bool json = false;
};

struct VerifyOptions {
  std::string file;    // or a run, a checkpoint, a name or digest that the ledger knows
  std::string ledger;  // the folder of another machine's log; empty: this machine's
  std::string key;     // of that log
  bool json = false;
};

struct ReplayOptions {
  std::string file;       // or a run
  std::string steps;      // of a run: "a..b", both included; empty: all
  std::string data;       // of a run: the folder of its data
  std::string model;      // where the receipt's model lies, if not where this machine would look
  std::string originals;  // the texts that a redacted receipt left out
  std::string adapter;    // where the receipt's adapter lies, if not where the receipt says
  int n_threads = 0;
  bool json = false;
};

struct PrepareOptions {
  std::vector<std::string> inputs;  // files and folders, or one recipe
  std::string tokenizer;
  std::string chat_template;
  std::string out;
  std::string format = "auto";
  std::string unit = "file";
  std::string field, question, answer, sheet;
  int n_threads = 0;
  bool json = false;
};

struct TrainOptions {
  std::string recipe;
  std::string out;  // empty: runs/NAME of the recipe
  int n_threads = 0;
  std::vector<std::string> overrides;  // section.key=value
  bool resume = false;
  int n_workers = 1;
  bool json = false;
};

struct RunsOptions {
  bool json = false;
};

struct DiffOptions {
  std::string a, b;
  bool json = false;
};

struct EstimateOptions {
  std::string recipe;
  std::vector<std::string> overrides;
  int n_threads = 0;
  int n_workers = 1;
  double watts = 0, price_kwh = 0;  // stronger than the recipe's
  std::string currency;             // likewise
  bool by_kernels = false;
  bool json = false;
};

struct CheckpointsOptions {
  std::string run;
  std::string page;
  std::vector<std::string> probes;
  int probe_tokens = 80;
  int n_threads = 0;
  bool json = false;
};

struct TokenizerTrainOptions {
  std::vector<std::string> texts;
  std::string kind = "bpe";
  int vocabulary = 8192;
  std::string out = "tokenizer.json";
  std::string pre = "gpt-2";
  std::int64_t min_frequency = 2;
  std::string unknown = "<unk>";
  std::string normal_form;
  int characters = 0;  // 0: all
  bool byte_fallback = false;
  std::string misplaced;  // an option that was given and belongs to the other kind
  std::vector<std::string> special;
  std::string start, end;  // added to the special tokens where they are not among them
  std::string field;
  std::string each;  // "file" or "line"; empty: as is usual for the kind
  int memory_mib = 2048;
  int n_threads = 0;
  bool json = false;
};

struct DoctorOptions {
  bool isa = false;
  bool json = false;
};

struct VersionOptions {
  bool json = false;
};

struct CompletionOptions {
  std::string shell;
};

}  // namespace tatara::cli
