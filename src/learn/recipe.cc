#include "tatara/learn/recipe.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "tatara/base/files.h"
#include "tatara/base/nearest.h"
#include "tatara/base/sha256.h"
#include "tatara/numerics/functions.h"

namespace tatara::learn {
namespace {

constexpr std::uint64_t kRecipeBytesMax = 1 << 20;
constexpr std::int64_t kStepsMax = (1 << 24) - 1;  // dropout's key has 24 bits

struct ScheduleName {
  std::string_view name;
  Schedule schedule;
};
constexpr ScheduleName kSchedules[] = {{"constant", Schedule::kConstant},
                                       {"linear", Schedule::kLinear},
                                       {"cosine", Schedule::kCosine},
                                       {"wsd", Schedule::kWarmupStableDecay}};

// One section: each Take names a key, reads it where it is there, and Finish refuses the others.
class Section {
 public:
  Section(const toml::table& root, std::string_view path, std::string_view name)
      : path_(path), name_(name) {
    if (const toml::node* node = root.get(name)) {
      table_ = node->as_table();
      if (table_ == nullptr) Wrong("", "a table");
    }
  }
  void Take(std::string_view key, std::string& value) {
    if (const toml::node* node = Find(key)) {
      if (!node->is_string()) return Wrong(key, "a text");
      value = node->as_string()->get();
    }
  }
  void Take(std::string_view key, bool& value) {
    if (const toml::node* node = Find(key)) {
      if (!node->is_boolean()) return Wrong(key, "true or false");
      value = node->as_boolean()->get();
    }
  }
  void Take(std::string_view key, double& value, double low, double high) {
    if (const toml::node* node = Find(key)) {
      const auto number = node->value<double>();
      if (!node->is_number() || !number || !(*number >= low && *number <= high)) {
        return Wrong(key, fmt::format("{} .. {}", low, high));
      }
      value = *number;
    }
  }
  template <typename Integer>
  void Take(std::string_view key, Integer& value, std::int64_t low, std::int64_t high) {
    if (const toml::node* node = Find(key)) {
      if (!node->is_integer() || node->as_integer()->get() < low ||
          node->as_integer()->get() > high) {
        return Wrong(key, fmt::format("{} .. {}", low, high));
      }
      value = static_cast<Integer>(node->as_integer()->get());
    }
  }
  Result<> Finish() {
    if (error_) return *error_;
    if (table_ == nullptr) return Ok{};
    for (const auto& [key, node] : *table_) {
      if (std::ranges::find(known_, key.str()) != known_.end()) continue;
      const std::string near = Nearest(key.str(), known_);
      if (near.empty()) {
        return Refuse("{0}: [{1}] has the unknown key '{2}'", path_, name_, key.str());
      }
      return Refuse("{0}: [{1}] has the unknown key '{2}'; did you mean '{3}'?", path_, name_,
                    key.str(), near);
    }
    return Ok{};
  }

