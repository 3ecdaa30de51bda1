// How the ledger runs a recorded thing again without knowing what it is: the module that can do it
// (generate, assistant, later learn) implements Replayer, the command line registers it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "tatara/base/error.h"

namespace tatara {

// Named fields, each a canonical JSON text (a JSON string for texts, an array for ids, ...).
using RecordFields = std::map<std::string, std::string, std::less<>>;

class Replayer {
 public:
  virtual ~Replayer() = default;
  // The `kind` of the records it understands: "run", "ask".
  virtual std::string_view kind() const = 0;
  // Runs the record again from its input fields; returns the output fields (named "output.…") that
  // came out this time. The ledger compares them with the recorded ones, in the record's field
  // order.
  virtual Result<RecordFields> Replay(const RecordFields& record) = 0;
};

}  // namespace tatara
