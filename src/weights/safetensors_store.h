// A safetensors file's tensors into a store, under the names that they have. Thread safety: one
// thread.
#pragma once

#include "held_store.h"

namespace tatara::weights {

// The file stays mapped as long as the store lives. May throw std::bad_alloc.
Result<> AddSafetensors(MappedFile file, HeldStore& store);

}  // namespace tatara::weights
