// Hyper-parameters out of metadata, checked once. Every key "ARCH.something" that a file carries
// must be asked for by the architecture: one that nobody asked for may change what the model
// computes, so Finish refuses it by name instead of ignoring it. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::model {

struct IntRange {
  std::int64_t least = 0;
  std::int64_t most = 0;
};
struct FloatRange {
  double least = 0;
  double most = 0;
};

class Keys {
 public:
  // `metadata` outlives this object.
  Keys(const Metadata& metadata, std::string architecture)
      : metadata_(metadata), architecture_(std::move(architecture)) {}

  const std::string& architecture() const { return architecture_; }
  const std::string& origin() const { return metadata_.origin(); }
  std::string FullName(std::string_view key) const;
  bool Has(std::string_view key) const { return metadata_.Has(FullName(key)); }

  // All refuse, naming file and key: missing, another kind, outside the range, not a number.
  Result<std::int64_t> Int(std::string_view key, IntRange range);
  Result<std::int64_t> IntOr(std::string_view key, std::int64_t otherwise, IntRange range);
  Result<double> Float(std::string_view key, FloatRange range);
  Result<double> FloatOr(std::string_view key, double otherwise, FloatRange range);
  Result<bool> BoolOr(std::string_view key, bool otherwise);
  Result<std::string> StringOr(std::string_view key, std::string_view otherwise);
  // One value for every layer, or an array of one value a layer (booleans count as 0 and 1).
  // Absent: empty.
  Result<std::vector<std::int64_t>> IntsOrNone(std::string_view key, std::size_t count_max,
                                               IntRange range);

  // One value for all layers, or an array of one value a layer that are all the same.
  Result<std::int64_t> IntOfLayers(std::string_view key, int n_layers, IntRange range);

  // A key whose other values ask for something that is not computed here: absent or `value`, else
  // refused.
  Result<> OnlyInt(std::string_view key, std::int64_t value);
  Result<> OnlyFloat(std::string_view key, double value);
  Result<> OnlyBool(std::string_view key, bool value);
  // A key that changes no number.
  void Informational(std::string_view key) { asked_.insert(FullName(key)); }

  // Refuses the first key of this architecture that was never asked for.
  Result<> Finish() const;

 private:
  std::string Ask(std::string_view key);
  const Metadata& metadata_;
  std::string architecture_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace tatara::model
