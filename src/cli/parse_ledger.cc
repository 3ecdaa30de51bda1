// lineage, ledger.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"

namespace tatara::cli {
namespace {

void AddLineage(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<LineageOptions>();
  CLI::App* command = AddCommand(
      app, "lineage", MarkText("what a thing was made of, as far back as is recorded"),
      {{"tatara lineage smollm2-135m", MarkText("a name, a digest, or a file")},
       {"tatara lineage merged-model --page lineage.html", MarkText("a page to hand on")}});
  command->add_option("what", options->what, Tr("name, SHA-256 digest or file"))->required();
  auto* mermaid = command->add_flag("--mermaid", options->mermaid, Tr("as a Mermaid graph"));
  command->add_option("--page", options->page, Tr("write an HTML page to this file"));
  AddJson(command, options->json);
  command->get_option("--json")->excludes(mermaid);
  command->callback([options, &chosen] { chosen = [options] { return Lineage(*options); }; });
}

void AddLedger(CLI::App& app, Action& chosen) {
  CLI::App* ledger =
      AddCommand(app, "ledger", MarkText("the append-only log of what was made here"),
                 {{"tatara ledger log", MarkText("its entries")},
                  {"tatara ledger checkpoint > elsewhere.txt",
                   MarkText("what to keep where the owner of this machine cannot change it")},
                  {"tatara ledger verify --earlier elsewhere.txt",
                   MarkText("nothing was changed since, and nothing removed")}});
  ledger->require_subcommand(1);
  const auto add = [&](const char* name, const char* description, LedgerOptions::Action action) {
    auto options = std::make_shared<LedgerOptions>();
    options->action = action;
    CLI::App* command = ledger->add_subcommand(name, Tr(description));
    command->group(Tr("Commands"));
    command->get_help_ptr()->description(Tr("print this help and exit"))->group(Tr("Options"));
    command->callback([options, &chosen] { chosen = [options] { return Ledger(*options); }; });
    return std::pair(command, options);
  };
  using Action = LedgerOptions::Action;
  const auto [log, log_options] = add("log", MarkText("list the entries"), Action::kLog);
  AddJson(log, log_options->json);
  const auto [verify, verify_options] =
      add("verify", MarkText("check every entry, the tree and the signature"), Action::kVerify);
  verify->add_option("--earlier", verify_options->earlier,
                     Tr("a checkpoint that was kept elsewhere; the log must go on from it"));
  verify->add_option("--key", verify_options->key,
                     Tr("the log's key as 'tatara ledger key' printed it; absent: this machine's"));
  AddJson(verify, verify_options->json);
  add("checkpoint", MarkText("print the signed checkpoint"), Action::kCheckpoint);
  add("key", MarkText("print the key that checkpoints are signed with"), Action::kKey);
}

}  // namespace

void AddLedgerCommands(CLI::App& app, Action& chosen) {
  AddLineage(app, chosen);
  AddLedger(app, chosen);
}

}  // namespace tatara::cli
