// `tatara serve` as an operator meets it: configuration, first key, log, reload, end; and the files
// of deploy/.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include "http_client.h"
#include "program.h"

namespace tatara::test {
namespace {

namespace fs = std::filesystem;

// The program as a server on a free port, until the end of this object.
class Running {
 public:
  Running(Program& program, std::vector<std::string> arguments) : program_(program) {
    arguments.insert(arguments.begin(), "serve");
    arguments.insert(arguments.end(), {"--port", "0"});
    fs::remove(Out());
    child_ = program.Start(arguments);
    const std::regex address("listening on https?://[^ ]*:([0-9]+)\n");
    std::smatch match;
    for (int i = 0; i < 6000 && port == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const std::string text = fs::exists(Out()) ? ReadFile(Out()) : "";
      if (std::regex_search(text, match, address)) port = std::stoi(match[1]);
      if (waitpid(child_, nullptr, WNOHANG) == child_) break;
    }
    EXPECT_NE(port, 0) << ReadFile(Out()) << ReadFile(program.folder() / "err");
  }
  Outcome Stop() {
    kill(child_, SIGTERM);
    return program_.Finish(child_);
  }
  Outcome Kill() {
    kill(child_, SIGKILL);
    return program_.Finish(child_);
  }
  void HangUp() const { kill(child_, SIGHUP); }
  // Processor time of all its threads so far: what a start takes where nothing else runs, whatever
  // else does (proc(5), fields 14 and 15 of stat).
  double ProcessorSeconds() const {
    const std::string stat = ReadFile("/proc/" + std::to_string(child_) + "/stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string skipped;
    for (int i = 3; i < 14; ++i) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  fs::path Out() const { return program_.folder() / "out"; }
  int port = 0;

 private:
  Program& program_;
  pid_t child_ = -1;
};

template <typename F>
bool Eventually(F condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

class ServeProgram : public testing::Test {
 protected:
  fs::path Configure(const std::string& text) {
    const fs::path path = program_.folder() / "tatara.toml";
    std::ofstream(path) << text;
    return path;
  }
  Program program_;
};

TEST_F(ServeProgram, AConfigurationIsCheckedWithoutStarting) {
  const fs::path path = Configure("port = 1\n[limits]\nbody_byte = 3\n");
  const Outcome wrong = program_({"serve", "--check", "--config", path.string()});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_NE(
      wrong.err.find(path.string() + ":3: there is no setting 'limits.body_byte'; did you mean "
                                     "'limits.body_bytes'?"),
      std::string::npos)
      << wrong.err;
  EXPECT_EQ(program_({"serve", "--check", "--model", "no-such-model"}).status, 2);
  EXPECT_EQ(program_({"serve", "--check", "--set", "prot=1"}).status, 2);
  const Outcome example = program_({"serve", "--print-config"});
  EXPECT_EQ(example.status, 0);
  EXPECT_NE(example.out.find("\n# port = 8080\n"), std::string::npos);
  program_.environment()["LC_ALL"] = "ja_JP.UTF-8";
  EXPECT_NE(program_({"serve", "--print-config"}).out.find("待ち受けるポート"), std::string::npos);
}

TEST_F(ServeProgram, FromTheSecondStartItIsReadyWithinASecondOfProcessorTime) {
  for (const char* name : {"smollm2-135m", "qwen2.5-coder-0.5b"}) {
    TATARA_REQUIRE_MODEL(model, name);
    for (int start = 0; start < 2; ++start) {  // the first makes the digest of the file
      Running server(program_, {"--model", model.string()});
      EXPECT_EQ(HttpClient(server.port).AskGet("/ready").status, 200);
      const double seconds = server.ProcessorSeconds();
      EXPECT_EQ(server.Stop().status, 0);
      if (start == 0) continue;
      EXPECT_GT(seconds, 0) << name;
      EXPECT_LT(seconds, 1.0) << name;
    }
  }
}

TEST_F(ServeProgram, WhatWasAcknowledgedOutlivesAKillInMidStream) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  const std::vector<std::string> arguments = {"--model", model.string(), "--context", "1024"};
  const std::string talk = "/v1/conversations";
  nlohmann::json whole, conversation;
  std::string broken;
  const char* wish = R"({"prompt":"The sea","max_tokens":8,"seed":4})";
  {
    Running server(program_, arguments);
    HttpClient client(server.port);
    whole = nlohmann::json::parse(client.AskPost("/v1/completions", wish).body);
    conversation = nlohmann::json::parse(client.AskPost(talk, R"({"title":"kept"})").body);
    const std::string at = talk + "/" + conversation["id"].get<std::string>() + "/messages";
    ASSERT_EQ(client.AskPost(at, R"({"id":"m1","role":"user","content":"How deep?"})").status, 200);
    // The end tokens are out of reach: it would run to the end of its tokens.
    client.Send(HttpClient::Post("/v1/completions",
                                 R"({"prompt":"The sea","max_tokens":900,"stream":true,)"
                                 R"("logit_bias":{"0":-100,"2":-100}})"));
    while (client.unread().find("data: ") == std::string::npos) ASSERT_TRUE(client.More());
    server.Kill();
    while (client.More()) {
    }
    broken = client.unread();
  }
  // The client can tell: neither the last event nor the last chunk came.
  EXPECT_EQ(broken.find("[DONE]"), std::string::npos);
  EXPECT_EQ(broken.find("\r\n0\r\n"), std::string::npos);
  EXPECT_EQ(broken.find(R"("finish_reason":")"), std::string::npos);
  const std::size_t begun = broken.find("\"cmpl-") + 1;
  const std::string begun_id = broken.substr(begun, broken.find('"', begun) - begun);

  Running server(program_, arguments);
  HttpClient client(server.port);
  const std::string id = whole["id"];
  EXPECT_EQ(client.AskGet("/v1/receipts/" + id).status, 200);
  EXPECT_EQ(client.AskGet("/v1/receipts/" + begun_id).status, 404) << begun_id;
  const HttpAnswer kept =
      client.AskGet(talk + "/" + conversation["id"].get<std::string>() + "/export.json");
  EXPECT_NE(kept.body.find("How deep?"), std::string::npos) << kept.body;
  const auto again = nlohmann::json::parse(client.AskPost("/v1/completions", wish).body);
  EXPECT_EQ(again["choices"], whole["choices"]);
  EXPECT_EQ(server.Stop().status, 0);
}

TEST_F(ServeProgram, BeyondLoopbackTheFirstKeyIsShownOnceAndInNoLog) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  const fs::path log = program_.folder() / "server.log";
  const std::vector<std::string> arguments = {
      "--model", model.string(),    "--host",          "0.0.0.0", "--context",
      "512",     "--set",           "log.level=debug", "--set",   "log.file=" + log.string(),
      "--set",   "log.prompts=true"};
  std::string key;
  {
    Running server(program_, arguments);
    const std::string out = ReadFile(server.Out());
    std::smatch match;
    ASSERT_TRUE(std::regex_search(out, match, std::regex("tatara-[0-9a-f]{64}"))) << out;
    key = match[0];
    HttpClient client(server.port);
    EXPECT_EQ(client.AskGet("/v1/models").status, 401);
    EXPECT_EQ(client.AskGet("/v1/models", "Authorization: Bearer " + key + "\r\n").status, 200);
    const HttpAnswer session =
        HttpClient(server.port).AskPost("/v1/session", R"({"key":")" + key + "\"}");
    EXPECT_EQ(session.status, 200);
    HttpClient(server.port)
        .AskPost("/v1/completions", R"({"prompt":"The secret recipe","max_tokens":3})",
                 "X-Api-Key: " + key + "\r\n");
    EXPECT_EQ(server.Stop().status, 0);
    const std::string cookie = session.headers.at("set-cookie");
    const std::string text = ReadFile(log);
    EXPECT_EQ(text.find(cookie.substr(cookie.find('=') + 1, 64)), std::string::npos);
  }
  {
    Running server(program_, arguments);
    EXPECT_EQ(HttpClient(server.port).AskGet("/v1/models", "X-Api-Key: " + key + "\r\n").status,
              200);
    const Outcome ended = server.Stop();
    EXPECT_EQ(ended.out.find("tatara-"), std::string::npos) << ended.out;
  }
  const std::string text = ReadFile(log);
  EXPECT_NE(text.find("route=/v1/completions status=200"), std::string::npos) << text;
  EXPECT_NE(text.find("completion_tokens=3"), std::string::npos);
  EXPECT_NE(text.find("The secret recipe"), std::string::npos);
  // Nothing that was written holds the key, with prompts logged too; sign-in bodies are no prompts.
  for (const auto& entry : fs::recursive_directory_iterator(program_.folder())) {
    if (!entry.is_regular_file() || entry.path() == program_.folder() / "out") continue;
    EXPECT_EQ(ReadFile(entry.path()).find(key.substr(7)), std::string::npos) << entry.path();
  }
}

TEST_F(ServeProgram, AReloadTakesOverWhatItMayAndNamesTheRest) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  const fs::path log = program_.folder() / "server.log";
  const std::string fixed = "[log]\nfile = '" + log.string() + "'\njson = true\n";
  const fs::path path = Configure(fixed);
  Running server(program_, {"--model", model.string(), "--context", "512", "--config", path});
  const auto status = [&](std::size_t bytes) {
    return HttpClient(server.port)
        .AskPost("/tokenize", R"({"content":")" + std::string(bytes, 'a') + "\"}")
        .status;
  };
  EXPECT_EQ(status(5000), 200);
  Configure(fixed + "[limits]\nbody_bytes = 2000\n[engine]\nsequences = 3\n");
  server.HangUp();
  EXPECT_TRUE(Eventually([&] { return status(5000) == 413; }));
  EXPECT_EQ(status(1000), 200);
  EXPECT_TRUE(Eventually(
      [&] { return ReadFile(log).find("need a restart: engine.sequences") != std::string::npos; }));
  Configure("port = true\n");
  server.HangUp();
  EXPECT_TRUE(
      Eventually([&] { return ReadFile(log).find("port: expected") != std::string::npos; }));
  EXPECT_EQ(status(1000), 200);
  const Outcome ended = server.Stop();
  EXPECT_EQ(ended.status, 0);
}

TEST(Deploy, TheUnitIsRightInSystemdsEyes) {
  if (std::system("command -v systemd-analyze >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "no systemd-analyze here";
  }
  const ScratchDir scratch;
  std::string unit = ReadFile(fs::path(TATARA_SOURCE_DIR) / "deploy/tatara.service");
  const std::string installed = "/usr/local/bin/tatara";
  for (std::size_t at = 0; (at = unit.find(installed)) != std::string::npos;) {
    unit.replace(at, installed.size(), TATARA_PROGRAM);
  }
  const fs::path path = scratch.path() / "tatara.service";
  std::ofstream(path) << unit;
  const std::string said = (scratch.path() / "said").string();
  const std::string command =
      "systemd-analyze verify --man=no '" + path.string() + "' >'" + said + "' 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << ReadFile(said);
  EXPECT_EQ(ReadFile(said), "");
}

TEST(Deploy, TheImageInstallsEveryLibraryThatTheProgramNeeds) {
  if (std::system("command -v dpkg-query >/dev/null 2>&1 && command -v ldd >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "no dpkg here";
  }
  const ScratchDir scratch;
  const std::string needed = (scratch.path() / "needed").string();
  // Libraries that the program names itself; what those need, their packages bring.
  const std::string command =
      "for lib in $(objdump -p '" TATARA_PROGRAM
      "' | awk '$1 == \"NEEDED\" {print $2}'); do "
      "path=$(ldd '" TATARA_PROGRAM
      "' | awk -v l=$lib '$1 == l {print $3}'); "
      "[ -z \"$path\" ] || dpkg-query -S \"$(readlink -f $path)\" 2>/dev/null || "
      "dpkg-query -S \"$(readlink -f $path | sed 's:^/usr::')\"; done | cut -d: -f1 | sort -u >'" +
      needed + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string image = ReadFile(fs::path(TATARA_SOURCE_DIR) / "deploy/Containerfile");
  std::istringstream packages(ReadFile(needed));
  int n = 0;
  for (std::string package; packages >> package; ++n) {
    const bool always = package == "libc6" || package == "libgcc-s1";  // of Debian's base
    EXPECT_TRUE(always || image.find(" " + package) != std::string::npos) << package;
  }
  EXPECT_GT(n, 5);
}

}  // namespace
}  // namespace tatara::test
