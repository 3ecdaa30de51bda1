// Runs the built program as a user would: arguments, environment, standard input; whole output.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "test_support.h"

namespace tatara::test {

struct Outcome {
  int status = -1;  // exit status; 128 + signal where it was killed
  std::string out;
  std::string err;
  nlohmann::json json() const {
    auto value = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(value.is_discarded()) << "not JSON: " << out << "\nstandard error: " << err;
    return value;
  }
};

using Environment = std::map<std::string, std::string>;

// A data directory of its own, with the real models of TATARA_MODELS installed on demand.
class Program {
 public:
  Program() {
    environment_["TATARA_HOME"] = home().string();
    environment_["LC_ALL"] = "C.UTF-8";
  }

  std::filesystem::path home() const { return scratch_.path() / "home"; }
  const std::filesystem::path& folder() const { return scratch_.path(); }
  Environment& environment() { return environment_; }

  // Starts it and gives the process; Finish waits and reads the output.
  pid_t Start(const std::vector<std::string>& arguments, const std::string& input = {}) {
    const auto in = folder() / "stdin";
    FILE* file = fopen(in.c_str(), "wb");
    fwrite(input.data(), 1, input.size(), file);
    fclose(file);
    const pid_t child = fork();
    if (child != 0) return child;
    Redirect(in.string(), O_RDONLY, 0);
    Redirect(Output("out"), O_WRONLY | O_CREAT | O_TRUNC, 1);
    Redirect(Output("err"), O_WRONLY | O_CREAT | O_TRUNC, 2);
    for (const auto& [name, value] : environment_) setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> argv = {const_cast<char*>("tatara")};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(TATARA_PROGRAM, argv.data());
    _exit(127);
  }

  Outcome Finish(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            ReadFile(Output("out")), ReadFile(Output("err"))};
  }

  Outcome operator()(const std::vector<std::string>& arguments, const std::string& input = {}) {
    return Finish(Start(arguments, input));
  }

 private:
  std::string Output(const std::string& name) const { return (folder() / name).string(); }
  static void Redirect(const std::string& path, int flags, int to) {
    const int fd = open(path.c_str(), flags, 0600);
    if (fd < 0 || dup2(fd, to) < 0) _exit(126);
  }

  ScratchDir scratch_;
  Environment environment_;
};

}  // namespace tatara::test
