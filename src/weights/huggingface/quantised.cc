#include "huggingface/quantised.h"

#include <algorithm>

#include "huggingface/four_bits.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

using numerics::DType;

constexpr std::int64_t kPerWord = 8;  // 4-bit codes
const SafetensorsType kMadeMxfp4 = {"MXFP4", 4, DType::kMXFP4};

class Dequantiser {
 public:
  Dequantiser(const Config& settings, SourceTensors tensors, HeldStore& store)
      : settings_(settings), tensors_(std::move(tensors)), store_(store) {}

  Result<SourceTensors> Run();

 private:
  Result<> CheckSettings();
  Result<> OneGptq(const std::string& stem);
  Result<> OneAwq(const std::string& stem);
  Result<> OnePacked(const std::string& stem);
  Result<> OneScaled(const std::string& stem, const std::string& scale_name);
  Result<> OneMxfp4(const std::string& stem);

  const SourceTensor* Find(const std::string& name) const {
    const auto at = tensors_.find(name);
    return at == tensors_.end() ? nullptr : &at->second;
  }
  Error Wrong(const std::string& name) const {
    return Refuse("{0}: the quantised tensor '{1}' is missing or not laid out as '{2}' has it",
                  store_.path().string(), Printable(name), method_);
  }
  Result<const SourceTensor*> Words(const std::string& name) const;
  Result<std::vector<float>> Floats(const std::string& name, std::int64_t n) const;
  void Replace(const std::string& stem, SourceTensor made,
               std::initializer_list<const char*> parts);

  const Config& settings_;
  SourceTensors tensors_;
  HeldStore& store_;
  std::string method_;
  bool zeros_less_one_ = true;  // GPTQ's first file format stores each zero minus 1
};

// 32-bit words in two dimensions, not empty.
Result<const SourceTensor*> Dequantiser::Words(const std::string& name) const {
  const SourceTensor* tensor = Find(name);
  if (tensor == nullptr || tensor->type->name != "I32" || tensor->shape.size() != 2 ||
      tensor->data.empty()) {
    return Wrong(name);
  }
  return tensor;
}

Result<std::vector<float>> Dequantiser::Floats(const std::string& name, std::int64_t n) const {
  const SourceTensor* tensor = Find(name);
  if (tensor == nullptr || !tensor->type->dtype || tensor->n_rows() * tensor->n_cols() != n) {
    return Wrong(name);
  }
  std::vector<float> values(static_cast<std::size_t>(n));
  numerics::Dequantize(*tensor->type->dtype, tensor->data, values);
  return values;
}

void Dequantiser::Replace(const std::string& stem, SourceTensor made,
                          std::initializer_list<const char*> parts) {
  for (const char* part : parts) tensors_.erase(stem + part);
  made.by_output = true;
  tensors_[stem + ".weight"] = std::move(made);
}

std::uint32_t WordAt(const SourceTensor& tensor, std::int64_t row, std::int64_t col) {
  return LoadLe<std::uint32_t>(tensor.data.data() + (row * tensor.shape[1] + col) * 4);
}

// The scales of a file are groups x outputs; ours are outputs x groups.
std::vector<float> Turned(const std::vector<float>& in, std::int64_t rows, std::int64_t cols) {
  std::vector<float> out(in.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < cols; ++c) {
      out[static_cast<std::size_t>(c * rows + r)] = in[static_cast<std::size_t>(r * cols + c)];
    }
  }
  return out;
}

std::vector<std::int32_t> EvenGroups(std::int64_t n_in, std::int64_t n_groups) {
  std::vector<std::int32_t> group(static_cast<std::size_t>(n_in));
  for (std::int64_t k = 0; k < n_in; ++k) {
    group[static_cast<std::size_t>(k)] = static_cast<std::int32_t>(k / (n_in / n_groups));
  }
  return group;
}

