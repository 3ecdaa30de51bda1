// chat: a conversation in the terminal, or line by line from a pipe.
#include <fmt/format.h>
#include <histedit.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>

#include "commands.h"
#include "models_access.h"
#include "sampling_options.h"
#include "tatara/assistant/chat.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

// Lines from the user: edited with history on a terminal, plain otherwise.
class LineReader {
 public:
  LineReader() : interactive_(isatty(STDIN_FILENO) == 1 && StandardErrorIsTerminal()) {
    if (!interactive_) return;
    edit_.reset(el_init("tatara", stdin, stderr, stderr));
    history_.reset(history_init());
    if (edit_ == nullptr || history_ == nullptr) {
      interactive_ = false;
      return;
    }
    HistEvent event;
    history(history_.get(), &event, H_SETSIZE, 500);
    el_set(edit_.get(), EL_PROMPT, +[](EditLine*) { return const_cast<char*>("> "); });
    el_set(edit_.get(), EL_EDITOR, "emacs");
    el_set(edit_.get(), EL_SIGNAL, 0);
    el_set(edit_.get(), EL_HIST, history, history_.get());
    el_source(edit_.get(), nullptr);
  }

  bool interactive() const { return interactive_; }

  // Nothing at the end of input, or when it was interrupted.
  std::optional<std::string> Next() {
    std::string line;
    if (!interactive_) {
      if (!std::getline(std::cin, line)) return std::nullopt;
      return line;
    }
    int count = 0;
    const char* text = el_gets(edit_.get(), &count);
    if (text == nullptr || count <= 0) return std::nullopt;
    line.assign(text, static_cast<std::size_t>(count));
    HistEvent event;
    if (line.find_first_not_of(" \t\n") != std::string::npos) {
      history(history_.get(), &event, H_ENTER, line.c_str());
    }
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    return line;
  }

 private:
  struct EditEnd {
    void operator()(EditLine* edit) const { el_end(edit); }
  };
  struct HistoryEnd {
    void operator()(History* history) const { history_end(history); }
  };
  bool interactive_;
  std::unique_ptr<History, HistoryEnd> history_;
  std::unique_ptr<EditLine, EditEnd> edit_;
};

void PrintHelp() {
  Remark(
      Tr("/help  this list; /clear  forget the conversation; /exit or Ctrl-D  leave; Ctrl-C  stop "
         "an answer"));
}

void SayWhatWasDropped(const assistant::ChatReply& reply) {
  Remark(
      Tr("the conversation needs {0} tokens with room for the answer, the context has {1}: "
         "dropped the {2} oldest messages; the system message stays",
         reply.tokens_needed, reply.context_tokens, reply.dropped.size()));
}

}  // namespace

Result<int> Chat(const ChatOptions& options) {
  TATARA_TRY(generate::SamplingParams sampling, MakeSampling(options.sampling));
  TATARA_TRY(const auto engine, OpenEngine(options.model));
  assistant::Chat chat(*engine, {.system = options.system,
                                 .reply_tokens_max = options.tokens_max,
                                 .adapter = HotAdapterName(options.model, *engine)});
  LineReader reader;
  if (reader.interactive()) {
    Remark(Tr("{0}, context {1} tokens; /help lists what can be typed", engine->facts().name,
              engine->facts().context_tokens));
  }
  while (std::optional<std::string> line = reader.Next()) {
    if (line->find_first_not_of(" \t") == std::string::npos) continue;
    if (*line == "/exit" || *line == "/quit") break;
    if (*line == "/help") {
      PrintHelp();
      continue;
    }
    if (*line == "/clear") {
      chat.Clear();
      continue;
    }
    RemarkUnknownCharacters(engine->tokenizer(), *line);
    bool begun = false;
    const auto reply = chat.Say(
        *line, sampling,
        [&](std::string_view text) {
          begun = true;
          Out(text);
          std::fflush(stdout);
          return !StopRequested().IsSet();
        },
        SayWhatWasDropped);
    if (begun || reply.ok()) Out("\n");
    if (!reply.ok()) {
      if (!reader.interactive()) return reply.error();
      ReportError(reply.error());
    }
    if (StopRequested().IsSet()) {
      if (!reader.interactive()) return Interrupted();
      StopRequested().Clear();
    }
  }
  return 0;
}

}  // namespace tatara::cli
