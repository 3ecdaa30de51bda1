// An engine that says given token ids, with a real tokenizer and template: for what becomes of an
// answer on its way to the caller.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tatara/generate/engine.h"
#include "tatara/generate/prompt_format.h"
#include "tatara/text/chat_template.h"
#include "tatara/text/tokenizer.h"

namespace tatara::test {

class ScriptedEngine : public generate::Engine {
 public:
  ScriptedEngine(std::unique_ptr<text::Tokenizer> tokenizer, std::string template_source,
                 std::vector<std::int32_t> answer)
      : tokenizer_(std::move(tokenizer)),
        source_(std::move(template_source)),
        answer_(std::move(answer)) {
    auto parsed = text::ChatTemplate::Parse(source_);
    if (parsed.ok()) template_ = std::make_unique<text::ChatTemplate>(std::move(parsed).value());
    facts_.architecture = "scripted";
    facts_.context_tokens = 8192;
    facts_.n_vocab = tokenizer_->vocabulary_size();
    facts_.has_chat_template = true;
  }

  const generate::ModelFacts& facts() const override { return facts_; }
  const text::Tokenizer& tokenizer() const override { return *tokenizer_; }
  const text::ChatTemplate* chat_template() const override { return template_.get(); }
  std::string_view chat_template_source() const override { return source_; }
  const generate::EngineCounters& counters() const override { return counters_; }
  Result<std::string> RenderChat(std::string_view messages, std::string_view extra) const override {
    return std::string(messages) + std::string(extra);
  }
  std::vector<std::int32_t> EncodeRendered(std::string_view rendered) const override {
    return tokenizer_->Encode(rendered, {.add_start = false, .parse_special = true});
  }
  Result<generate::RequestId> Submit(
      generate::Request request, generate::OnText on_text,
      std::function<void(Result<generate::Completion>)> done) override {
    jobs_.push_back({std::move(request), std::move(on_text), std::move(done)});
    return ++id_;
  }
  void Cancel(generate::RequestId) override {}
  bool Step() override {
    if (jobs_.empty()) return false;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    generate::Completion completion{.seed = job.request.sampling.seed.value_or(0),
                                    .prompt_tokens = static_cast<int>(job.request.prompt.size())};
    text::StreamDecoder decoder(*tokenizer_);
    decoder.Show(job.request.shown_tokens);
    const auto give = [&](const std::string& text) {
      completion.text += text;
      if (!text.empty()) job.on_text(text);
    };
    for (const std::int32_t id : answer_) {
      completion.token_ids.push_back(id);
      if (tokenizer_->EndsGeneration(id)) break;
      give(decoder.Push(id));
    }
    give(decoder.Flush());
    job.done(std::move(completion));
    return true;
  }
  Result<std::vector<float>> Logits(std::span<const std::int32_t>) override {
    return std::vector<float>(static_cast<std::size_t>(facts_.n_vocab));
  }
  Result<std::vector<float>> AllLogits(std::span<const std::int32_t>) override {
    return std::vector<float>();
  }

 private:
  struct Job {
    generate::Request request;
    generate::OnText on_text;
    std::function<void(Result<generate::Completion>)> done;
  };
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::string source_;
  std::vector<std::int32_t> answer_;
  std::unique_ptr<text::ChatTemplate> template_;
  generate::ModelFacts facts_;
  generate::EngineCounters counters_;
  std::deque<Job> jobs_;
  generate::RequestId id_ = 0;
};

}  // namespace tatara::test
