// estimate RECIPE: what a run would take, before it is made.
#include <fmt/format.h>

#include <filesystem>

#include "commands.h"
#include "json_output.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/learn/estimate.h"

namespace tatara::cli {
namespace {

constexpr double kSecondsOfDay = 86400, kDaysOfYear = 365.25;

std::string LongDuration(double seconds) {
  const double days = seconds / kSecondsOfDay;
  if (days >= 2 * kDaysOfYear) return Tr("{0} years", fmt::format("{:.0f}", days / kDaysOfYear));
  if (days >= 2) return Tr("{0} days", fmt::format("{:.1f}", days));
  return FormatDuration(seconds);
}

Json CostJson(const learn::EstimatedCost& cost) {
  return {{"seconds", cost.seconds},
          {"energy_kwh", cost.kilowatt_hours > 0 ? Json(cost.kilowatt_hours) : Json()},
          {"money", cost.money > 0 ? Json(cost.money) : Json()}};
}

void PrintJson(const learn::Recipe& recipe, const learn::Estimate& e) {
  OutJson({{"recipe", recipe.name},
           {"parameters", e.n_parameters},
           {"steps", e.steps},
           {"tokens", e.tokens},
           {"flops_per_step", e.kernel_flops_per_step},
           {"flops", e.flops},
           {"seconds", e.time.all()},
           {"step_seconds", (e.time.passes + e.time.optimizer) / e.steps},
           {"time",
            {{"start", e.time.start},
             {"passes", e.time.passes},
             {"optimizer", e.time.optimizer},
             {"validation", e.time.validation},
             {"samples", e.time.samples},
             {"checkpoints", e.time.checkpoints}}},
           {"measured", e.by_kernels ? "kernels" : "pass"},
           {"measured_seconds", e.measured_seconds},
           {"flops_per_second", e.flops_per_second},
           {"memory_bytes", e.memory.all()},
           {"memory",
            {{"process", e.memory.process},
             {"weights", e.memory.weights},
             {"gradients", e.memory.gradients},
             {"activations", e.memory.activations},
             {"writing", e.memory.writing}}},
           {"machine_bytes", e.machine_bytes},
           {"fits", e.memory.all() <= e.machine_bytes},
           {"here", CostJson(e.here)},
           {"devices", e.devices.seconds > 0 ? CostJson(e.devices) : Json()},
           {"currency", recipe.estimate.currency.empty() ? Json() : Json(recipe.estimate.currency)},
           {"loss",
            {{"law", "L = E + A / N^alpha + B / D^beta"},
             {"hoffmann_2022", e.loss.by_hoffmann},
             {"besiroglu_2024", e.loss.by_besiroglu},
             {"low", e.loss.low},
             {"high", e.loss.high},
             {"in_range", e.loss.out_of_range.empty()},
             {"out_of_range", e.loss.out_of_range}}},
           {"notes", e.notes}});
}

std::string CostText(const learn::EstimatedCost& cost, const std::string& currency) {
  std::string text = LongDuration(cost.seconds);
  if (cost.kilowatt_hours > 0) text += fmt::format(", {:.4g} kWh", cost.kilowatt_hours);
  if (cost.money > 0) text += fmt::format(", {:.4g} {}", cost.money, currency);
  return text;
}

void PrintText(const learn::Recipe& recipe, const learn::Estimate& e) {
  const auto shown = [](double x) { return fmt::format("{:.4g}", x); };
  const auto line = [](const std::string& text) { Out(text + "\n"); };
  line(Tr("{0}: {1} parameters, {2} tokens in {3} steps", recipe.name,
          shown(static_cast<double>(e.n_parameters)), shown(e.tokens), shown(e.steps)));
  line(Tr("{0} floating-point operations a step, {1} in all", shown(e.kernel_flops_per_step),
          shown(e.flops)));
  line(Tr("this machine: {0}; a step {1}", CostText(e.here, recipe.estimate.currency),
          LongDuration((e.time.passes + e.time.optimizer) / e.steps)));
  line(Tr(
      "  passes {0} ({1} GFLOP/s), optimiser {2}, validation {3}, samples {4}, checkpoints {5}, "
      "start {6}",
      LongDuration(e.time.passes), fmt::format("{:.1f}", e.flops_per_second * 1e-9),
      LongDuration(e.time.optimizer), LongDuration(e.time.validation), LongDuration(e.time.samples),
      LongDuration(e.time.checkpoints), LongDuration(e.time.start)));
  line(e.by_kernels ? Tr("  from products, attention and rows, measured one by one and counted up")
                    : Tr("  from passes of the recipe's own size, measured"));
  line(
      Tr("memory at the peak: {0} (weights and moments {1}, gradients {2}, activations {3}, "
         "writing {4}); this machine has {5}",
         FormatBytes(e.memory.all()), FormatBytes(e.memory.weights),
         FormatBytes(e.memory.gradients), FormatBytes(e.memory.activations),
         FormatBytes(e.memory.writing), FormatBytes(e.machine_bytes)));
  if (e.memory.all() > e.machine_bytes) line(Tr("it does not fit into this machine's memory"));
  if (e.devices.seconds > 0) {
    line(Tr("{0} devices of {1} FLOP/s at {2} of it: {3}", recipe.estimate.devices,
            shown(recipe.estimate.device_flops), shown(recipe.estimate.utilisation),
            CostText(e.devices, recipe.estimate.currency)));
  }
  line(Tr("expected loss: {0} by Hoffmann et al. 2022, {1} by Besiroglu et al. 2024 (nats a token)",
          fmt::format("{:.3f}", e.loss.by_hoffmann), fmt::format("{:.3f}", e.loss.by_besiroglu)));
  for (const std::string& why : e.loss.out_of_range) {
    line(Tr("  outside of the law's range: {0}", why));
  }
  for (const std::string& note : e.notes) line(Tr("not counted: {0}", note));
}

}  // namespace

Result<int> Estimate(const EstimateOptions& options) {
  TATARA_TRY(learn::Recipe recipe, learn::ReadRecipe(options.recipe, options.overrides));
  if (options.watts > 0) recipe.estimate.watts = options.watts;
  if (options.price_kwh > 0) recipe.estimate.price_kwh = options.price_kwh;
  TATARA_TRY(const learn::Estimate estimate,
             learn::EstimateRun(recipe,
                                {.n_threads = options.n_threads == 0 ? ThreadPool::HardwareThreads()
                                                                     : options.n_threads,
                                 .by_kernels = options.by_kernels}));
  if (options.json) {
    PrintJson(recipe, estimate);
  } else {
    PrintText(recipe, estimate);
  }
  return 0;
}

}  // namespace tatara::cli
