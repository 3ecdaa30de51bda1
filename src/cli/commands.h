// The commands. Each returns the exit status or the error that ends it; data goes to standard
// output, progress and remarks to standard error.
#pragma once

#include "options.h"
#include "tatara/base/error.h"

namespace tatara::cli {

Result<int> Pull(const PullOptions& options);
Result<int> Remove(const RemoveOptions& options);
Result<int> Models(const ModelsOptions& options);
Result<int> Run(const RunOptions& options);
Result<int> Chat(const ChatOptions& options);
Result<int> Ask(const AskOptions& options);
Result<int> Documents(const DocumentsOptions& options);
Result<int> Inspect(const InspectOptions& options);
Result<int> Tokenize(const TokenizeOptions& options);
Result<int> TemplateRender(const TemplateOptions& options);
Result<int> Logits(const LogitsOptions& options);
Result<int> Embed(const EmbedOptions& options);
Result<int> Rerank(const RerankOptions& options);
Result<int> Export(const ExportOptions& options);
Result<int> Lineage(const LineageOptions& options);
Result<int> Ledger(const LedgerOptions& options);
Result<int> Prepare(const PrepareOptions& options);
Result<int> Train(const TrainOptions& options);
Result<int> Runs(const RunsOptions& options);
Result<int> Diff(const DiffOptions& options);
Result<int> Estimate(const EstimateOptions& options);
Result<int> Checkpoints(const CheckpointsOptions& options);
Result<int> TokenizerTrain(const TokenizerTrainOptions& options);
Result<int> Serve(const ServeOptions& options);
Result<int> Keys(const KeysOptions& options);
Result<int> Bench(const BenchOptions& options);
Result<int> Verify(const VerifyOptions& options);
Result<int> Replay(const ReplayOptions& options);
Result<int> Doctor(const DoctorOptions& options);
Result<int> Version(const VersionOptions& options);

}  // namespace tatara::cli
