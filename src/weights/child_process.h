// Runs one program: no shell, input from /dev/null, output to a file. The child dies with this
// process, so that nothing goes on writing after kill -9. Thread safety: from any thread; the
// caller's thread must live until the child ends.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::weights {

struct ChildCommand {
  std::vector<std::string> argv;                                 // argv[0] is searched in PATH
  std::vector<std::pair<std::string, std::string>> environment;  // set over this process's own
  std::filesystem::path output;  // receives standard output and error, from its start
};

// The exit status; 128 + signal where one ended it; 127 where the program could not be started.
// `poll` is called a few times a second; false ends the child and its children (SIGTERM, SIGKILL
// after a second).
Result<int> RunChild(const ChildCommand& command, const std::function<bool()>& poll);

}  // namespace tatara::weights
