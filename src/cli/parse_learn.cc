// train, runs, checkpoints, estimate.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"

namespace tatara::cli {

namespace {

void AddTrain(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = AddCommand(
      app, "train",
      MarkText("train a model by a recipe, so that anyone can run it again to the same bits"),
      {{"tatara train recipes/shakespeare-char.toml",
        MarkText("about a minute; weights, metrics and samples in runs/shakespeare-char")},
       {"tatara train recipes/shakespeare-char.toml --resume",
        MarkText("goes on from the last checkpoint")},
       {"tatara train recipes/shakespeare-char.toml --set training.steps=20 --out try",
        MarkText("20 steps only")}});
  command->add_option("recipe", options->recipe, Tr("the recipe, a TOML file"))->required();
  command->add_option("--out", options->out, Tr("folder of the run; absent: runs/NAME"));
  command
      ->add_option("--threads", options->n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  command->add_option("--set", options->overrides,
                      Tr("change one value of the recipe, section.key=value; may be repeated"));
  command->add_flag("--resume", options->resume,
                    Tr("go on from the last checkpoint in the folder"));
  command
      ->add_option("--workers", options->n_workers,
                   Tr("processes that divide each step by Open MPI: 1, 2, 4, ...; same digest"))
      ->check(CLI::IsMember({1, 2, 4, 8, 16, 32, 64}));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Train(*options); }; });
}

void AddRuns(CLI::App& app, Action& chosen) {
  CLI::App* runs = AddCommand(app, "runs", MarkText("training runs that were made on this machine"),
                              {{"tatara runs list", MarkText("name, steps, loss, folder")}});
  runs->require_subcommand(1);
  auto options = std::make_shared<RunsOptions>();
  CLI::App* list = runs->add_subcommand("list", Tr("list them, the newest first"));
  list->group(Tr("Commands"));
  list->get_help_ptr()->description(Tr("print this help and exit"))->group(Tr("Options"));
  AddJson(list, options->json);
  list->callback([options, &chosen] { chosen = [options] { return Runs(*options); }; });
}

void AddCheckpoints(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<CheckpointsOptions>();
  CLI::App* command = AddCommand(
      app, "checkpoints", MarkText("how a run went: losses, norms, and what each checkpoint says"),
      {{"tatara checkpoints shakespeare-char --page run.html", MarkText("a page to hand on")},
       {"tatara checkpoints shakespeare-char --probe 'ROMEO:'",
        MarkText("the same prompt, continued by every checkpoint")}});
  command->add_option("run", options->run, Tr("the run, by name or folder"))->required();
  command->add_option("--page,--html", options->page, Tr("write an HTML page to this file"));
  command->add_option("--probe", options->probes,
                      Tr("a prompt for every checkpoint to continue; may be repeated"));
  command->add_option("--probe-tokens", options->probe_tokens, Tr("tokens of each continuation"))
      ->check(CLI::Range(1, 10000));
  command
      ->add_option("--threads", options->n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Checkpoints(*options); }; });
}

void AddEstimate(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<EstimateOptions>();
  CLI::App* command = AddCommand(
      app, "estimate",
      MarkText("what a run would take: time, memory, energy, money, expected loss"),
      {{"tatara estimate recipes/shakespeare-char.toml", MarkText("on this machine, measured now")},
       {"tatara estimate recipes/moxin-7b.toml --json",
        MarkText("a large one, with what it takes elsewhere")}});
  command->add_option("recipe", options->recipe, Tr("the recipe, a TOML file"))->required();
  command->add_option("--set", options->overrides,
                      Tr("change one value of the recipe, section.key=value; may be repeated"));
  command
      ->add_option("--threads", options->n_threads, Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  command->add_option("--watts", options->watts, Tr("power that this machine draws"))
      ->check(CLI::Range(0.0, 1e9));
  command->add_option("--price", options->price_kwh, Tr("price of a kilowatt hour"))
      ->check(CLI::Range(0.0, 1e12));
  command->add_option("--currency", options->currency, Tr("the price's currency, such as JPY"));
  command
      ->add_option("--workers", options->n_workers,
                   Tr("processes that divide each step by Open MPI: 1, 2, 4, ...; same digest"))
      ->check(CLI::IsMember({1, 2, 4, 8, 16, 32, 64}));
  command->add_flag("--kernels", options->by_kernels,
                    Tr("count up from single kernels even where a whole pass could be measured"));
  AddJson(command, options->json);
  command->callback([options, &chosen] { chosen = [options] { return Estimate(*options); }; });
}

}  // namespace

void AddLearnCommands(CLI::App& app, Action& chosen) {
  AddTrain(app, chosen);
  AddRuns(app, chosen);
  AddCheckpoints(app, chosen);
  AddEstimate(app, chosen);
}

}  // namespace tatara::cli
