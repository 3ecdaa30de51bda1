// doctor, version, completion.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "completion.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

void AddDoctor(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App* command = AddCommand(
      app, "doctor", MarkText("what this machine can do"),
      {{"tatara doctor",
        MarkText("instruction sets, memory, measured bandwidth, the largest model that fits")},
       {"for i in $(tatara doctor --isa); do TATARA_ISA=$i tatara logits MODEL --tokens 1,2,3 "
        "--json; done",
        MarkText("the same digest from every instruction set")}});
  command->add_flag("--isa", options->isa, Tr("only the instruction sets, a line each"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Doctor(*options); }; });
}

void AddVersion(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<VersionOptions>();
  CLI::App* command = AddCommand(app, "version", MarkText("program and numerics contract"),
                                 {{"tatara version --json", MarkText("for programs")}});
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Version(*options); }; });
}

void AddCompletion(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<CompletionOptions>();
  CLI::App* command =
      AddCommand(app, "completion", MarkText("completion of commands and options for a shell"),
                 {{"source <(tatara completion bash)",
                   MarkText("for this shell; put it into ~/.bashrc to keep it")}});
  command->add_option("shell", options->shell, "bash, zsh, fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([options, &app, &chosen] {
    chosen = [options, &app]() -> Result<int> {
      Out(CompletionScript(app, options->shell));
      return 0;
    };
  });
}

}  // namespace

void AddMachineCommands(CLI::App& app, Action& chosen) {
  AddDoctor(app, chosen);
  AddVersion(app, chosen);
  AddCompletion(app, chosen);
}

}  // namespace tatara::cli
