// lineage, ledger, verify, replay, diff.
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
       {"tatara lineage answer.json", MarkText("a receipt: its model and documents")},
       {"tatara lineage merged-model --page lineage.html", MarkText("a page to hand on")}});
  command->add_option("what", options->what, Tr("name, SHA-256 digest or file"))->required();
  auto* mermaid = command->add_flag("--mermaid", options->mermaid, Tr("as a Mermaid graph"));
  command->add_option("--page,--html", options->page, Tr("write an HTML page to this file"));
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
  const auto [checkpoint, checkpoint_options] =
      add("checkpoint", MarkText("print the signed checkpoint"), Action::kCheckpoint);
  AddJson(checkpoint, checkpoint_options->json);
  const auto [collect, collect_options] =
      add("collect", MarkText("remove objects that no record names"), Action::kCollect);
  collect->add_flag("--dry-run", collect_options->dry_run, Tr("only say what would go"));
  AddJson(collect, collect_options->json);
  const auto [object, object_options] =
      add("object", MarkText("print an object, such as a recipe's text, by its digest"),
          Action::kObject);
  object->add_option("digest", object_options->object, Tr("its SHA-256 digest"))->required();
  AddJson(object, object_options->json);
  const auto [key, key_options] =
      add("key", MarkText("print the key that checkpoints are signed with"), Action::kKey);
  AddJson(key, key_options->json);
}

void AddVerify(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = AddCommand(
      app, "verify", MarkText("check that a thing is as it was recorded: digests, log, signatures"),
      {{"tatara verify r.json", MarkText("a receipt: names the first thing that was changed")},
       {"tatara verify shakespeare-char", MarkText("every file of a run, by its name or folder")},
       {"tatara verify runs/shakespeare-char/checkpoints/step-00002000",
        MarkText("one checkpoint")},
       {"tatara verify ./run --ledger ./ledger --key KEY",
        MarkText("a run that was handed over, against its maker's ledger")}});
  command->add_option("what", options->file, Tr("receipt, run, checkpoint, file, name or digest"))
      ->required();
  auto* folder =
      command->add_option("--ledger", options->ledger,
                          Tr("another machine's ledger, its folder; absent: this machine's"));
  auto* key = command->add_option("--key", options->key,
                                  Tr("that ledger's key, as 'tatara ledger key' printed it there"));
  folder->needs(key);
  key->needs(folder);
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Verify(*options); }; });
}

void AddReplay(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* command = AddCommand(
      app, "replay",
      MarkText("run a receipt, or steps of a training run, again; compare every bit"),
      {{"tatara replay r.json --threads 1", MarkText("equal on any machine that has the model")},
       {"tatara replay shakespeare-char --steps 40..60",
        MarkText("steps of a run, from its last checkpoint before them")},
       {"tatara replay redacted.json --originals texts.json",
        MarkText("a redacted receipt, with the texts that it left out")}});
  command->add_option("what", options->file, Tr("receipt, or a run's name or folder"))->required();
  command->add_option("--steps", options->steps, Tr("of a run: a..b, both included; absent: all"));
  command->add_option("--data", options->data,
                      Tr("of a run: the folder of its data, if not where the run found it"));
  command
      ->add_option("--threads", options->n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  command->add_option("--model", options->model,
                      Tr("where the model is, if not where its digest leads"));
  command->add_option("--adapter", options->adapter,
                      Tr("where the adapter is, if not where the receipt says"));
  command->add_option("--originals", options->originals,
                      Tr("JSON object of field names and the texts that were left out"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Replay(*options); }; });
}

void AddDiff(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<DiffOptions>();
  CLI::App* command = AddCommand(
      app, "diff", MarkText("which keys, data and tensors of two things differ, and how much"),
      {{"tatara diff runs/first runs/second", MarkText("runs, by folder or name")},
       {"tatara diff model-q8_0.gguf model-f16.gguf", MarkText("models")},
       {"tatara diff a.toml b.toml", MarkText("recipes")}});
  command->add_option("first", options->a, Tr("run, checkpoint, model or recipe"))->required();
  command->add_option("second", options->b, Tr("run, checkpoint, model or recipe"))->required();
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Diff(*options); }; });
}

}  // namespace

void AddLedgerCommands(CLI::App& app, Action& chosen) {
  AddVerify(app, chosen);
  AddReplay(app, chosen);
  AddDiff(app, chosen);
  AddLineage(app, chosen);
  AddLedger(app, chosen);
}

}  // namespace tatara::cli
