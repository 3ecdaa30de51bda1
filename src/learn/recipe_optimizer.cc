#include <algorithm>

#include "recipe_sections.h"
#include "tatara/numerics/functions.h"

namespace tatara::learn {
namespace {

constexpr Choice<Schedule> kSchedules[] = {{"constant", Schedule::kConstant},
                                           {"linear", Schedule::kLinear},
                                           {"cosine", Schedule::kCosine},
                                           {"wsd", Schedule::kWarmupStableDecay}};

constexpr Choice<OptimizerKind> kKinds[] = {{"adamw", OptimizerKind::kAdamW},
                                            {"muon", OptimizerKind::kMuon}};
constexpr Choice<Average> kAverages[] = {
    {"none", Average::kNone}, {"ema", Average::kEma}, {"lawa", Average::kLawa}};

}  // namespace

void AddOptimizerExtras(const OptimizerRecipe& o, CanonicalExtras& extras) {
  const OptimizerRecipe none;
  const auto name = [](const auto& choices, auto value) {
    return choices[static_cast<int>(value)].name;
  };
  extras.Add("optimizer.kind", name(kKinds, o.kind), name(kKinds, none.kind));
  if (o.kind == OptimizerKind::kMuon) {
    extras.Add("optimizer.muon_learning_rate", o.muon_learning_rate, none.muon_learning_rate);
    extras.Add("optimizer.muon_momentum", o.muon_momentum, none.muon_momentum);
  }
  extras.Add("optimizer.moments", name(kStorages, o.moments), name(kStorages, none.moments));
  extras.Add("optimizer.average", name(kAverages, o.average), name(kAverages, none.average));
  if (o.average == Average::kEma) {
    extras.Add("optimizer.average_decay", o.average_decay, none.average_decay);
  } else if (o.average == Average::kLawa) {
    extras.Add("optimizer.average_every", o.average_every, none.average_every);
    extras.Add("optimizer.average_count", o.average_count, none.average_count);
  }
}

std::string_view ScheduleName(Schedule schedule) {
  return kSchedules[static_cast<int>(schedule)].name;
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
  std::string kind = "adamw", average = "none", moments = "f32";
  s.Take("kind", kind);
  s.Take("muon_learning_rate", o.muon_learning_rate, 0, 10);
  s.Take("muon_momentum", o.muon_momentum, 0, 0.999999);
  s.Take("moments", moments);
  s.Take("average", average);
  s.Take("average_decay", o.average_decay, 0, 0.9999999);
  s.Take("average_every", o.average_every, 1, kStepsMax);
  s.Take("average_count", o.average_count, 1, 64);
  TATARA_RETURN_IF_ERROR(s.Finish());
  TATARA_TRY(o.kind, Choose(path, "optimizer.kind", kind, kKinds));
  TATARA_TRY(o.moments, Choose(path, "optimizer.moments", moments, kStorages));
  TATARA_TRY(o.average, Choose(path, "optimizer.average", average, kAverages));
  TATARA_TRY(o.schedule, Choose(path, "optimizer.schedule", schedule, kSchedules));
  return Ok{};
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
