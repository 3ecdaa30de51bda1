#include "tatara/learn/estimate.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

#include "base_model.h"
#include "estimate_clock.h"
#include "estimate_measure.h"
#include "estimate_questions.h"
#include "optimizer.h"
#include "passes.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/training_flops.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::learn {
namespace {

constexpr double kPassFlopsMax = 1e12;      // of a pass that is measured as it is: a few seconds
constexpr std::int64_t kCallsMeasured = 4;  // of different sequences
constexpr double kSecondsOfHour = 3600;

// A stretch of the run with one shape and one batch: the run, or one of its phases.
struct Part {
  Recipe recipe;
  std::unique_ptr<model::Trainable> trainable;  // of an adapter with its base left in the file
  double first_step = 0, steps = 0;
  double counted = 1;                    // of its tokens, the share that has a target
  PassPlan plan;                         // of each process
  std::map<std::int64_t, double> calls;  // of a step: how many over that many sequences

  std::int64_t n_largest() const { return plan.sequences; }
  // As if all calls were as large as the largest.
  double n_passes() const {
    return static_cast<double>(recipe.training.batch) / static_cast<double>(n_largest());
  }
  double step_tokens() const {
    return static_cast<double>(recipe.training.batch) * recipe.training.context;
  }
  double n_values() const { return static_cast<double>(trainable->n_values()); }
  double n_averages() const {
    const OptimizerRecipe& o = recipe.optimizer;
    return o.average == Average::kNone ? 0 : o.average == Average::kEma ? 1 : 1.0 + o.average_count;
  }
  double moment_bytes() const { return MomentBytes(recipe.optimizer, *trainable); }
  // In the optimizer's file: in f32 it states a second moment even where there is none.
  double moment_bytes_written() const {
    const bool narrow = recipe.optimizer.moments == model::Storage::kBF16;
    return narrow ? moment_bytes() : 8 * n_values();
  }
  double checkpoint_bytes() const {
    return moment_bytes_written() + (4 + 4 * n_averages()) * n_values();
  }
  double CallFlops(std::int64_t n_sequences) const {
    return model::TrainingFlops(
        *trainable,
        {.n_sequences = n_sequences,
         .n_tokens = recipe.training.context,
         .recompute = recipe.run.recompute,
         .attention_drops = recipe.training.attention_dropout > 0,
         .n_targets = counted * static_cast<double>(n_sequences) * recipe.training.context});
  }
  double step_flops() const {
    double flops = OptimizerFlops(recipe.optimizer, *trainable);
    for (const auto& [n_sequences, count] : calls) flops += count * CallFlops(n_sequences);
    return flops;
  }
  // Multiples of `every` among the steps.
  double Times(std::int64_t every) const {
    const auto before = [&](double step) { return std::floor(step / static_cast<double>(every)); };
    return before(first_step + steps) - before(first_step);
  }
};

void CutBatch(Part& part, int n_workers) {
  const TrainingRecipe& t = part.recipe.training;
  part.plan = PlanPasses(part.recipe, *part.trainable, t.virtual_shards / n_workers);
  const auto first = [&](std::int64_t shard) { return shard * t.batch / t.virtual_shards; };
  const int at_once = std::max(1, part.plan.shards);
  for (std::int64_t shard = 0; shard < t.virtual_shards; shard += at_once) {
    const std::int64_t n = first(shard + at_once) - first(shard);
    const std::int64_t most = part.plan.shards > 0 || part.recipe.run.micro_batch == 0
                                  ? n
                                  : std::min<std::int64_t>(n, part.recipe.run.micro_batch);
    if (n == 0) continue;
    part.calls[most] += static_cast<double>(n / most);
    if (n % most > 0) part.calls[n % most] += 1;
  }
}

class Estimator {
 public:
  Estimator(Recipe recipe, const EstimateOptions& options)
      : recipe_(std::move(recipe)), options_(options), pool_(options.n_threads) {}

  Result<Estimate> Go() {
    TATARA_RETURN_IF_ERROR(OpenDataAndBase());
    TATARA_RETURN_IF_ERROR(CheckWorkers());
    TATARA_RETURN_IF_ERROR(OpenParts());
    TATARA_RETURN_IF_ERROR(CheckStop());
    Count();
    const ProcessBytes before = MeasureProcess();
    const double start = WallSeconds();
    MeasureWriting();
    TATARA_RETURN_IF_ERROR(MeasureOpening());
    for (const Part& part : parts_) {
      TATARA_RETURN_IF_ERROR(CountTime(part));
      TATARA_RETURN_IF_ERROR(CheckStop());
    }
    TATARA_TRY(estimate_.time.questions, MeasureQuestions(recipe_, options_.n_threads));
    TATARA_RETURN_IF_ERROR(CheckStop());
    estimate_.measured_seconds = WallSeconds() - start;
    estimate_.flops_per_second = pass_flops_ / estimate_.time.passes;
    CountMemory(before);
    CountCosts();
    estimate_.loss = ExpectLoss(static_cast<double>(estimate_.n_parameters), estimate_.tokens,
                                recipe_.model.n_vocab);
    return estimate_;
  }

