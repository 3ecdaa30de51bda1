// serve, keys.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "commands.h"
#include "parse.h"
#include "parse_shared.h"
#include "tatara/base/localise.h"

namespace tatara::cli {
namespace {

void AddServe(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = AddCommand(
      app, "serve", MarkText("serve models over HTTP to programs that speak the OpenAI API"),
      {{"tatara serve --model qwen2.5-coder-0.5b --model e5-small",
        MarkText("then OPENAI_BASE_URL=http://127.0.0.1:8080/v1 for those programs")},
       {"tatara serve --host 0.0.0.0", MarkText("for other machines too: a key is asked for")}});
  command->add_option("--config", options->config,
                      Tr("configuration file; absent: HOME/tatara.toml, where there is one"));
  command->add_option("--model", options->models,
                      Tr("model name or path, may be repeated; absent: the one that ask takes"));
  // An option that is given is a setting stronger than the file's.
  const auto setting = [&](const std::string& option, const char* key, std::string description) {
    return command->add_option_function<std::string>(
        option,
        [options, key](const std::string& value) { options->settings.emplace_back(key, value); },
        std::move(description));
  };
  const auto flag = [&](const std::string& option, const char* key, std::string description) {
    command->add_flag_callback(
        option, [options, key] { options->settings.emplace_back(key, "true"); },
        std::move(description));
  };
  setting("--host", "host", Tr("numeric address to listen on"));
  setting("--port", "port", Tr("port to listen on; 0: any free one"))->check(CLI::Range(0, 65535));
  flag("--require-key", "require_key", Tr("ask for a key on this machine's own addresses too"));
  flag("--strict", "strict", Tr("refuse fields that no API has"));
  setting("--threads", "engine.threads", Tr("threads; 0: all that this process may use"))
      ->check(CLI::Range(0, 256));
  setting("--context", "engine.context_tokens", Tr("most tokens of one sequence"))
      ->check(CLI::Range(1, 1 << 24));
  setting("--activations", "engine.activations",
          Tr("int8, or f32: exact and slower, as other implementations compute"))
      ->check(CLI::IsMember({"int8", "f32"}));
  command->add_option_function<std::vector<std::string>>(
      "--set",
      [options](const std::vector<std::string>& pairs) {
        for (const std::string& pair : pairs) {
          const std::size_t equals = std::min(pair.find('='), pair.size());
          options->settings.emplace_back(pair.substr(0, equals),
                                         pair.substr(std::min(equals + 1, pair.size())));
        }
      },
      Tr("KEY=VALUE: any setting of the configuration, may be repeated"));
  command->add_flag("--check", options->check,
                    Tr("read the configuration, say what is wrong with it, and end"));
  command->add_flag("--print-config", options->print_config,
                    Tr("print a configuration with every setting, explained, and end"));
  command->callback([options, &chosen] { chosen = [options] { return Serve(*options); }; });
}

void AddKeys(CLI::App& app, Action& chosen) {
  CLI::App* keys =
      AddCommand(app, "keys", MarkText("the keys of those who call the server"),
                 {{"tatara keys add 'line 3, tablet' --tenant factory",
                   MarkText("prints the key, this once; the tenant is whose data its calls see")},
                  {"tatara keys list --json", MarkText("who has one, and when it was last used")},
                  {"tatara keys revoke 'line 3, tablet'",
                   MarkText("ends it within a second, in a running server too")}});
  keys->require_subcommand(1);
  const auto add = [&](const char* name, const char* description, KeysOptions::Action action) {
    auto options = std::make_shared<KeysOptions>();
    options->action = action;
    CLI::App* command = keys->add_subcommand(name, Tr(description));
    command->group(Tr("Commands"));
    command->get_help_ptr()->description(Tr("print this help and exit"))->group(Tr("Options"));
    AddJson(command, options->json);
    command->callback([options, &chosen] { chosen = [options] { return Keys(*options); }; });
    return std::pair(command, options);
  };
  const auto [adding, add_options] =
      add("add", MarkText("make a key and print it"), KeysOptions::Action::kAdd);
  adding->add_option("name", add_options->name, Tr("what it is for"))->required();
  adding->add_option("--tenant", add_options->tenant, Tr("whose data its calls see"))
      ->capture_default_str();
  add("list", MarkText("list keys, revoked ones too"), KeysOptions::Action::kList);
  const auto [revoking, revoke_options] =
      add("revoke", MarkText("end a key"), KeysOptions::Action::kRevoke);
  revoking->add_option("key", revoke_options->name, Tr("its id or name"))->required();
}

}  // namespace

void AddServerCommands(CLI::App& app, Action& chosen) {
  AddServe(app, chosen);
  AddKeys(app, chosen);
}

}  // namespace tatara::cli
