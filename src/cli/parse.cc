// The application, its help and its refusals. The groups of commands are in parse_*.cc.
#include "parse.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <thread>

#include "argument_errors.h"
#include "lineage_sink.h"
#include "messages.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"
#include "tatara/base/version.h"
#include "tatara/cli/main.h"
#include "tatara/numerics/isa.h"
#include "terminal.h"
#include "workers_access.h"

namespace tatara::cli {
namespace {

void SetLabels(CLI::App& app) {
  const auto formatter = app.get_formatter();
  formatter->label("Usage", Tr("Usage"));
  formatter->label("Options", Tr("Options"));
  formatter->label("OPTIONS", Tr("OPTIONS"));
  formatter->label("Positionals", Tr("Arguments"));
  formatter->label("Subcommands", Tr("Commands"));
  formatter->label("SUBCOMMAND", Tr("COMMAND"));
  formatter->label("REQUIRED", Tr("(required)"));
  formatter->label("TEXT", Tr("TEXT"));
  formatter->label("INT", Tr("NUMBER"));
  formatter->label("UINT", Tr("NUMBER"));
  formatter->label("FLOAT", Tr("NUMBER"));
  formatter->column_width(34);
  app.option_defaults()->group(Tr("Options"));  // inherited by every command
}

// CLI11 reads an empty number as 0, and an empty path would be as if the option were not there.
void RefuseEmptyValues(CLI::App& app) {
  constexpr std::array kTexts = {"--prompt", "--system", "--query", "--stop"};
  for (CLI::Option* option : app.get_options()) {
    if (std::ranges::find(kTexts, option->get_name()) != kTexts.end()) continue;
    option->check([](const std::string& value) {
      return value.empty() ? std::string(kEmptyValue) : std::string();
    });
  }
  for (CLI::App* command : app.get_subcommands(nullptr)) RefuseEmptyValues(*command);
}

// An option takes one value each time it is given: what follows may be an argument, as the recipe
// after --set.
void TakeOneValueEach(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) option->allow_extra_args(false);
  }
  for (CLI::App* command : app.get_subcommands(nullptr)) TakeOneValueEach(*command);
}

Result<int> RunChosen(const Action& chosen) {
  TATARA_TRY([[maybe_unused]] const numerics::Isa isa, numerics::SelectIsaFromEnvironment());
  TATARA_TRY(const int status, chosen());
  TATARA_RETURN_IF_ERROR(FinishOutput());
  return StopRequested().IsSet() && !EndsByStopping() ? kExitInterrupted : status;
}

// What one of the processes that share a run refuses, all refuse: the first says so, and then ends
// the others before they say it again.
void AwaitTheFirst() {
  std::this_thread::sleep_for(std::chrono::seconds(3));
}

}  // namespace

CLI::App* AddCommand(CLI::App& app, const std::string& name, const char* description,
                     const std::vector<Example>& examples) {
  CLI::App* command = app.add_subcommand(name, Tr(description));
  command->group(Tr("Commands"));
  command->get_help_ptr()->description(Tr("print this help and exit"))->group(Tr("Options"));
  std::string footer = Tr("Examples:");
  for (const Example& example : examples) {
    footer += fmt::format("\n  {}\n      {}", example.line, Tr(example.english));
  }
  command->footer(footer);
  return command;
}

int Main(int argc, char** argv, learn::Workers* workers) {
  ShareWork(workers);
  InstallModuleTranslations();
  SetLanguage(LanguageFromEnvironment());
  InstallInterruptHandler();
  RememberCommandLine(argc, argv);

  CLI::App app{Tr("Tatara: an open language model that an organisation can run, check and own"),
               "tatara"};
  SetLabels(app);
  app.set_help_flag("-h,--help", Tr("print this help and exit"));
  app.set_version_flag("--version", std::string("tatara ") + kVersion)
      ->description(Tr("print the version and exit"));
  app.require_subcommand(1);
  app.footer(Tr("Start with: tatara pull smollm2-135m; tatara chat smollm2-135m"));

  Action chosen;
  AddModelCommands(app, chosen);
  AddVectorCommands(app, chosen);
  AddAnswerCommands(app, chosen);
  AddPrepareCommands(app, chosen);
  AddLearnCommands(app, chosen);
  AddTuneCommand(app, chosen);
  AddTokenizerCommands(app, chosen);
  AddServerCommands(app, chosen);
  AddLedgerCommands(app, chosen);
  AddMachineCommands(app, chosen);
  RefuseEmptyValues(app);
  TakeOneValueEach(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {  // --help, --version
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    if (argc == 1) {
      std::fputs(app.help().c_str(), stderr);
      return 2;
    }
    return ReportError(ArgumentError(app, error));
  }
  const Result<int> status = RunChosen(chosen);
  if (status.ok()) return *status;
  if (workers != nullptr && workers->rank() > 0) AwaitTheFirst();
  return ReportError(status.error());
}

}  // namespace tatara::cli
