// tune.
#include <CLI/CLI.hpp>
#include <memory>

#include "command_tune.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"

namespace tatara::cli {

void AddTuneCommand(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<TuneOptions>();
  CLI::App* command = AddCommand(
      app, "tune",
      MarkText("train a model of this machine further, by an adapter or in full, and keep it under "
               "a name"),
      {{"tatara tune recipes/machine-shop-lora.toml",
        MarkText("LoRA from own questions and answers; then: tatara chat machine-shop")},
       {"tatara tune recipes/machine-shop-lora.toml --resume",
        MarkText("goes on from the last checkpoint")}});
  command->add_option("recipe", options->train.recipe, Tr("the recipe, a TOML file"))->required();
  command->add_option("--out", options->train.out, Tr("folder of the run; absent: runs/NAME"));
  command
      ->add_option("--threads", options->train.n_threads,
                   Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  command->add_option("--set", options->train.overrides,
                      Tr("change one value of the recipe, section.key=value; may be repeated"));
  command->add_flag("--resume", options->train.resume,
                    Tr("go on from the last checkpoint in the folder"));
  command
      ->add_option("--workers", options->train.n_workers,
                   Tr("processes that divide each step by Open MPI: 1, 2, 4, ...; same digest"))
      ->check(CLI::IsMember({1, 2, 4, 8, 16, 32, 64}));
  command->add_flag("--no-questions", options->no_questions,
                    Tr("do not ask the held-out questions"));
  AddJson(command, options->train.json);
  command->callback([options, &chosen] { chosen = [options] { return Tune(*options); }; });
}

}  // namespace tatara::cli
