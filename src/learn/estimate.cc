#include "tatara/learn/estimate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>

#include "base_model.h"
#include "estimate_measure.h"
#include "optimizer.h"
#include "passes.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/training_flops.h"

namespace tatara::learn {
namespace {

constexpr double kPassFlopsMax = 6e10;  // of a pass that is measured as it is: about a second
constexpr double kSecondsOfHour = 3600;

// A stretch of the run with one shape and one batch: the run, or one of its phases.
struct Part {
  Recipe recipe;
  std::unique_ptr<model::Trainable> trainable;
  double steps = 0;
  PassPlan plan;
  double n_passes = 0;  // of a step, as if all were of the largest one's size

  double step_tokens() const {
    return static_cast<double>(recipe.training.batch) * recipe.training.context;
  }
  double n_values() const { return static_cast<double>(trainable->n_values()); }
  double moment_bytes() const { return MomentBytes(recipe.optimizer, *trainable); }
  // In the optimizer's file: in f32 it states a second moment even where there is none.
  double moment_bytes_written() const {
    const bool narrow = recipe.optimizer.moments == model::Storage::kBF16;
    return narrow ? moment_bytes() : 8 * n_values();
  }
  model::CountedPass Pass(std::int64_t n_sequences) const {
    return {.n_sequences = n_sequences,
            .n_tokens = recipe.training.context,
            .recompute = recipe.run.recompute,
            .attention_drops = recipe.training.attention_dropout > 0};
  }
  double step_flops() const {
    return model::TrainingFlops(*trainable, Pass(recipe.training.batch));
  }
};

void CutBatch(Part& part) {
  part.plan = PlanPasses(part.recipe, *part.trainable, part.recipe.training.virtual_shards);
  part.n_passes =
      static_cast<double>(part.recipe.training.batch) / static_cast<double>(part.plan.sequences);
}

class Estimator {
 public:
  Estimator(Recipe recipe, const EstimateOptions& options)
      : recipe_(std::move(recipe)), options_(options), pool_(options.n_threads) {}

  Result<Estimate> Go() {
    TATARA_RETURN_IF_ERROR(OpenDataAndBase());
    TATARA_RETURN_IF_ERROR(OpenPart(recipe_));
    Count();
    const ProcessBytes before = MeasureProcess();
    const auto start = std::chrono::steady_clock::now();
    MeasureWriting();
    estimate_.time.start = parts_.front().n_values() * MeasureStart(pool_);
    for (const Part& part : parts_) CountTime(part);
    estimate_.measured_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    estimate_.flops_per_second = estimate_.flops / estimate_.time.passes;
    for (const Part& part : parts_) CountMemory(part);
    EstimatedMemory& memory = estimate_.memory;
    memory.process = before.now;
    memory.process += std::max(0.0, before.peak - memory.all());
    estimate_.machine_bytes = MachineBytes();
    CountCosts();
    estimate_.loss = ExpectLoss(static_cast<double>(estimate_.n_parameters), estimate_.tokens,
                                recipe_.model.n_vocab);
    return estimate_;
  }

 private:
  // Where it is here: its vocabulary, and how much of it validates.
  Result<> OpenDataAndBase() {
    if (recipe_.adapter.kind != AdapterKind::kNone) {
      return Refuse("recipe '{0}': what an adapter's training takes is not estimated",
                    recipe_.name);
    }
    TATARA_RETURN_IF_ERROR(ResolveBase(recipe_));
    auto data = OpenData(recipe_, options_.n_threads);
    if (data.ok()) {
      data_ = std::move(*data);
    } else if (recipe_.model.n_vocab == 0) {
      return data.error();
    } else {
      estimate_.notes.push_back(
          Tr("the data is not here: what it takes in memory and the last validation are not "
             "counted"));
    }
    return Ok{};
  }

  Result<> OpenPart(const Recipe& recipe) {
    Part part{.recipe = recipe, .steps = static_cast<double>(recipe.training.steps)};
    part.recipe.model.n_vocab = recipe_.model.n_vocab;
    TATARA_TRY(part.trainable, model::Trainable::Make(part.recipe.model, OptionsOf(recipe)));
    CutBatch(part);
    parts_.push_back(std::move(part));
    return Ok{};
  }

  void Count() {
    double tokens = 0;
    for (const Part& part : parts_) tokens += part.steps * part.step_tokens();
    const double wanted = recipe_.estimate.tokens;
    for (Part& part : parts_) {
      if (wanted > 0) part.steps *= wanted / tokens;
      estimate_.steps += part.steps;
      estimate_.flops += part.steps * part.step_flops();
    }
    estimate_.tokens = wanted > 0 ? wanted : tokens;
    estimate_.kernel_flops_per_step = estimate_.flops / estimate_.steps;
    estimate_.n_parameters = parts_.back().trainable->n_parameters();
  }

  PassSeconds Measure(const Part& part) {
    const double bytes =
        4.0 * (part.n_values() + part.plan.gradient_values) + part.plan.activation_bytes;
    const double flops = model::TrainingFlops(*part.trainable, part.Pass(part.plan.sequences));
    const bool by_kernels =
        options_.by_kernels || flops > kPassFlopsMax || bytes > MachineBytes() / 4;
    estimate_.by_kernels = estimate_.by_kernels || by_kernels;
    const std::int64_t context = part.recipe.training.context;
    return by_kernels ? MeasureKernels(*part.trainable, part.recipe.run.recompute,
                                       part.plan.sequences, context, pool_)
                      : MeasurePass(*part.trainable, part.plan, context, pool_);
  }

