// From a model's thread to an exchange: events cross as native values and become JSON in the
// exchange's turn; errors, streams' frames and the client's leaving are dealt with here.
// Thread safety: Begin in the exchange's turn.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api.h"
#include "request_fields.h"

namespace tatara::server {

// One answer to one generating request; all members run in the exchange's turn.
class AnswerWriter {
 public:
  struct Parts {
    ApiCall call;
    StreamWish wish;
    std::string id, model;
    bool with_logprobs = false;
    std::size_t n_choices = 1;
  };
  explicit AnswerWriter(Parts parts);
  virtual ~AnswerWriter() = default;

  void Delta(int choice, const assistant::AnswerDelta& delta);
  void Ended(assistant::Choice choice);
  void Done(Result<assistant::Usage> usage);
  bool streams() const { return parts_.wish.stream; }

  std::uint64_t seed = 0;

 protected:
  virtual std::string_view object_name(bool chunk) const = 0;
  // Chunks of a stream, entries of its "choices".
  virtual Json OpeningChunk(int choice) const = 0;  // null: none
  virtual std::vector<Json> DeltaChunks(int choice, const assistant::AnswerDelta& delta) = 0;
  virtual Json EndChunk(const assistant::Choice& choice) = 0;
  virtual Json WholeChoice(const assistant::Choice& choice) = 0;

  Parts parts_;

 private:
  Json Frame(bool chunk) const;
  void WriteChunk(Json choice);
  void Open(int choice);
  std::int64_t created_;
  bool begun_ = false;
  std::vector<bool> opened_;
  std::vector<assistant::Choice> choices_;
};

// Hands the call to the service, from another thread, since rendering and tokenizing may take long;
// the writer answers, the client's leaving cancels.
void Generate(const ApiCall& call, assistant::GenerateCall request,
              std::shared_ptr<AnswerWriter> writer);

Json UsageJson(const assistant::Usage& usage);

}  // namespace tatara::server