// qweight (in / 8, out): eight inputs a word. qzeros (groups, out / 8), scales (groups, out), g_idx
// (in) the group of each input.
Result<> Dequantiser::OneGptq(const std::string& stem) {
  TATARA_TRY(const SourceTensor* weight, Words(stem + ".qweight"));
  TATARA_TRY(const SourceTensor* zeros, Words(stem + ".qzeros"));
  FourBits m;
  m.n_out = weight->shape[1];
  m.n_in = weight->shape[0] * kPerWord;
  m.n_groups = zeros->shape[0];
  if (m.n_out % kPerWord != 0 || zeros->shape[1] != m.n_out / kPerWord || m.n_groups > m.n_in) {
    return Wrong(stem + ".qzeros");
  }
  TATARA_TRY(const auto scales, Floats(stem + ".scales", m.n_groups * m.n_out));
  m.scales = Turned(scales, m.n_groups, m.n_out);
  m.codes.resize(static_cast<std::size_t>(m.n_out * m.n_in));
  for (std::int64_t k = 0; k < m.n_in; ++k) {
    for (std::int64_t o = 0; o < m.n_out; ++o) {
      m.codes[static_cast<std::size_t>(o * m.n_in + k)] =
          WordAt(*weight, k / kPerWord, o) >> (4 * (k % kPerWord)) & 15;
    }
  }
  m.zeros.resize(static_cast<std::size_t>(m.n_out * m.n_groups));
  for (std::int64_t g = 0; g < m.n_groups; ++g) {
    for (std::int64_t o = 0; o < m.n_out; ++o) {
      const std::uint32_t zero = WordAt(*zeros, g, o / kPerWord) >> (4 * (o % kPerWord)) & 15;
      m.zeros[static_cast<std::size_t>(o * m.n_groups + g)] =
          static_cast<std::int16_t>(zero + (zeros_less_one_ ? 1 : 0));
    }
  }
  if (Find(stem + ".g_idx") != nullptr) {
    TATARA_TRY(const auto order, Floats(stem + ".g_idx", m.n_in));
    for (const float g : order) {
      if (!(g >= 0 && g < static_cast<float>(m.n_groups))) return Wrong(stem + ".g_idx");
      m.group.push_back(static_cast<std::int32_t>(g));
    }
  } else {
    if (m.n_in % m.n_groups != 0) return Wrong(stem + ".scales");
    m.group = EvenGroups(m.n_in, m.n_groups);
  }
  Replace(stem, MadeOf(m, store_), {".qweight", ".qzeros", ".scales", ".g_idx"});
  return Ok{};
}

// qweight (in, out / 8): eight outputs a word, in the order 0 2 4 6 1 3 5 7 from the lowest bits;
// qzeros (groups, out / 8) likewise; scales (groups, out).
Result<> Dequantiser::OneAwq(const std::string& stem) {
  constexpr int kPlace[kPerWord] = {0, 4, 1, 5, 2, 6, 3, 7};  // of output o in its word
  TATARA_TRY(const SourceTensor* weight, Words(stem + ".qweight"));
  TATARA_TRY(const SourceTensor* zeros, Words(stem + ".qzeros"));
  FourBits m;
  m.n_in = weight->shape[0];
  m.n_out = weight->shape[1] * kPerWord;
  m.n_groups = zeros->shape[0];
  if (zeros->shape[1] != weight->shape[1] || m.n_in % m.n_groups != 0) {
    return Wrong(stem + ".qzeros");
  }
  TATARA_TRY(const auto scales, Floats(stem + ".scales", m.n_groups * m.n_out));
  m.scales = Turned(scales, m.n_groups, m.n_out);
  const auto code = [&](const SourceTensor& words, std::int64_t row, std::int64_t o) {
    return WordAt(words, row, o / kPerWord) >> (4 * kPlace[o % kPerWord]) & 15;
  };
  m.codes.resize(static_cast<std::size_t>(m.n_out * m.n_in));
  m.zeros.resize(static_cast<std::size_t>(m.n_out * m.n_groups));
  for (std::int64_t o = 0; o < m.n_out; ++o) {
    for (std::int64_t k = 0; k < m.n_in; ++k) {
      m.codes[static_cast<std::size_t>(o * m.n_in + k)] =
          static_cast<std::uint8_t>(code(*weight, k, o));
    }
    for (std::int64_t g = 0; g < m.n_groups; ++g) {
      m.zeros[static_cast<std::size_t>(o * m.n_groups + g)] =
          static_cast<std::int16_t>(code(*zeros, g, o));
    }
  }
  m.group = EvenGroups(m.n_in, m.n_groups);
  Replace(stem, MadeOf(m, store_), {".qweight", ".qzeros", ".scales"});
  return Ok{};
}