  void MeasureWriting() {
    const std::filesystem::path out = options_.out.empty() ? "." : options_.out;
    hash_ = MeasureHash();
    disk_ = MeasureDisk(out);
    if (disk_ > 0) return;
    estimate_.notes.push_back(
        Tr("{0} can not be written to: what checkpoints take is counted without the disk",
           out.string()));
  }

  void CountTime(const Part& part) {
    const PassSeconds pass = Measure(part);
    const OptimizerSeconds optimizer =
        MeasureOptimizer(part.n_values(), part.recipe.optimizer.moments, pool_);
    const PassPlan& plan = part.plan;
    const int n_shards = part.recipe.training.virtual_shards;
    const double n_branches = n_shards / std::max(1, plan.shards);
    const double n_cleared = plan.shards == 0 ? n_shards * plan.gradient_values : 0;
    EstimatedTime& time = estimate_.time;
    time.passes += part.steps * part.n_passes * pass.train;
    time.optimizer += part.steps * (n_cleared * optimizer.clear +
                                    (n_branches - 1) * part.n_values() * optimizer.add +
                                    part.n_values() * optimizer.finish);
    if (part.recipe.optimizer.kind == OptimizerKind::kMuon) {
      time.optimizer += part.steps * MeasureMuon(*part.trainable, pool_);
    }
    CountWatching(part, pass.forward);
  }

  // Validations, samples and checkpoints; `forward` is a pass over one sequence.
  void CountWatching(const Part& part, double forward) {
    const RunRecipe& r = part.recipe.run;
    const double context = part.recipe.training.context;
    const double n_validation =
        data_ == nullptr ? 0
                         : static_cast<double>(data_->n_validation(part.recipe.training.context));
    const auto times = [&](std::int64_t every) {
      return std::floor(part.steps / static_cast<double>(every));
    };
    const bool is_last = &part == &parts_.back();
    EstimatedTime& time = estimate_.time;
    time.validation += forward * (times(r.validate_every) *
                                      std::min<double>(r.validation_sequences, n_validation) +
                                  (is_last ? n_validation : 0));
    // Token i looks at the last `context` tokens again.
    const double n_whole = std::max(0.0, r.sample_tokens - context);
    const double n_growing = std::min<double>(r.sample_tokens, context);
    time.samples +=
        times(r.sample_every) * forward * (n_whole + n_growing * (n_growing + 1) / 2 / context);
    // Every validation may be the best so far, and then is kept.
    const double n_best =
        n_validation > 0
            ? times(r.validate_every) - times(std::lcm(r.validate_every, r.checkpoint_every))
            : 0;
    const double n_checkpoints = times(r.checkpoint_every) + n_best + (is_last ? 1 : 0);
    time.checkpoints +=
        n_checkpoints * ((4 * part.n_values() + part.moment_bytes_written()) * (disk_ + hash_) +
                         4 * part.n_values() * hash_);
  }

  // The peak is that of the part that takes most.
  void CountMemory(const Part& part) {
    const OptimizerRecipe& o = part.recipe.optimizer;
    const double n_averages = o.average == Average::kNone  ? 0
                              : o.average == Average::kEma ? 1
                                                           : 1.0 + o.average_count;
    const EstimatedMemory memory{
        .weights = (4 + 4 * n_averages) * part.n_values() + part.moment_bytes(),
        .gradients = 4 * part.plan.gradients * part.plan.gradient_values,
        .activations = part.plan.activation_bytes,
        // The optimizer's file, whole.
        .writing = part.moment_bytes_written() + 4 * n_averages * part.n_values(),
    };
    if (memory.all() > estimate_.memory.all()) estimate_.memory = memory;
  }

  void CountCosts() {
    const EstimateRecipe& e = recipe_.estimate;
    const auto cost = [](double seconds, double watts, double price_kwh, double price_hour) {
      EstimatedCost cost{.seconds = seconds};
      cost.kilowatt_hours = watts * seconds / kSecondsOfHour / 1000;
      cost.money = cost.kilowatt_hours * price_kwh + seconds / kSecondsOfHour * price_hour;
      return cost;
    };
    estimate_.here = cost(estimate_.time.all(), e.watts, e.price_kwh, e.price_hour);
    if (e.devices == 0 || e.device_flops == 0) return;
    // What the field calls utilisation counts a backward pass as two forward ones, and no
    // recomputation.
    double flops = 0;
    for (const Part& part : parts_) {
      flops += 3 * part.steps *
               model::TrainingFlops(*part.trainable, {.n_sequences = part.recipe.training.batch,
                                                      .n_tokens = part.recipe.training.context,
                                                      .backward = false});
    }
    estimate_.devices =
        cost(flops / (e.devices * e.device_flops * e.utilisation), e.devices * e.device_watts,
             e.price_kwh, e.devices * e.device_price_hour);
  }

  Recipe recipe_;
  const EstimateOptions& options_;
  ThreadPool pool_;
  std::unique_ptr<corpus::TrainingSet> data_;
  std::vector<Part> parts_;
  double hash_ = 0, disk_ = 0;  // seconds a byte
  Estimate estimate_;
};

}  // namespace

Result<Estimate> EstimateRun(Recipe recipe, const EstimateOptions& options) {
  Estimator estimator(std::move(recipe), options);
  return estimator.Go();
}

}  // namespace tatara::learn