 private:
  // What was cut short is no measurement.
  static Result<> CheckStop() {
    if (!MeasuringStops()) return Ok{};
    return MakeError(ErrorKind::kCancelled, "stopped");
  }

  bool IsAdapter() const { return recipe_.adapter.kind != AdapterKind::kNone; }

  // Where it is here: its vocabulary, and how much of it validates.
  Result<> OpenDataAndBase() {
    TATARA_RETURN_IF_ERROR(ResolveBase(recipe_));
    auto data = OpenData(recipe_, {.n_threads = options_.n_threads, .stop = options_.stop});
    TATARA_RETURN_IF_ERROR(CheckStop());
    if (data.ok()) {
      data_ = std::move(*data);
    } else if (recipe_.model.n_vocab == 0 ||
               (recipe_.data.kind != "stated" && data.error().kind() != ErrorKind::kNotFound)) {
      return data.error();
    } else {
      estimate_.notes.push_back(
          Tr("the data is not here: what it takes in memory and the last validation are not "
             "counted"));
    }
    return Ok{};
  }

  Result<> OpenParts() {
    double first_step = 0;
    for (const Recipe& recipe :
         recipe_.phases.empty() ? std::vector<Recipe>{recipe_} : recipe_.phases) {
      Part part{.recipe = recipe,
                .first_step = first_step,
                .steps = static_cast<double>(recipe.training.steps)};
      part.recipe.model.n_vocab = recipe_.model.n_vocab;
      Recipe counted = part.recipe;
      counted.adapter.shape.quantised_base = true;
      TATARA_TRY(part.trainable, MakeTrainable(counted, pool_));
      CutBatch(part, options_.n_workers);
      part.counted = CountTargets(part);
      first_step += part.steps;
      parts_.push_back(std::move(part));
    }
    return Ok{};
  }

  // Exact where the run has no more sequences than are looked at, else of those, spread evenly.
  double CountTargets(const Part& part) const {
    constexpr double kSequencesMax = 4096;
    const TrainingRecipe& t = part.recipe.training;
    if (data_ == nullptr || !IsAdapter() || !data_->CheckContext(t.context).ok()) return 1;
    const double n_all = part.steps * t.batch;
    const auto n = static_cast<std::uint64_t>(std::min(n_all, kSequencesMax));
    const auto n_tokens = static_cast<std::size_t>(t.context);
    std::vector<std::int32_t> tokens(n_tokens), targets(n_tokens), first_keys(n_tokens);
    double counted = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      const double place = part.first_step * t.batch +
                           std::floor(static_cast<double>(i) * n_all / static_cast<double>(n));
      if (!data_->Training(t.seed, static_cast<std::uint64_t>(place), {tokens, targets, first_keys})
               .ok()) {
        return 1;
      }
      counted += static_cast<double>(
          std::ranges::count_if(targets, [](std::int32_t target) { return target >= 0; }));
    }
    return n == 0 ? 1 : counted / static_cast<double>(n * n_tokens);
  }

  Result<> CheckWorkers() {
    if (options_.n_workers <= recipe_.training.virtual_shards) return Ok{};
    return Refuse("{0} processes can not divide {1} virtual shards (training.virtual_shards)",
                  options_.n_workers, recipe_.training.virtual_shards);
  }

  void Count() {
    double tokens = 0;
    for (const Part& part : parts_) tokens += part.steps * part.step_tokens();
    const double wanted = recipe_.estimate.tokens;
    double first_step = 0;
    for (Part& part : parts_) {
      if (wanted > 0) part.steps *= wanted / tokens;
      part.first_step = first_step;
      first_step += part.steps;
      estimate_.flops += part.steps * part.step_flops();
      pass_flops_ +=
          part.steps * (part.step_flops() - OptimizerFlops(part.recipe.optimizer, *part.trainable));
    }
    estimate_.steps = first_step;
    estimate_.tokens = wanted > 0 ? wanted : tokens;
    estimate_.kernel_flops_per_step = estimate_.flops / estimate_.steps;
    estimate_.n_parameters = parts_.back().trainable->n_parameters();
  }

  // ---- time

  void MeasureWriting() {
    const std::filesystem::path out = options_.out.empty() ? "." : options_.out;
    hash_ = MeasureHash();
    disk_ = MeasureDisk(out);
    if (disk_ > 0) return;
    estimate_.notes.push_back(
        Tr("{0} can not be written to: what checkpoints take is counted without the disk",
           out.string()));
  }

