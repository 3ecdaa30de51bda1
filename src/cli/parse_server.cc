// serve.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "parse.h"
#include "tatara/base/localise.h"

namespace tatara::cli {

void AddServerCommands(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = AddCommand(
      app, "serve", MarkText("serve models over HTTP to programs that speak the OpenAI API"),
      {{"tatara serve --model qwen2.5-coder-0.5b --model e5-small",
        MarkText("then OPENAI_BASE_URL=http://127.0.0.1:8080/v1 for those programs")},
       {"tatara serve --host 0.0.0.0", MarkText("for other machines too: a key is asked for")}});
  command->add_option("--model", options->models,
                      Tr("model name or path, may be repeated; absent: the one that ask takes"));
  command->add_option("--host", options->host, Tr("numeric address to listen on"))
      ->capture_default_str();
  command->add_option("--port", options->port, Tr("port to listen on; 0: any free one"))
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_flag("--strict", options->strict, Tr("refuse fields that no API has"));
  command
      ->add_option("--threads", options->n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  command->add_option("--context", options->context_tokens, Tr("most tokens of one sequence"))
      ->check(CLI::Range(1, 1 << 24));
  command
      ->add_option("--activations", options->activations,
                   Tr("int8, or f32: exact and slower, as other implementations compute"))
      ->check(CLI::IsMember({"int8", "f32"}));
  command->callback([options, &chosen] { chosen = [options] { return Serve(*options); }; });
}

}  // namespace tatara::cli
