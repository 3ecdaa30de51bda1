// run, chat, ask, documents.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"

namespace tatara::cli {
namespace {

void AddSampling(CLI::App* command, SamplingOptions& options) {
  command->add_option("--temperature", options.temperature, Tr("0: always the likeliest token"));
  command->add_option("--top-k", options.top_k, Tr("only the k likeliest tokens; 0: all"));
  command->add_option("--top-p", options.top_p,
                      Tr("only the likeliest tokens that make up p; 1: all"));
  command->add_option("--min-p", options.min_p,
                      Tr("only tokens of at least this share of the likeliest one's"));
  command->add_option("--repetition-penalty", options.repetition_penalty,
                      Tr("over prompt and output; 1: none"));
  command->add_option("--presence-penalty", options.presence_penalty, Tr("over output; 0: none"));
  command->add_option("--frequency-penalty", options.frequency_penalty, Tr("over output; 0: none"));
  command->add_option("--logit-bias", options.logit_bias, Tr("ID=BIAS, may be repeated"));
  command->add_option("--seed", options.seed, Tr("for the draws; drawn and reported where absent"));
}

void AddReceipt(CLI::App* command, std::string& receipt, bool& redact) {
  command->add_option("--receipt", receipt,
                      Tr("write a signed receipt of the answer to this file"));
  command->add_flag("--redact", redact,
                    Tr("leave the texts out of the receipt, keep their digests"));
}

void AddRun(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      AddCommand(app, "run", MarkText("continue a prompt, or answer a conversation from a file"),
                 {{"tatara run smollm2-135m --prompt 'The capital of France is' --max-tokens 16",
                   MarkText("plain continuation")},
                  {"tatara run qwen2.5-coder-1.5b --chat messages.json --temperature 0.7 --seed 1 "
                   "--receipt r.json",
                   MarkText("a conversation, with a receipt that replays to the bit")}});
  AddModelOptions(command, options->model, /*required=*/true);
  AddAdapterOptions(command, options->model);
  AddSampling(command, options->sampling);
  auto* prompt =
      command->add_option("--prompt", options->prompt, Tr("text to continue; -: standard input"));
  command
      ->add_option("--chat", options->chat_file,
                   Tr("file with messages as JSON; -: standard input"))
      ->excludes(prompt);
  command->add_option("--max-tokens", options->tokens_max, Tr("most tokens to generate"))
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--stop", options->stop, Tr("end before this text, may be repeated"));
  command
      ->add_option("--logprobs", options->logprobs,
                   Tr("with --json: log-probabilities, with this many alternatives"))
      ->check(CLI::Range(0, 1000));
  command->add_flag("--ignore-end", options->ignore_end, Tr("go on after an end token"));
  AddReceipt(command, options->receipt, options->redact);
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Run(*options); }; });
}

void AddChat(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* command =
      AddCommand(app, "chat", MarkText("talk with a model in the terminal"),
                 {{"tatara chat smollm2-135m", MarkText("/help lists what can be typed")}});
  AddModelOptions(command, options->model, /*required=*/true);
  AddAdapterOptions(command, options->model);
  AddSampling(command, options->sampling);
  command->add_option("--system", options->system, Tr("system message"));
  command->add_option("--max-tokens", options->tokens_max, Tr("most tokens of one answer"))
      ->check(CLI::Range(1, 1 << 24));
  command->callback([options, &chosen] { chosen = [options] { return Chat(*options); }; });
}

void AddAsk(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<AskOptions>();
  CLI::App* command = AddCommand(
      app, "ask", MarkText("answer a question from your documents, with citations"),
      {{"tatara ask 'How often is the coolant changed?'", MarkText("from the default collection")},
       {"tatara ask 'QUESTION' --collection quality --model qwen2.5-coder-1.5b --json",
        MarkText("another knowledge base, for programs")},
       {"tatara ask 'QUESTION' --receipt r.json && tatara replay r.json",
        MarkText("an answer that can be run again and compared")}});
  command->add_option("question", options->question, Tr("the question"))->required();
  AddModelOptions(command, options->model, /*required=*/false);
  AddAdapterOptions(command, options->model);
  command->add_option("--collection", options->collection, Tr("which knowledge base"));
  command->add_option("--max-tokens", options->tokens_max, Tr("most tokens of the answer"))
      ->check(CLI::Range(1, 4096));
  AddReceipt(command, options->receipt, options->redact);
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Ask(*options); }; });
}

void AddDocuments(CLI::App& app, Action& chosen) {
  CLI::App* documents =
      AddCommand(app, "documents", MarkText("the documents that questions are answered from"),
                 {{"tatara documents add ./manuals",
                   MarkText("again later: updates what changed, removes what is gone")},
                  {"tatara documents list --json", MarkText("what is in the collection")},
                  {"tatara documents remove ./manuals/old.md",
                   MarkText("takes documents out; the files stay")}});
  documents->require_subcommand(1);
  const auto add = [&](const char* name, const char* description, DocumentsOptions::Action action) {
    auto options = std::make_shared<DocumentsOptions>();
    options->action = action;
    CLI::App* command = documents->add_subcommand(name, Tr(description));
    command->group(Tr("Commands"));
    command->get_help_ptr()->description(Tr("print this help and exit"))->group(Tr("Options"));
    command->add_option("--collection", options->collection, Tr("which knowledge base"));
    AddJson(command, options->json);
    command->callback([options, &chosen] { chosen = [options] { return Documents(*options); }; });
    return std::pair(command, options);
  };
  const auto [adding, add_options] =
      add("add", MarkText("add files and folders (Markdown, plain text)"),
          DocumentsOptions::Action::kAdd);
  adding->add_option("paths", add_options->paths, Tr("files or folders"))->required();
  add("list", MarkText("list documents"), DocumentsOptions::Action::kList);
  const auto [removing, remove_options] =
      add("remove", MarkText("take documents out of the collection"),
          DocumentsOptions::Action::kRemove);
  removing->add_option("paths", remove_options->paths, Tr("files or folders"));
  removing->add_flag("--all", remove_options->all, Tr("the whole collection"));
}

}  // namespace

void AddAnswerCommands(CLI::App& app, Action& chosen) {
  AddRun(app, chosen);
  AddChat(app, chosen);
  AddAsk(app, chosen);
  AddDocuments(app, chosen);
}

}  // namespace tatara::cli
