// tokenizer train.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "commands.h"
#include "json_output.h"
#include "lineage_sink.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/corpus/tokenizer_training.h"

namespace tatara::cli {
namespace {

// Bytes while texts are read, counts afterwards.
class Watcher final : public ProgressSink {
 public:
  void Report(std::string_view what, std::uint64_t done, std::uint64_t total) override {
    (reading_ ? bytes_ : counts_).Report(what, done, total);
  }
  void ReadingEnds() {
    bytes_.Clear();
    reading_ = false;
  }

 private:
  ProgressLine bytes_{ProgressLine::Unit::kBytes}, counts_{ProgressLine::Unit::kCount};
  bool reading_ = true;
};

// Tells the watcher where the texts end.
class WatchedTexts final : public corpus::TextStream {
 public:
  WatchedTexts(corpus::TextStream& texts, Watcher& watcher) : texts_(texts), watcher_(watcher) {}
  Result<bool> Next(std::string& text) override {
    TATARA_TRY(const bool more, texts_.Next(text));
    if (!more) watcher_.ReadingEnds();
    return more;
  }
  std::uint64_t bytes_read() const override { return texts_.bytes_read(); }
  std::uint64_t bytes_total() const override { return texts_.bytes_total(); }
  const std::vector<Input>& inputs() const override { return texts_.inputs(); }
  LeftOut left_out() const override { return texts_.left_out(); }

 private:
  corpus::TextStream& texts_;
  Watcher& watcher_;
};

void Fill(const TokenizerTrainOptions& options, Watcher& watcher, corpus::TokenizerTraining& to) {
  to.vocabulary = options.vocabulary;
  to.special = options.special;
  for (const std::string& token : {options.start, options.end}) {
    const bool known = std::ranges::find(to.special, token) != to.special.end();
    if (!token.empty() && !known) to.special.push_back(token);
  }
  to.start = options.start;
  to.end = options.end;
  to.n_threads = options.n_threads == 0 ? ThreadPool::HardwareThreads() : options.n_threads;
  to.memory_bytes_max = static_cast<std::uint64_t>(options.memory_mib) << 20;
  to.progress = &watcher;
  to.stop = &StopRequested();
}

Result<corpus::TrainedTokenizer> TrainKind(const TokenizerTrainOptions& options,
                                           corpus::TextStream& texts, Watcher& watcher) {
  if (options.kind == "bpe") {
    corpus::BpeTraining training;
    Fill(options, watcher, training);
    training.pre = options.pre;
    training.min_frequency = options.min_frequency;
    return corpus::TrainBpe(texts, training);
  }
  corpus::UnigramTraining training;
  Fill(options, watcher, training);
  training.unknown = options.unknown;
  training.normal_form = options.normal_form;
  training.characters_max = options.characters;
  training.byte_fallback = options.byte_fallback;
  return corpus::TrainUnigram(texts, training);
}

void Record(const TokenizerTrainOptions& options, const corpus::TextStream& texts,
            const corpus::TrainedTokenizer& made) {
  LineageEvent event;
  event.kind = "tokenizer";
  event.name = options.out;
  for (const corpus::TextStream::Input& input : texts.inputs()) {
    event.inputs.push_back({"data", input.name, input.sha256, input.bytes});
  }
  event.outputs = {{"tokenizer", options.out, made.digest, made.tokenizer_json.size()}};
  event.facts = {{"kind", Json(options.kind).dump()},
                 {"tokens", Json(made.n_tokens).dump()},
                 {"pieces", Json(made.n_pieces).dump()}};
  RecordLineage(std::move(event));
}

Result<> CheckNew(const std::string& out) {
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(out, ignored))) return Ok{};
  return Refuse("{0}: is there already; choose another --out, or remove it", out);
}

Error NothingToLearn(const corpus::TextStream& texts) {
  const auto& inputs = texts.inputs();
  if (inputs.size() == 1) return Refuse("{0}: no text to learn from", inputs[0].name);
  return Refuse("{0} and {1} more: no text to learn from", inputs[0].name, inputs.size() - 1);
}

}  // namespace

Result<int> TokenizerTrain(const TokenizerTrainOptions& options) {
  if (!options.misplaced.empty()) {
    return Refuse("{0}: --kind {1} has no such option", options.misplaced, options.kind);
  }
  TATARA_RETURN_IF_ERROR(CheckNew(options.out));
  const auto begin = std::chrono::steady_clock::now();
  const std::string each =
      options.each.empty() ? options.kind == "bpe" ? "file" : "line" : options.each;
  TATARA_TRY(const auto files,
             corpus::OpenTextFiles({.files = {options.texts.begin(), options.texts.end()},
                                    .field = options.field,
                                    .by_line = each == "line"}));
  InstallInterruptHandler();
  Watcher watcher;
  WatchedTexts texts(*files, watcher);
  TATARA_TRY(const corpus::TrainedTokenizer made, TrainKind(options, texts, watcher));
  const corpus::TextStream::LeftOut left_out = texts.left_out();
  if (left_out.n > 0) {
    Remark(Tr("left out: {0} rows or files; the first: {1} ({2})", left_out.n, left_out.first_place,
              Tr(left_out.first_reason)));
  }
  if (made.n_pieces == 0) return NothingToLearn(texts);
  TATARA_RETURN_IF_ERROR(CheckNew(options.out));  // training takes its time
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(options.out, made.tokenizer_json));
  Record(options, texts, made);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (options.json) {
    Json inputs = Json::array();
    for (const corpus::TextStream::Input& input : texts.inputs()) {
      inputs.push_back({{"file", input.name}, {"bytes", input.bytes}, {"sha256", input.sha256}});
    }
    OutJson({{"file", options.out},
             {"digest", made.digest},
             {"kind", options.kind},
             {"tokens", made.n_tokens},
             {"pieces", made.n_pieces},
             {"distinct_pieces", made.n_distinct_pieces},
             {"seconds", seconds},
             {"left_out", left_out.n},
             {"inputs", std::move(inputs)}});
    return 0;
  }
  if (made.n_tokens < options.vocabulary) {
    Remark(Tr("the texts give {0} tokens, not {1}", made.n_tokens, options.vocabulary));
  }
  Out(Tr("{0}: {1} tokens from {2} pieces ({3} distinct), {4}", options.out, made.n_tokens,
         made.n_pieces, made.n_distinct_pieces, FormatDuration(seconds)) +
      "\n" + Tr("digest {0}", made.digest) + "\n");
  return 0;
}

}  // namespace tatara::cli