  // The data again, which a run will find prepared too.
  Result<> MeasureOpening() {
    if (data_ == nullptr) return Ok{};
    const double before = Now(pool_.n_threads());
    Recipe again = recipe_;
    TATARA_TRY(data_, OpenData(again, {.n_threads = options_.n_threads, .stop = options_.stop}));
    estimate_.time.start += Now(pool_.n_threads()) - before;
    return Ok{};
  }

  MeasuredBatch BatchOf(const Part& part) const {
    const TrainingRecipe& t = part.recipe.training;
    const auto n_tokens = static_cast<std::size_t>(t.context);
    MeasuredBatch batch = MadeUpBatch(part.n_largest(), t.context, part.recipe.model.n_vocab);
    batch.n_shards = part.plan.shards;
    batch.dropout = {t.dropout, t.seed, 0, t.attention_dropout};
    if (data_ == nullptr || !data_->CheckContext(t.context).ok()) return batch;
    const std::int64_t n_sequences =
        part.n_largest() * std::clamp<std::int64_t>(t.batch / part.n_largest(), 1, kCallsMeasured);
    MeasuredBatch drawn = batch;
    for (auto* values : {&drawn.tokens, &drawn.targets, &drawn.first_keys}) {
      values->resize(static_cast<std::size_t>(n_sequences) * n_tokens);
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(n_sequences); ++i) {
      const auto at = [&](std::vector<std::int32_t>& values) {
        return std::span(values).subspan(i * n_tokens, n_tokens);
      };
      const corpus::SequenceView into{at(drawn.tokens), at(drawn.targets), at(drawn.first_keys)};
      if (!data_->Training(t.seed, i, into).ok()) return batch;
    }
    return drawn;
  }

  double FrozenBytesOf(const Part& part) const { return FrozenBytes(part.recipe, *part.trainable); }

  Result<PassSeconds> Measure(const Part& part) {
    const double bytes = 4.0 * (part.n_values() + part.plan.gradient_values) +
                         part.plan.activation_bytes + FrozenBytesOf(part);
    const bool by_kernels = options_.by_kernels ||
                            part.CallFlops(part.n_largest()) > kPassFlopsMax ||
                            bytes > MachineBytes() / 4;
    estimate_.by_kernels = estimate_.by_kernels || by_kernels;
    const bool is_first = part.first_step == 0;
    if (by_kernels) {
      const double n_drawn = part.n_values() + FrozenBytesOf(part) / 4;
      if (is_first) estimate_.time.start += n_drawn * MeasureStart(pool_);
      return MeasureKernels(part.recipe, *part.trainable,
                            {.n_sequences = part.n_largest(), .counted = part.counted}, pool_);
    }
    const double before = Now(pool_.n_threads());
    TATARA_TRY(const auto trainable, MakeTrainable(part.recipe, pool_));
    std::vector<float> weights(static_cast<std::size_t>(trainable->n_values()));
    if (is_first) {
      TATARA_RETURN_IF_ERROR(StartWeights(part.recipe, *trainable, weights, pool_));
      estimate_.time.start += Now(pool_.n_threads()) - before;
    } else {
      trainable->Initialise(1, weights, pool_);
    }
    return MeasurePass(*trainable, weights, BatchOf(part), pool_);
  }

  // How much longer threads take where the processes have more of them than the machine.
  double Crowding() const {
    const double n_threads = static_cast<double>(options_.n_workers) * pool_.n_threads();
    return std::max(1.0, n_threads / ThreadPool::HardwareThreads());
  }

  Result<> CountTime(const Part& part) {
    TATARA_TRY(const PassSeconds pass, Measure(part));
    const OptimizerSeconds optimizer =
        MeasureOptimizer(part.recipe.optimizer, *part.trainable, pool_);
    const double n_workers = options_.n_workers, crowding = Crowding();
    const PassPlan& plan = part.plan;
    const double n_shards = part.recipe.training.virtual_shards / n_workers;
    const double n_branches = n_shards / std::max(1, plan.shards);
    const double n_cleared = plan.shards == 0 ? n_shards * plan.gradient_values : 0;
    const double n_rounds = std::countr_zero(static_cast<unsigned>(options_.n_workers));
    EstimatedTime& time = estimate_.time;
    time.passes += crowding * part.steps * part.n_passes() / n_workers * pass.train;
    time.optimizer +=
        crowding * part.steps *
        (n_cleared * optimizer.clear +
         (n_branches - 1 + n_rounds) * part.n_values() * optimizer.add + optimizer.finish);
    if (n_workers > 1) {
      // Through shared memory: in and out again, on either side.
      time.exchange +=
          crowding * part.steps * n_rounds * 4 * 4 * plan.gradient_values * MeasureCopy();
    }
    CountWatching(part, pass);
    return Ok{};
  }

