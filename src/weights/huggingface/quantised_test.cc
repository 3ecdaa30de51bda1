// Matrices packed by the formats' own words, from codes, zeros and scales that the test chose; what
// is read must be scale * (code - zero), rounded once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "safetensors_builder.h"
#include "tatara/weights/tensor_store.h"
#include "test_store.h"

namespace tatara::weights {
namespace {

using test::SafetensorsBuilder;
using testing::HasSubstr;

constexpr int kIn = 64, kOut = 16, kGroup = 32, kGroups = kIn / kGroup;
const std::string kStem = "model.layers.0.mlp.gate_proj";

int Code(int o, int k) {
  return (o * 7 + k * 5 + o * k) % 16;
}
int Zero(int o, int g) {
  return (o * 3 + g * 5) % 15 + 1;
}
float Scale(int o, int g) {
  return numerics::F16ToF32(numerics::F32ToF16(0.01F * static_cast<float>(1 + o + 3 * g)));
}

struct Layout {
  bool symmetric = false;
  bool shuffled_groups = false;
  int zero(int o, int g) const { return symmetric ? 8 : Zero(o, g); }
  int group(int k) const { return shuffled_groups ? k % kGroups : k / kGroup; }
};

std::vector<std::uint16_t> HalfScales() {  // groups x outputs
  std::vector<std::uint16_t> scales;
  for (int g = 0; g < kGroups; ++g) {
    for (int o = 0; o < kOut; ++o) scales.push_back(numerics::F32ToF16(Scale(o, g)));
  }
  return scales;
}

class Quantised : public testing::Test {
 protected:
  Result<std::unique_ptr<TensorStore>> Open(const std::string& quantisation,
                                            const SafetensorsBuilder& tensors) {
    test::WriteFile(dir_.path() / "config.json",
                    R"({"architectures":["LlamaForCausalLM"],"hidden_size":64,)"
                    R"("intermediate_size":16,"num_hidden_layers":1,"num_attention_heads":2,)"
                    R"("max_position_embeddings":64,"rms_norm_eps":1e-5,"quantization_config":)" +
                        quantisation + "}");
    test::WriteFile(dir_.path() / "model.safetensors", tensors.bytes());
    return OpenTensorStore(dir_.path());
  }
  void Expect(const std::string& quantisation, const SafetensorsBuilder& tensors,
              const Layout& layout, numerics::DType dtype) {
    const auto opened = Open(quantisation, tensors);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    const auto view = (*opened)->Get("blk.0.ffn_gate.weight", kOut, kIn);
    ASSERT_TRUE(view.ok()) << view.error().text();
    EXPECT_EQ(view->dtype, dtype);
    EXPECT_EQ((*opened)->tensors().size(), 1u);
    std::vector<float> values(kOut * kIn);
    numerics::Dequantize(view->dtype, view->data, values);
    for (int o = 0; o < kOut; ++o) {
      for (int k = 0; k < kIn; ++k) {
        const int g = layout.group(k);
        ASSERT_EQ(values[static_cast<std::size_t>(o * kIn + k)],
                  Scale(o, g) * static_cast<float>(Code(o, k) - layout.zero(o, g)))
            << o << " " << k;
      }
    }
  }
  tatara::test::ScratchDir dir_;
};

SafetensorsBuilder Gptq(const Layout& layout, int zero_less) {
  std::vector<std::uint32_t> weight(kIn / 8 * kOut), zeros(kGroups * kOut / 8);
  std::vector<std::int32_t> order;
  for (int k = 0; k < kIn; ++k) {
    order.push_back(layout.group(k));
    for (int o = 0; o < kOut; ++o) {
      weight[static_cast<std::size_t>(k / 8 * kOut + o)] |= static_cast<std::uint32_t>(Code(o, k))
                                                            << (4 * (k % 8));
    }
  }
  for (int g = 0; g < kGroups; ++g) {
    for (int o = 0; o < kOut; ++o) {
      zeros[static_cast<std::size_t>(g * kOut / 8 + o / 8)] |=
          static_cast<std::uint32_t>(layout.zero(o, g) - zero_less) << (4 * (o % 8));
    }
  }
  return SafetensorsBuilder()
      .AddOf("I32", kStem + ".qweight", {kIn / 8, kOut}, weight)
      .AddOf("I32", kStem + ".qzeros", {kGroups, kOut / 8}, zeros)
      .AddOf("F16", kStem + ".scales", {kGroups, kOut}, HalfScales())
      .AddOf("I32", kStem + ".g_idx", {kIn}, order);
}

TEST_F(Quantised, GptqIsReadWithEachFormOfItsZeros) {
  const char* const kV1 = R"({"quant_method":"gptq","bits":4,"group_size":32})";
  const char* const kV2 = R"({"quant_method":"gptq","bits":4,"checkpoint_format":"gptq_v2"})";
  Expect(kV1, Gptq({}, 1), {}, numerics::DType::kF32);
  Expect(kV2, Gptq({}, 0), {}, numerics::DType::kF32);
  const Layout symmetric{.symmetric = true};
  Expect(kV1, Gptq(symmetric, 1), symmetric, numerics::DType::kQ4_0);
  const Layout shuffled{.symmetric = true, .shuffled_groups = true};
  Expect(kV1, Gptq(shuffled, 1), shuffled, numerics::DType::kF32);
}

TEST_F(Quantised, AwqIsReadInItsOrderOfOutputs) {
  constexpr int kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};  // output of the i-th nibble
  std::vector<std::uint32_t> weight(kIn * kOut / 8), zeros(kGroups * kOut / 8);
  for (int word = 0; word < kOut / 8; ++word) {
    for (int i = 0; i < 8; ++i) {
      const int o = word * 8 + kOrder[i];
      for (int k = 0; k < kIn; ++k) {
        weight[static_cast<std::size_t>(k * kOut / 8 + word)] |=
            static_cast<std::uint32_t>(Code(o, k)) << (4 * i);
      }
      for (int g = 0; g < kGroups; ++g) {
        zeros[static_cast<std::size_t>(g * kOut / 8 + word)] |=
            static_cast<std::uint32_t>(Zero(o, g)) << (4 * i);
      }
    }
  }
  const SafetensorsBuilder tensors =
      SafetensorsBuilder()
          .AddOf("I32", kStem + ".qweight", {kIn, kOut / 8}, weight)
          .AddOf("I32", kStem + ".qzeros", {kGroups, kOut / 8}, zeros)
          .AddOf("F16", kStem + ".scales", {kGroups, kOut}, HalfScales());
  Expect(R"({"quant_method":"awq","bits":4,"version":"gemm"})", tensors, {}, numerics::DType::kF32);
}

TEST_F(Quantised, PackedFourBitsOfCompressedTensorsAreQ4) {
  std::vector<std::uint32_t> weight(kOut * kIn / 8);
  std::vector<float> scales;
  for (int o = 0; o < kOut; ++o) {
    for (int g = 0; g < kGroups; ++g) scales.push_back(Scale(o, g));
    for (int k = 0; k < kIn; ++k) {
      weight[static_cast<std::size_t>(o * kIn / 8 + k / 8)] |=
          static_cast<std::uint32_t>(Code(o, k)) << (4 * (k % 8));
    }
  }
  const SafetensorsBuilder tensors =
      SafetensorsBuilder()
          .AddOf("I32", kStem + ".weight_packed", {kOut, kIn / 8}, weight)
          .Add(kStem + ".weight_scale", {kOut, kGroups}, scales)
          .AddOf("I64", kStem + ".weight_shape", {2}, std::vector<std::int64_t>{kOut, kIn});
  Expect(R"({"quant_method":"compressed-tensors","format":"pack-quantized",)"
         R"("config_groups":{"group_0":{"weights":{"num_bits":4}}}})",
         tensors, {.symmetric = true}, numerics::DType::kQ4_0);
}

TEST_F(Quantised, EightBitNumbersTakeOneScaleOneARowOrOneABlock) {
  std::vector<std::uint8_t> weight;
  for (int i = 0; i < kOut * kIn; ++i) weight.push_back(static_cast<std::uint8_t>(i % 120));
  std::vector<float> codes(weight.size());
  numerics::Dequantize(numerics::DType::kF8_E4M3, std::as_bytes(std::span(weight)), codes);
  const auto check = [&](const char* settings, const char* name,
                         const std::vector<std::int64_t>& shape, auto scale_of) {
    std::vector<float> scales;
    for (std::int64_t i = 0; i < shape[0] * (shape.size() == 2 ? shape[1] : 1); ++i) {
      scales.push_back(0.1F * static_cast<float>(i + 1));
    }
    const auto opened = Open(settings, SafetensorsBuilder()
                                           .AddOf("F8_E4M3", kStem + ".weight", {kOut, kIn}, weight)
                                           .Add(kStem + name, shape, scales));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    const auto view = (*opened)->Get("blk.0.ffn_gate.weight", kOut, kIn);
    ASSERT_TRUE(view.ok());
    std::vector<float> values(codes.size());
    numerics::Dequantize(view->dtype, view->data, values);
    for (int i = 0; i < kOut * kIn; ++i) {
      const auto at = static_cast<std::size_t>(i);
      ASSERT_EQ(values[at],
                codes[at] * scales[static_cast<std::size_t>(scale_of(i / kIn, i % kIn))]);
    }
  };
  const char* const kFloat = R"({"quant_method":"compressed-tensors","format":"float-quantized"})";
  check(kFloat, ".weight_scale", {1}, [](int, int) { return 0; });
  check(kFloat, ".weight_scale", {kOut, 1}, [](int r, int) { return r; });
  check(R"({"quant_method":"fp8","weight_block_size":[8,24]})", ".weight_scale_inv", {2, 3},
        [](int r, int c) { return r / 8 * 3 + c / 24; });
}

TEST_F(Quantised, BlocksOfAnySizeAreCounted) {
  const std::vector<std::uint8_t> weight(kOut * kIn);
  const auto refusal = [&](const char* settings) {
    const auto opened = Open(settings, SafetensorsBuilder()
                                           .AddOf("F8_E4M3", kStem + ".weight", {kOut, kIn}, weight)
                                           .Add(kStem + ".weight_scale_inv", {2, 1}, {1, 1}));
    return opened.ok() ? "opened" : opened.error().text();
  };
  EXPECT_EQ(refusal(R"({"quant_method":"fp8","weight_block_size":[8,9223372036854775807]})"),
            "opened");
  EXPECT_THAT(refusal(R"({"quant_method":"fp8","weight_block_size":[9223372036854775807,64]})"),
              HasSubstr(".weight_scale_inv' is missing or not"));
}

// GPT-2's matrices are published input x output, packed codes always by output.
TEST_F(Quantised, CodesAreByOutputWhateverTheMatrixIs) {
  test::WriteFile(dir_.path() / "config.json",
                  R"({"architectures":["GPT2LMHeadModel"],"n_embd":64,"n_layer":1,"n_head":2,)"
                  R"("n_positions":64,"layer_norm_epsilon":1e-5,"quantization_config":)"
                  R"({"quant_method":"gptq","bits":4}})");
  const std::string stem = "h.0.attn.c_attn";
  const auto tensors = SafetensorsBuilder()
                           .AddOf("I32", stem + ".qweight", {kIn / 8, kOut},
                                  std::vector<std::uint32_t>(kIn / 8 * kOut))
                           .AddOf("I32", stem + ".qzeros", {kGroups, kOut / 8},
                                  std::vector<std::uint32_t>(kGroups * kOut / 8, 0x77777777))
                           .AddOf("F16", stem + ".scales", {kGroups, kOut}, HalfScales());
  test::WriteFile(dir_.path() / "model.safetensors", tensors.bytes());
  const auto opened = OpenTensorStore(dir_.path());
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  const TensorView* matrix = (*opened)->Find("blk.0.attn_qkv.weight");
  ASSERT_NE(matrix, nullptr);
  EXPECT_EQ(matrix->n_rows(), kOut);
  EXPECT_EQ(matrix->n_cols(), kIn);
}

TEST_F(Quantised, DamagedLayoutsAreRefusedByName) {
  const char* const kGptq = R"({"quant_method":"gptq","bits":4})";
  const auto refusal = [&](const SafetensorsBuilder& tensors) {
    const auto opened = Open(kGptq, tensors);
    return opened.ok() ? "opened" : opened.error().text();
  };
  const std::vector<std::uint32_t> words(kIn / 8 * kOut);
  EXPECT_THAT(
      refusal(SafetensorsBuilder().AddOf("I32", kStem + ".qweight", {kIn / 8, kOut}, words)),
      HasSubstr("'" + kStem + ".qzeros' is missing or not laid out as 'gptq'"));
  EXPECT_THAT(
      refusal(SafetensorsBuilder().AddOf("I32", kStem + ".qweight", {kIn / 8 * kOut}, words)),
      HasSubstr(".qweight' is missing or not"));
  EXPECT_THAT(
      refusal(SafetensorsBuilder()
                  .AddOf("I32", kStem + ".qweight", {kIn / 8, kOut}, words)
                  .AddOf("I32", kStem + ".qzeros", {kGroups, kOut / 8},
                         std::vector<std::uint32_t>(kGroups * kOut / 8))
                  .AddOf("F16", kStem + ".scales", {kGroups, kOut}, HalfScales())
                  .AddOf("I32", kStem + ".g_idx", {kIn}, std::vector<std::int32_t>(kIn, -1))),
      HasSubstr(".g_idx' is missing or not"));
}

}  // namespace
}  // namespace tatara::weights