 private:
  const toml::node* Find(std::string_view key) {
    known_.push_back(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  void Wrong(std::string_view key, std::string_view expected) {
    if (!error_) error_ = Refuse("{0}: {1}.{2} must be {3}", path_, name_, key, expected);
  }
  std::string_view path_, name_;
  const toml::table* table_ = nullptr;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

// toml::parse_error and, of hostile nesting or sizes, other exceptions end here.
Result<toml::table> Parse(std::string_view text, std::string_view path) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& e) {
    return Refuse("{0}:{1}: {2}", path, e.source().begin.line, e.description());
  } catch (const std::exception& e) {
    return Refuse("{0}:{1}: {2}", path, 0, e.what());
  }
}

Result<> Override(toml::table& root, std::string_view path, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::size_t dot = text.find('.');
  if (equals == std::string::npos || (dot != std::string::npos && dot > equals)) {
    if (equals == std::string::npos) {
      return Refuse("--set {0}: section.key=value is expected", text);
    }
  }
  const bool top = dot == std::string::npos || dot > equals;
  const std::string section = top ? "" : text.substr(0, dot);
  const std::string key = text.substr(top ? 0 : dot + 1, equals - (top ? 0 : dot + 1));
  const std::string value = text.substr(equals + 1);
  if (key.empty() || (!top && section.empty())) {
    return Refuse("--set {0}: section.key=value is expected", text);
  }
  auto parsed = Parse("value = " + value, path);
  toml::table holder;
  if (parsed.ok() && parsed->size() == 1) {
    holder = std::move(*parsed);
  } else {
    holder.insert("value", value);
  }
  toml::table* table = &root;
  if (!top) {
    if (!root.contains(section)) root.insert(section, toml::table{});
    table = root.get(section)->as_table();
    if (table == nullptr) return Refuse("--set {0}: section.key=value is expected", text);
  }
  table->insert_or_assign(key, *holder.get("value"));
  return Ok{};
}

Result<> TakeOptimizer(const toml::table& root, std::string_view path, OptimizerRecipe& o) {
  Section s(root, path, "optimizer");
  std::string schedule = "cosine";
  s.Take("schedule", schedule);
  s.Take("learning_rate", o.learning_rate, 0, 10);
  s.Take("learning_rate_end", o.learning_rate_end, 0, 10);
  s.Take("warmup_steps", o.warmup_steps, 0, kStepsMax);
  s.Take("decay_steps", o.decay_steps, 0, kStepsMax);
  s.Take("beta1", o.beta1, 0, 0.999999);
  s.Take("beta2", o.beta2, 0, 0.999999);
  s.Take("eps", o.eps, 1e-30, 1);
  s.Take("weight_decay", o.weight_decay, 0, 10);
  s.Take("clip", o.clip, 0, 1e9);
  TATARA_RETURN_IF_ERROR(s.Finish());
  for (const ScheduleName& known : kSchedules) {
    if (known.name != schedule) continue;
    o.schedule = known.schedule;
    return Ok{};
  }
  return Refuse("{0}: optimizer.schedule '{1}' is unknown; there are constant, linear, cosine, wsd",
                path, schedule);
}

Result<> TakeModel(const toml::table& root, std::string_view path, model::TrainableShape& m) {
  constexpr std::int64_t kMax = 1 << 24;
  Section s(root, path, "model");
  s.Take("architecture", m.architecture);
  s.Take("n_vocab", m.n_vocab, 1, kMax);
  s.Take("n_layers", m.n_layers, 1, kMax);
  s.Take("n_embd", m.n_embd, 1, kMax);
  s.Take("n_heads", m.n_heads, 1, kMax);
  s.Take("n_kv_heads", m.n_kv_heads, 1, kMax);
  s.Take("n_ff", m.n_ff, 1, kMax);
  s.Take("n_ctx", m.n_ctx, 1, kMax);
  s.Take("norm_eps", m.norm_eps, 1e-12, 0.1);
  s.Take("rope_base", m.rope_base, 2, 1e9);
  s.Take("tied", m.tied);
  return s.Finish();
}

Result<> TakeTraining(const toml::table& root, std::string_view path, TrainingRecipe& t) {
  Section s(root, path, "training");
  s.Take("seed", t.seed, 0, std::numeric_limits<std::int64_t>::max());
  s.Take("steps", t.steps, 1, kStepsMax);
  s.Take("batch", t.batch, 1, 1 << 20);
  s.Take("context", t.context, 1, 1 << 20);
  s.Take("virtual_shards", t.virtual_shards, 1, 1024);
  s.Take("dropout", t.dropout, 0, 0.99);
  TATARA_RETURN_IF_ERROR(s.Finish());
  if ((t.virtual_shards & (t.virtual_shards - 1)) != 0) {
    return Refuse("{0}: training.virtual_shards is {1}; a power of two is expected", path,
                  t.virtual_shards);
  }
  return Ok{};
}

Result<> TakeRun(const toml::table& root, std::string_view path, RunRecipe& r) {
  Section s(root, path, "run");
  s.Take("micro_batch", r.micro_batch, 0, 1 << 20);
  s.Take("recompute", r.recompute);
  s.Take("validate_every", r.validate_every, 1, kStepsMax);
  s.Take("validation_sequences", r.validation_sequences, 1, 1 << 24);
  s.Take("checkpoint_every", r.checkpoint_every, 1, kStepsMax);
  s.Take("checkpoints_kept", r.checkpoints_kept, 1, 1000);
  s.Take("sample_every", r.sample_every, 1, kStepsMax);
  s.Take("sample_tokens", r.sample_tokens, 0, 10000);
  return s.Finish();
}

Result<> TakeData(const toml::table& root, std::string_view path, DataRecipe& d) {
  Section s(root, path, "data");
  s.Take("kind", d.kind);
  s.Take("text", d.text);
  s.Take("sha256", d.sha256);
  s.Take("source", d.source);
  s.Take("validation", d.validation, 0, 0.99);
  TATARA_RETURN_IF_ERROR(s.Finish());
  if (d.kind != "char") {
    return Refuse("{0}: data.kind '{1}' is unknown; there is char", path, d.kind);
  }
  if (d.text.empty()) return Refuse("{0}: data.text is missing", path);
  return Ok{};
}

// A folder gets it as its name.
bool IsName(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         name.find_first_not_of(kLetters) == std::string_view::npos;
}

Result<> CheckTop(const toml::table& root, std::string_view path) {
  constexpr std::string_view kKnown[] = {"name", "data", "model", "optimizer", "training", "run"};
  for (const auto& [key, node] : root) {
    if (std::ranges::find(kKnown, key.str()) != std::end(kKnown)) continue;
    const std::string near = Nearest(key.str(), kKnown);
    return Refuse("{0}: unknown section '{1}'; did you mean '{2}'?", path, key.str(),
                  near.empty() ? "training" : near);
  }
  return Ok{};
}

}  // namespace

Result<Recipe> ParseRecipe(std::string_view text, std::string_view path,
                           const std::vector<std::string>& overrides) {
  TATARA_TRY(toml::table root, Parse(text, path));
  for (const std::string& one : overrides) TATARA_RETURN_IF_ERROR(Override(root, path, one));
  TATARA_RETURN_IF_ERROR(CheckTop(root, path));
  Recipe recipe;
  if (const auto name = root["name"].value<std::string>()) recipe.name = *name;
  if (!IsName(recipe.name)) {
    return Refuse("{0}: the name '{1}' must be of small letters, digits, '-', '_' and '.'", path,
                  recipe.name);
  }
  TATARA_RETURN_IF_ERROR(TakeData(root, path, recipe.data));
  TATARA_RETURN_IF_ERROR(TakeModel(root, path, recipe.model));
  TATARA_RETURN_IF_ERROR(TakeOptimizer(root, path, recipe.optimizer));
  TATARA_RETURN_IF_ERROR(TakeTraining(root, path, recipe.training));
  TATARA_RETURN_IF_ERROR(TakeRun(root, path, recipe.run));
  if (recipe.training.context == 0) recipe.training.context = recipe.model.n_ctx;
  if (recipe.training.context > recipe.model.n_ctx) {
    return Refuse("{0}: training.context {1} is longer than the model's {2}", path,
                  recipe.training.context, recipe.model.n_ctx);
  }
  return recipe;
}

Result<Recipe> ReadRecipe(const std::filesystem::path& path,
                          const std::vector<std::string>& overrides) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kRecipeBytesMax));
  TATARA_TRY(Recipe recipe, ParseRecipe(text, path.string(), overrides));
  recipe.folder = path.parent_path();
  return recipe;
}

