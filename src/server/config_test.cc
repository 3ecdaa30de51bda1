#include "tatara/server/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "config_table.h"
#include "test_support.h"

namespace tatara::server {
namespace {

class ConfigTest : public testing::Test {
 protected:
  std::filesystem::path Write(const std::string& text) const {
    const auto path = scratch_.path() / "tatara.toml";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::string Problem(const std::string& text) const {
    const auto config = LoadConfig({.file = Write(text)});
    EXPECT_FALSE(config.ok()) << text;
    return config.ok() ? "" : config.error().text().substr(Write(text).string().size());
  }
  test::ScratchDir scratch_;
};

TEST_F(ConfigTest, AFileTheEnvironmentAndOptionsOverrideEachOther) {
  const auto config = LoadConfig(
      {.file = Write("port = 1\nstrict = true\nmodels = ['a', 'b']\n"
                     "[limits]\nbody_bytes = 5000\nidle_seconds = 2.5\n"
                     "[engine]\nactivations = 'f32'\n"),
       .environment = {"TATARA_SERVE_PORT=2", "HOME=/x", "TATARA_SERVE_LIMITS_BODY_BYTES=6000",
                       "TATARA_SERVE_HOSTS=a.example,b.example"},
       .overrides = {{"port", "3"}, {"engine.fair", "false"}}});
  ASSERT_TRUE(config.ok()) << config.error().text();
  EXPECT_EQ(config->server.port, 3);
  EXPECT_TRUE(config->server.strict);
  EXPECT_EQ(config->models, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config->server.body_bytes_max, 6000u);
  EXPECT_EQ(config->server.idle_seconds, 2.5);
  EXPECT_EQ(config->server.hosts, (std::vector<std::string>{"a.example", "b.example"}));
  EXPECT_EQ(config->engine.activations, "f32");
  EXPECT_FALSE(config->engine.fair);
}

TEST_F(ConfigTest, WhatIsWrongIsNamedWithItsLineAndTheNearestKey) {
  EXPECT_EQ(Problem("\nprt = 1\n"), ":2: there is no setting 'prt'; did you mean 'port'?");
  EXPECT_EQ(Problem("[limits]\nbody_byte = 1\n"),
            ":2: there is no setting 'limits.body_byte'; did you mean 'limits.body_bytes'?");
  EXPECT_EQ(Problem("body_bytes = 1\n"),
            ":1: there is no setting 'body_bytes'; did you mean 'limits.body_bytes'?");
  EXPECT_EQ(Problem("[limit]\nbody_bytes = 1\n"),
            ":1: there is no setting 'limit'; did you mean 'limits'?");
  EXPECT_EQ(Problem("zzzzzzzzzz = 1\n"),
            ":1: there is no setting 'zzzzzzzzzz' (see: tatara serve --print-config)");
  EXPECT_EQ(Problem("port = 70000\n"),
            ":1: port: expected a whole number, 0 to 65535, found 70000");
  EXPECT_EQ(Problem("port = 1.5\n"), ":1: port: expected a whole number, 0 to 65535, found 1.5");
  EXPECT_EQ(Problem("port = nan\n"), ":1: port: expected a whole number, 0 to 65535, found nan");
  EXPECT_EQ(Problem("port = '1'\n"), ":1: port: expected a whole number, 0 to 65535, found a text");
  EXPECT_EQ(Problem("strict = 1\n"), ":1: strict: expected true or false, found a number");
  EXPECT_EQ(Problem("models = [1]\n"),
            ":1: models: expected an array of texts, found something else in it");
  EXPECT_EQ(Problem("host = 2020-01-01\n"),
            ":1: host: expected a text, found a value of another type");
  EXPECT_EQ(Problem("[log]\nlevel = 'loud'\n"),
            ":2: log.level: expected one of debug, info, warning, error, found loud");
  EXPECT_TRUE(Problem("port = \n").starts_with(":1: not TOML: "));
  EXPECT_TRUE(Problem("\n\n[[[\n").starts_with(":3: not TOML: "));
  EXPECT_FALSE(Problem("port = 1\nport = 2\n").empty());
  EXPECT_FALSE(Problem("x = " + std::string(5000, '[')).empty());
  EXPECT_FALSE(Problem("host = \"\xff\"\n").empty());
}

TEST_F(ConfigTest, UnknownVariablesAndOptionsAreRefusedToo) {
  const auto variable = LoadConfig({.environment = {"TATARA_SERVE_PROT=1"}});
  ASSERT_FALSE(variable.ok());
  EXPECT_NE(variable.error().text().find("TATARA_SERVE_PORT"), std::string::npos);
  const auto value = LoadConfig({.environment = {"TATARA_SERVE_PORT=1x"}});
  ASSERT_FALSE(value.ok());
  EXPECT_NE(value.error().text().find("TATARA_SERVE_PORT"), std::string::npos);
  EXPECT_FALSE(LoadConfig({.overrides = {{"prot", "1"}}}).ok());
  EXPECT_FALSE(LoadConfig({.overrides = {{"port", ""}}}).ok());
  EXPECT_FALSE(LoadConfig({.file = scratch_.path() / "none.toml"}).ok());
}

TEST_F(ConfigTest, SettingsThatContradictEachOtherAreRefused) {
  EXPECT_FALSE(LoadConfig({.overrides = {{"tls.key", "k.pem"}}}).ok());
  for (const char* origin : {"*", "app.example", "https://app.example/", "https://", "null"}) {
    EXPECT_FALSE(LoadConfig({.overrides = {{"cors_origins", origin}}}).ok()) << origin;
  }
  EXPECT_FALSE(LoadConfig({.overrides = {{"hosts", "https://a.example"}}}).ok());
  EXPECT_FALSE(LoadConfig({.overrides = {{"tracing.endpoint", "file:///x"}}}).ok());
  // Beyond this machine there is no way without keys.
  EXPECT_TRUE(LoadConfig({.overrides = {{"host", "0.0.0.0"}, {"require_key", "false"}}})
                  ->server.require_key);
}

TEST_F(ConfigTest, TheExampleReadWithItsCommentsTakenOffIsTheDefault) {
  std::string text;
  const std::string example = ConfigExample();
  for (std::size_t at = 0; at < example.size();) {
    const std::size_t end = example.find('\n', at);
    std::string line = example.substr(at, end - at);
    at = end + 1;
    const std::size_t equals = line.find(" = ");
    if (line.starts_with("# ") && equals != std::string::npos && line.find(' ', 2) == equals) {
      line = line.substr(2);
    }
    text += line + "\n";
  }
  const auto config = LoadConfig({.file = Write(text)});
  ASSERT_TRUE(config.ok()) << config.error().text();
  const ConfigChange change = CompareConfigs(Config{}, *config);
  EXPECT_TRUE(change.live.empty() && change.needs_restart.empty());
  Config defaults;
  for (const Setting& setting : SettingsOf(defaults)) {
    const std::string name(setting.key.substr(setting.key.find('.') + 1));
    EXPECT_NE(text.find("\n" + name + " = " + ValueText(setting)), std::string::npos)
        << setting.key;
  }
  const auto as_it_is = LoadConfig({.file = Write(example)});
  ASSERT_TRUE(as_it_is.ok()) << as_it_is.error().text();
}

TEST_F(ConfigTest, NamesInTheEnvironmentAreTheirOwn) {
  Config config;
  std::set<std::string> names;
  for (const Setting& setting : SettingsOf(config)) {
    EXPECT_TRUE(names.insert(EnvironmentName(setting.key)).second) << setting.key;
  }
}

TEST_F(ConfigTest, AReloadTakesOverWhatMayChangeAndNamesTheRest) {
  const Config running = LoadConfig({}).value();
  const Config wanted = LoadConfig({.overrides = {{"port", "1"},
                                                  {"limits.body_bytes", "5000"},
                                                  {"hosts", "a.example"},
                                                  {"engine.sequences", "3"}}})
                            .value();
  const ConfigChange change = CompareConfigs(running, wanted);
  EXPECT_EQ(change.live, (std::vector<std::string>{"hosts", "limits.body_bytes"}));
  EXPECT_EQ(change.needs_restart, (std::vector<std::string>{"port", "engine.sequences"}));
  const Config next = WithLiveSettings(running, wanted);
  EXPECT_EQ(next.server.port, running.server.port);
  EXPECT_EQ(next.service.sequences_max, running.service.sequences_max);
  EXPECT_EQ(next.server.body_bytes_max, 5000u);
}

TEST_F(ConfigTest, ThePageOfTheDocumentationIsWhatTheTableSays) {
  const auto path = std::filesystem::path(TATARA_SOURCE_DIR) / "docs" / "configuration.md";
  if (std::getenv("TATARA_WRITE_DOCS") != nullptr) std::ofstream(path) << ConfigMarkdown();
  EXPECT_EQ(test::ReadFile(path), ConfigMarkdown())
      << "write it again: TATARA_WRITE_DOCS=1 tatara_server_test --gtest_filter=ConfigTest.*";
}

}  // namespace
}  // namespace tatara::server
