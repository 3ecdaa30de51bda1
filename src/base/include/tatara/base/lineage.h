// Where modules report what they made from what; the ledger keeps it. Whoever derives something
// that lasts (prepared data, a checkpoint, an adapter, an exported or merged model, an index) takes
// a sink and records once, after what it made is on disk.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tatara/base/error.h"

namespace tatara {

// Something that went in or came out, by the digest of its bytes.
struct LineagePart {
  std::string role;    // "model", "data", "recipe", "checkpoint", ...
  std::string name;    // how people call it; may be empty
  std::string sha256;  // 64 hexadecimal digits
  std::uint64_t bytes = 0;
};

struct LineageEvent {
  std::string kind;                  // "pull", "train", "checkpoint", "export", ...
  std::string name;                  // of what came out, as people call it; may be empty
  std::vector<std::string> command;  // the program's arguments, exactly
  std::vector<std::pair<std::string, std::string>> facts;  // name, JSON text: what it depended on
  std::vector<LineagePart> inputs, outputs;
};

class LineageSink {
 public:
  virtual ~LineageSink() = default;
  // Returns once the record would survive a crash.
  virtual Result<> Record(const LineageEvent& event) = 0;
};

}  // namespace tatara