std::string CanonicalRecipe(const Recipe& r) {
  const model::TrainableShape& m = r.model;
  const OptimizerRecipe& o = r.optimizer;
  const TrainingRecipe& t = r.training;
  // fmt prints the shortest text that reads back as the same double.
  return fmt::format(
      "{{\"contract\":1,\"model\":[\"{}\",{},{},{},{},{},{},{},{},{},{}],"
      "\"optimizer\":[\"adamw\",\"{}\",{},{},{},{},{},{},{},{},{}],"
      "\"training\":[{},{},{},{},{},{}],\"validation\":{}}}",
      m.architecture, m.n_vocab, m.n_layers, m.n_embd, m.n_heads, m.n_kv_heads, m.n_ff, m.n_ctx,
      m.norm_eps, m.rope_base, m.tied, kSchedules[static_cast<int>(o.schedule)].name,
      o.learning_rate, o.learning_rate_end, o.warmup_steps, o.decay_steps, o.beta1, o.beta2, o.eps,
      o.weight_decay, o.clip, t.seed, t.steps, t.batch, t.context, t.virtual_shards, t.dropout,
      r.data.validation);
}

std::string RecipeDigest(const Recipe& recipe) {
  return Sha256Hex(CanonicalRecipe(recipe));
}

double LearningRate(const OptimizerRecipe& o, std::int64_t steps, std::int64_t step) {
  if (step < o.warmup_steps) {
    return o.learning_rate * static_cast<double>(step + 1) / static_cast<double>(o.warmup_steps);
  }
  const double range = o.learning_rate - o.learning_rate_end;
  const auto part = [&](std::int64_t from, std::int64_t end) {
    return end <= from
               ? 0.0
               : std::min(1.0, static_cast<double>(step - from) / static_cast<double>(end - from));
  };
  switch (o.schedule) {
    case Schedule::kConstant:
      return o.learning_rate;
    case Schedule::kLinear:
      return o.learning_rate - range * part(o.warmup_steps, steps);
    case Schedule::kCosine: {
      const double angle = part(o.warmup_steps, steps) * 0x1.921fb54442d18p+1;
      return o.learning_rate_end + 0.5 * (1.0 + numerics::CosF64(angle)) * range;
    }
    case Schedule::kWarmupStableDecay: {
      const std::int64_t from = steps - o.decay_steps;
      return step < from ? o.learning_rate : o.learning_rate - range * part(from, steps);
    }
  }
  return o.learning_rate;
}

}  // namespace tatara::learn