  // Validations, samples and checkpoints.
  void CountWatching(const Part& part, const PassSeconds& pass) {
    const RunRecipe& r = part.recipe.run;
    const double n_validation =
        data_ == nullptr ? 0
                         : static_cast<double>(data_->n_validation(part.recipe.training.context));
    const bool is_last = &part == &parts_.back();
    EstimatedTime& time = estimate_.time;
    time.validation += pass.forward * (part.Times(r.validate_every) *
                                           std::min<double>(r.validation_sequences, n_validation) +
                                       (is_last ? n_validation : 0));
    // Token i looks at the last `context` tokens again.
    const double context = part.recipe.training.context;
    const double n_growing = std::min<double>(r.sample_tokens, context);
    const double n_seen =
        n_growing * (n_growing + 1) / 2 + std::max(0.0, r.sample_tokens - context) * context;
    time.samples +=
        part.Times(r.sample_every) * (r.sample_tokens * pass.sample + n_seen * pass.sample_seen);
    CountCheckpoints(part, n_validation > 0);
  }

  void CountCheckpoints(const Part& part, bool validates) {
    const RunRecipe& r = part.recipe.run;
    // Every validation may be the best so far, and then is kept.
    const double n_best = validates ? part.Times(r.validate_every) -
                                          part.Times(std::lcm(r.validate_every, r.checkpoint_every))
                                    : 0;
    const auto last_step = static_cast<std::int64_t>(part.first_step + part.steps);
    const bool ends_between = last_step % r.checkpoint_every != 0;
    const double n_kept = part.Times(r.checkpoint_every) + n_best + (ends_between ? 1 : 0);
    const double n_digests = n_kept + (r.digest_every > 0 ? part.Times(r.digest_every) : 0);
    double bytes_hashed = n_kept * part.checkpoint_bytes() + n_digests * 4 * part.n_values();
    // What is there at the end goes into the lineage by its digest.
    if (&part == &parts_.back()) {
      bytes_hashed += std::min<double>(n_kept, r.checkpoints_kept + 1) * part.checkpoint_bytes();
    }
    estimate_.time.checkpoints += n_kept * part.checkpoint_bytes() * disk_ + bytes_hashed * hash_;
  }

  // ---- memory

  // The file of a frozen base is mapped and was read once, or is read again and again.
  double FileBytes() const {
    const auto store = weights::OpenTensorStore(recipe_.base.path);
    double bytes = 0;
    if (!store.ok()) return bytes;
    for (const auto& [name, view] : (*store)->tensors()) {
      bytes += static_cast<double>(view.data.size());
    }
    return bytes;
  }

  // The peak is that of the part that takes most. A part that ends gives its passes' memory back,
  // but for adapters, whose parts share it while they store alike (Trainer).
  void CountMemory(const ProcessBytes& before) {
    const double file = IsAdapter() ? FileBytes() : 0;
    double kept = 0, activations = 0;
    const Part* last = nullptr;
    for (const Part& part : parts_) {
      const bool shares = last != nullptr && IsAdapter();
      if (shares && last->recipe.training.storage != part.recipe.training.storage) {
        kept += std::exchange(activations, 0.0);
      }
      activations = std::max(shares ? activations : 0.0, part.plan.activation_bytes);
      last = &part;
      const int n_gradients = part.plan.gradients + (options_.n_workers > 1 ? 1 : 0);
      const EstimatedMemory memory{
          .frozen = IsAdapter() ? FrozenBytesOf(part) + file : 0,
          .weights = (4 + 4 * part.n_averages()) * part.n_values() + part.moment_bytes(),
          .gradients = 4 * n_gradients * part.plan.gradient_values,
          .activations = kept + activations,
          // The optimizer's file, whole.
          .writing = part.moment_bytes_written() + 4 * part.n_averages() * part.n_values(),
      };
      if (memory.all() > estimate_.memory.all()) estimate_.memory = memory;
    }
    EstimatedMemory& memory = estimate_.memory;
    memory.process = before.now;
    memory.process += std::max(0.0, before.peak - memory.all());
    // Only one of the processes writes.
    estimate_.memory_of_all =
        memory.all() + (options_.n_workers - 1) * (memory.all() - memory.writing);
    estimate_.machine_bytes = MachineBytes();
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
  double pass_flops_ = 0;
  Estimate estimate_;
};

}  // namespace

Result<Estimate> EstimateRun(Recipe recipe, const EstimateOptions& options) {
  Estimator estimator(std::move(recipe), options);
  MeasuringStop() = options.stop;
  auto estimate = estimator.Go();
  MeasuringStop() = nullptr;
  return estimate;
}

}  // namespace tatara::learn
