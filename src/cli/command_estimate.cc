// estimate RECIPE: what a run would take, before it is made.
#include <fmt/format.h>

#include <filesystem>
#include <utility>
#include <vector>

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
  if (seconds < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  return FormatDuration(seconds);
}

// 1,234,567; from a million million on in powers of ten.
std::string Counted(double x) {
  if (x >= 1e12) return fmt::format("{:.4g}", x);
  std::string digits = fmt::format("{:.0f}", x);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

Json CostJson(const learn::EstimatedCost& cost) {
  return {{"seconds", cost.seconds},
          {"energy_kwh", cost.kilowatt_hours > 0 ? Json(cost.kilowatt_hours) : Json()},
          {"money", cost.money > 0 ? Json(cost.money) : Json()}};
}

void PrintJson(const learn::Recipe& recipe, const EstimateOptions& options,
               const learn::Estimate& e) {
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
             {"exchange", e.time.exchange},
             {"validation", e.time.validation},
             {"samples", e.time.samples},
             {"checkpoints", e.time.checkpoints},
             {"questions", e.time.questions}}},
           {"threads", options.n_threads},
           {"workers", options.n_workers},
           {"measured", e.by_kernels ? "kernels" : "pass"},
           {"measured_seconds", e.measured_seconds},
           {"flops_per_second", e.flops_per_second},
           {"memory_bytes", e.memory.all()},
           {"memory",
            {{"process", e.memory.process},
             {"frozen", e.memory.frozen},
             {"weights", e.memory.weights},
             {"gradients", e.memory.gradients},
             {"activations", e.memory.activations},
             {"writing", e.memory.writing}}},
           {"memory_bytes_all", e.memory_of_all},
           {"machine_bytes", e.machine_bytes},
           {"fits", e.memory_of_all <= e.machine_bytes},
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
  if (cost.kilowatt_hours > 0) text += Tr(", ") + fmt::format("{:.4g} kWh", cost.kilowatt_hours);
  if (cost.money > 0) text += Tr(", ") + fmt::format("{:.4g} {}", cost.money, currency);
  return text;
}

using Named = std::pair<std::string, double>;

// "name value, …" of those that are not nothing.
template <typename F>
std::string Listed(const std::vector<Named>& parts, F shown) {
  std::string text;
  for (const auto& [name, value] : parts) {
    if (value > 0) text += (text.empty() ? "" : Tr(", ")) + Tr("{0} {1}", name, shown(value));
  }
  return text;
}

void PrintTime(const learn::Recipe& recipe, const EstimateOptions& options,
               const learn::Estimate& e) {
  const auto line = [](const std::string& text) { Out(text + "\n"); };
  const std::string machine =
      options.n_workers > 1
          ? Tr("this machine (--workers {0} --threads {1})", options.n_workers, options.n_threads)
          : Tr("this machine (--threads {0})", options.n_threads);
  line(Tr("{0}: {1}; a step {2}", machine, CostText(e.here, recipe.estimate.currency),
          LongDuration((e.time.passes + e.time.optimizer + e.time.exchange) / e.steps)));
  line("  " + Listed({{Tr("data and first weights"), e.time.start},
                      {Tr("forward and backward"), e.time.passes},
                      {Tr("optimiser"), e.time.optimizer},
                      {Tr("exchange of gradients"), e.time.exchange},
                      {Tr("validation"), e.time.validation},
                      {Tr("samples"), e.time.samples},
                      {Tr("checkpoints"), e.time.checkpoints},
                      {Tr("held-out questions"), e.time.questions}},
                     LongDuration));
  line(e.by_kernels ? Tr("  from products, attention and rows, measured one by one and counted up; "
                         "{0} GFLOP/s",
                         fmt::format("{:.1f}", e.flops_per_second * 1e-9))
                    : Tr("  from passes of the recipe's own size, measured; {0} GFLOP/s",
                         fmt::format("{:.1f}", e.flops_per_second * 1e-9)));
}

void PrintMemory(const EstimateOptions& options, const learn::Estimate& e) {
  const auto line = [](const std::string& text) { Out(text + "\n"); };
  line(Tr("memory at the peak: {0}; this machine has {1}", FormatBytes(e.memory_of_all),
          FormatBytes(e.machine_bytes)));
  std::string parts = Listed({{Tr("program and data"), e.memory.process},
                              {Tr("frozen base"), e.memory.frozen},
                              {Tr("weights and moments"), e.memory.weights},
                              {Tr("gradients"), e.memory.gradients},
                              {Tr("activations"), e.memory.activations},
                              {Tr("writing"), e.memory.writing}},
                             FormatBytes);
  line("  " + (options.n_workers > 1 ? Tr("of the first process: {0}", parts) : parts));
  if (e.memory_of_all > e.machine_bytes) line(Tr("it does not fit into this machine's memory"));
}

void PrintText(const learn::Recipe& recipe, const EstimateOptions& options,
               const learn::Estimate& e) {
  const auto shown = [](double x) { return fmt::format("{:.4g}", x); };
  const auto line = [](const std::string& text) { Out(text + "\n"); };
  line(Tr("{0}: {1} parameters, {2} tokens in {3} steps", recipe.name,
          Counted(static_cast<double>(e.n_parameters)), Counted(e.tokens), Counted(e.steps)));
  line(Tr("{0} floating-point operations a step, {1} in all", shown(e.kernel_flops_per_step),
          shown(e.flops)));
  PrintTime(recipe, options, e);
  PrintMemory(options, e);
  if (e.devices.seconds > 0) {
    line(Tr("{0} devices of {1} FLOP/s at {2} of it: {3}", recipe.estimate.devices,
            shown(recipe.estimate.device_flops), shown(recipe.estimate.utilisation),
            CostText(e.devices, recipe.estimate.currency)));
  }
  line(Tr("expected loss: {0} by Hoffmann et al. 2022, {1} by Besiroglu et al. 2024 (nats a token)",
          fmt::format("{:.3f}", e.loss.by_hoffmann), fmt::format("{:.3f}", e.loss.by_besiroglu)));
  if (!e.loss.out_of_range.empty()) {
    line(Tr("  this recipe is outside of what those laws were fitted to, so expect another loss:"));
  }
  for (const std::string& why : e.loss.out_of_range) line("  - " + why);
  for (const std::string& note : e.notes) line(Tr("not counted: {0}", note));
}

}  // namespace

Result<int> Estimate(const EstimateOptions& given) {
  EstimateOptions options = given;
  TATARA_TRY(learn::Recipe recipe, learn::ReadRecipe(options.recipe, options.overrides));
  if (options.watts > 0) recipe.estimate.watts = options.watts;
  if (options.price_kwh > 0) recipe.estimate.price_kwh = options.price_kwh;
  if (!options.currency.empty()) recipe.estimate.currency = options.currency;
  if (options.n_threads == 0) options.n_threads = ThreadPool::HardwareThreads();
  TATARA_TRY(const learn::Estimate estimate,
             learn::EstimateRun(recipe, {.n_threads = options.n_threads,
                                         .n_workers = options.n_workers,
                                         .by_kernels = options.by_kernels,
                                         .stop = &StopRequested()}));
  if (options.json) {
    PrintJson(recipe, options, estimate);
  } else {
    PrintText(recipe, options, estimate);
  }
  return 0;
}

}  // namespace tatara::cli
