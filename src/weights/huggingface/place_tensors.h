// Puts the tensors of a folder into a store under GGUF's names, in GGUF's layout.
#pragma once

#include "held_store.h"
#include "huggingface/family.h"
#include "huggingface/shards.h"

namespace tatara::weights {

// Where a published name goes. `layer` and `expert` are -1 where the rule has none.
struct Placed {
  const Rename* rule = nullptr;
  std::string to, second;
  std::int64_t expert = -1;
};
// Nothing where no rule has the name.
std::optional<Placed> FindPlace(const Family& family, std::string_view name);

struct PlaceOptions {
  FamilySizes sizes;
  bool tied_head = false;
};
// Tensors that stay as they are borrow from the shards' files; others are made in memory, at most
// as many bytes as the machine has. May throw std::bad_alloc.
Result<> PlaceTensors(const Family& family, SourceTensors tensors, const PlaceOptions& options,
                      HeldStore& store);

}  // namespace tatara::weights
