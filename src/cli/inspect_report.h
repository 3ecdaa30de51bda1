// What `inspect` finds out about a model file: plain values, from the store's tensors and keys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tatara/weights/tensor_store.h"

namespace tatara::cli {

struct TypeCount {
  std::string type;
  std::int64_t n_tensors = 0, n_values = 0, n_bytes = 0;
  bool int8_activations = false;
};

struct InspectReport {
  std::string path, container, name, architecture, licence;
  std::int64_t n_parts = 1;
  bool architecture_known = false;
  std::string nearest_architecture;  // where it is not known and one is near
  bool is_encoder = false;
  std::int64_t n_tensors = 0, n_parameters = 0, n_bytes = 0;
  std::vector<TypeCount> types;  // most bytes first
  std::int64_t context_tokens = 0;
  double rope_base = 0, rope_factor = 1;
  std::string rope_scaling;  // empty: none
  std::string tokenizer;     // kind, empty: none
  std::int64_t vocabulary = 0;
  std::string tokenizer_problem;
  bool has_template = false;
  std::int64_t template_bytes = 0;
  std::string template_problem;
  std::vector<std::string> warnings;  // in the user's language
};

InspectReport Inspected(const weights::TensorStore& store);

// Unusual things in a chat template that its user should know before trusting it.
std::vector<std::string> TemplateWarnings(const std::string& source);

}  // namespace tatara::cli