// weight_packed (out, in / 8): eight inputs a word, each plus 8; weight_scale (out, groups).
Result<> Dequantiser::OnePacked(const std::string& stem) {
  if (Find(stem + ".weight_zero_point") != nullptr || Find(stem + ".weight_g_idx") != nullptr) {
    return Refuse(
        "{0}: the quantised tensor '{1}' has zero points or reordered groups, which are not read",
        store_.path().string(), Printable(stem));
  }
  TATARA_TRY(const SourceTensor* weight, Words(stem + ".weight_packed"));
  const SourceTensor* scale = Find(stem + ".weight_scale");
  if (scale == nullptr || scale->shape.size() != 2) return Wrong(stem + ".weight_scale");
  FourBits m;
  m.n_out = weight->shape[0];
  m.n_in = weight->shape[1] * kPerWord;
  m.n_groups = scale->shape[1];
  if (m.n_groups < 1 || m.n_in % m.n_groups != 0 || scale->shape[0] != m.n_out) {
    return Wrong(stem + ".weight_scale");
  }
  TATARA_TRY(m.scales, Floats(stem + ".weight_scale", m.n_out * m.n_groups));
  if (Find(stem + ".weight_shape") != nullptr) {
    TATARA_TRY(const auto shape, Floats(stem + ".weight_shape", 2));
    if (shape[0] != static_cast<float>(m.n_out) || shape[1] != static_cast<float>(m.n_in)) {
      return Wrong(stem + ".weight_shape");
    }
  }
  m.codes.resize(static_cast<std::size_t>(m.n_out * m.n_in));
  for (std::int64_t o = 0; o < m.n_out; ++o) {
    for (std::int64_t k = 0; k < m.n_in; ++k) {
      m.codes[static_cast<std::size_t>(o * m.n_in + k)] =
          WordAt(*weight, o, k / kPerWord) >> (4 * (k % kPerWord)) & 15;
    }
  }
  m.zeros.assign(static_cast<std::size_t>(m.n_out * m.n_groups), 8);
  m.group = EvenGroups(m.n_in, m.n_groups);
  Replace(stem, MadeOf(m, store_), {".weight_packed", ".weight_scale", ".weight_shape"});
  return Ok{};
}

// How many blocks of `size` cover n, for any positive size.
std::int64_t Blocks(std::int64_t n, std::int64_t size) {
  return n / size + (n % size != 0 ? 1 : 0);
}

// 8-bit numbers with one scale, one a row, or one for each block of rows and columns.
Result<> Dequantiser::OneScaled(const std::string& stem, const std::string& scale_name) {
  const SourceTensor* weight = Find(stem + ".weight");
  const SourceTensor* scale = Find(scale_name);
  if (weight == nullptr || !weight->type->dtype || weight->type->bits != 8 ||
      weight->shape.size() != 2 || weight->data.empty() || scale->n_rows() * scale->n_cols() < 1) {
    return Wrong(stem + ".weight");
  }
  const std::int64_t rows = weight->shape[0];
  const std::int64_t cols = weight->shape[1];
  const std::int64_t scale_cols = scale->shape.size() == 2 ? scale->shape[1] : 1;
  const std::int64_t scale_rows = scale->n_rows() * scale->n_cols() / scale_cols;
  TATARA_TRY(const auto block, settings_.IntsOrNone("weight_block_size"));
  const bool blocks = scale_cols > 1 || (scale_rows > 1 && scale_rows != rows) || block.size() == 2;
  const std::int64_t block_rows = blocks ? (block.size() == 2 ? block[0] : 0) : 1;
  const std::int64_t block_cols = blocks ? (block.size() == 2 ? block[1] : 0) : cols;
  if (blocks && (block_rows < 1 || block_cols < 1 || scale_rows != Blocks(rows, block_rows) ||
                 scale_cols != Blocks(cols, block_cols))) {
    return Wrong(scale_name);
  }
  TATARA_TRY(const auto scales, Floats(scale_name, scale_rows * scale_cols));
  const std::span<std::byte> room = store_.Allocate(static_cast<std::size_t>(rows * cols) * 4);
  const std::span values(reinterpret_cast<float*>(room.data()),
                         static_cast<std::size_t>(rows * cols));
  numerics::Dequantize(*weight->type->dtype, weight->data, values);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t scale_row = scale_rows == 1 ? 0 : r / block_rows;
    for (std::int64_t c = 0; c < cols; ++c) {
      values[static_cast<std::size_t>(r * cols + c)] *=
          scales[static_cast<std::size_t>(scale_row * scale_cols + c / block_cols)];
    }
  }
  SourceTensor made{.type = &kMadeF32, .shape = {rows, cols}, .data = room};
  tensors_.erase(scale_name);
  tensors_[stem + ".weight"] = std::move(made);
  return Ok{};
}

