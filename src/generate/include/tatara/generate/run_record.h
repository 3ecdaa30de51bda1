// What a receipt says of one generation, and how it is run again: records of kind "run".
//
// Fields are canonical JSON texts (base/replayer.h). Inputs, enough to run it on another machine
// that has the model:
//   input.model_name, input.model_sha256   which weights
//   input.activations                      "int8" or "f32": which path of the numerics contract
//   input.adapter, input.merged_adapter    {"name", "sha256", "scale", "form"} of the hot adapter
//   of
//                                          the request and of the one merged into the weights; null
//                                          where none (records that lack the fields had none)
//   input.chat_template                    the template's exact text; null where none was used
//   input.chat_template_sha256             of that text; null likewise
//   input.prompt, input.prompt_form        the text that was encoded and how: "chat" (rendered by
//   the
//                                          template, its control tokens parsed), "text", or "ids"
//                                          (none)
//   input.token_ids                        what the model was fed
//   input.sampling                         SamplingToJson, with the seed that was used
//   input.tokens_max, input.stop, input.ignore_end, input.choice
//   input.shown_tokens                     ids of control tokens that output.text holds; only where
//                                          there are any
// Outputs: output.token_ids, output.text, output.finish_reason, output.logits_sha256.
//
// Thread safety: free functions; a RunReplayer uses its engine.
#pragma once

#include <string>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/base/replayer.h"
#include "tatara/generate/engine.h"

namespace tatara::generate {

enum class PromptForm { kChat, kText, kIds };

// What the engine does not know of a request.
struct PromptOrigin {
  std::string model_name;    // as the user called it
  std::string model_sha256;  // of the file, hexadecimal
  PromptForm form = PromptForm::kText;
  std::string prompt;  // the text that became Request::prompt; empty for kIds
};

// request.digest_logits was set, or output.logits_sha256 is an empty string. The seed is the
// completion's.
RecordFields RunFields(const Engine& engine, const Request& request, const PromptOrigin& origin,
                       const Completion& completion);
// Only the outputs.
RecordFields OutputFields(const Completion& completion);

// Of a field of these records: whether it holds words of the prompt or the answer, so that a
// redacted receipt leaves it out.
bool RevealsText(std::string_view field);

// The request that the input fields describe, with digest_logits set. Refused, naming the field,
// where one is missing or of another kind.
Result<Request> RequestOfRecord(const RecordFields& record);

// Refused where the record's path, template or prompt is not what this engine has or makes of it:
// the model is another one, or the record does not agree with itself. A prompt that was left out is
// not compared.
Result<> CheckRecordFits(const Engine& engine, const RecordFields& record);

// Runs records again on an engine that the caller opened on the model the record names, with any
// number of threads and any instruction set. The engine must outlive it.
class RunReplayer final : public Replayer {
 public:
  explicit RunReplayer(Engine& engine) : engine_(engine) {}
  std::string_view kind() const override { return "run"; }
  Result<RecordFields> Replay(const RecordFields& record) override;

 private:
  Engine& engine_;
};

}  // namespace tatara::generate