// gpt-oss: STEM_blocks (..., groups, 16) has two codes of E2M1 a byte, the first in the low half;
// STEM_scales (..., groups) the exponents. GGUF's block is the exponent and 16 bytes whose low
// halves are the first 16 values, so the same values keep their format under the name of the
// blocks.
Result<> Dequantiser::OneMxfp4(const std::string& stem) {
  constexpr std::size_t kHalf = 16;  // values; and bytes of a group
  const SourceTensor* codes = Find(stem + "_blocks");
  const SourceTensor* scales = Find(stem + "_scales");
  if (codes == nullptr || scales == nullptr || codes->type->bits != 8 || scales->type->bits != 8 ||
      codes->shape.size() < 3 || codes->shape.back() != 16 || codes->data.empty() ||
      scales->data.size() * kHalf != codes->data.size() ||
      !std::equal(scales->shape.begin(), scales->shape.end(), codes->shape.begin(),
                  codes->shape.end() - 1)) {
    return Wrong(stem + "_blocks");
  }
  const std::size_t n_groups = scales->data.size();
  const std::span<std::byte> made = store_.Allocate(n_groups * (1 + kHalf));
  for (std::size_t g = 0; g < n_groups; ++g) {
    const std::byte* from = codes->data.data() + g * kHalf;
    std::byte* to = made.data() + g * (1 + kHalf);
    *to++ = scales->data[g];
    for (std::size_t i = 0; i < kHalf; ++i) {
      const int shift = i % 2 == 0 ? 0 : 4;
      const std::byte low = from[i / 2] >> shift & std::byte{15};
      const std::byte high = from[(i + kHalf) / 2] >> shift & std::byte{15};
      to[i] = low | high << 4;
    }
  }
  SourceTensor joined{.type = &kMadeMxfp4, .shape = scales->shape, .data = made};
  joined.shape.back() *= 2 * kHalf;
  tensors_.erase(stem + "_scales");
  tensors_[stem + "_blocks"] = std::move(joined);
  return Ok{};
}

Result<> Dequantiser::CheckSettings() {
  TATARA_TRY(method_, settings_.StringOr("quant_method", "?"));
  const auto refuse = [&](const std::string& what) {
    return Refuse("{0}: its weights are quantised by '{1}' ({2}), which is not read",
                  settings_.origin(), Printable(method_), Printable(what));
  };
  if (method_ == "gptq" || method_ == "awq") {
    TATARA_TRY(const std::int64_t bits, settings_.IntOr("bits", 4));
    if (bits != 4) return refuse(fmt::format("{} bits", bits));
    TATARA_TRY(const std::string layout, settings_.StringOr("version", "gemm"));
    if (method_ == "awq" && layout != "gemm" && layout != "GEMM") return refuse(layout);
    TATARA_TRY(const std::string format, settings_.StringOr("checkpoint_format", "gptq"));
    if (method_ == "gptq" && format != "gptq" && format != "gptq_v2") return refuse(format);
    zeros_less_one_ = format == "gptq";
    return Ok{};
  }
  if (method_ == "compressed-tensors") {
    TATARA_TRY(const std::string format, settings_.StringOr("format", "?"));
    if (format != "pack-quantized" && format != "float-quantized" && format != "int-quantized") {
      return refuse(format);
    }
    const Config groups = settings_.Object("config_groups");
    for (const std::string& key : groups.Keys()) {
      TATARA_TRY(const std::int64_t bits,
                 groups.Object(key).Object("weights").IntOr("num_bits", 8));
      if (bits != (format == "pack-quantized" ? 4 : 8)) return refuse(fmt::format("{} bits", bits));
    }
    return Ok{};
  }
  if (method_ == "fp8" || method_ == "mxfp4") return Ok{};
  return refuse("?");
}

Result<SourceTensors> Dequantiser::Run() {
  TATARA_RETURN_IF_ERROR(CheckSettings());
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  for (const std::string& name : names) {
    const auto stem = [&](std::string_view ending) {
      return name.substr(0, name.size() - ending.size());
    };
    if (name.ends_with(".qweight")) {
      TATARA_RETURN_IF_ERROR(method_ == "awq" ? OneAwq(stem(".qweight"))
                                              : OneGptq(stem(".qweight")));
    } else if (name.ends_with(".weight_packed")) {
      TATARA_RETURN_IF_ERROR(OnePacked(stem(".weight_packed")));
    } else if (name.ends_with(".weight_scale_inv")) {
      TATARA_RETURN_IF_ERROR(OneScaled(stem(".weight_scale_inv"), name));
    } else if (name.ends_with(".weight_scale") &&
               Find(stem(".weight_scale") + ".weight_packed") == nullptr && Find(name) != nullptr) {
      TATARA_RETURN_IF_ERROR(OneScaled(stem(".weight_scale"), name));
    } else if (method_ == "mxfp4" && name.ends_with("_blocks")) {
      TATARA_RETURN_IF_ERROR(OneMxfp4(stem("_blocks")));
    } else if (name.ends_with(".input_scale") || name.ends_with(".activation_scale") ||
               name.ends_with(".k_scale") || name.ends_with(".v_scale")) {
      tensors_.erase(name);  // of activations, which are not rounded that way here
    }
  }
  return std::move(tensors_);
}

}  // namespace

Result<SourceTensors> Dequantised(const Config& config, SourceTensors tensors, HeldStore& store) {
  const Config settings = config.Object("quantization_config");
  if (settings.Keys().empty()) return tensors;
  return Dequantiser(settings, std::move(tensors), store).Run();
}

}  // namespace tatara::weights
