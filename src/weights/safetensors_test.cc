#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "safetensors_builder.h"
#include "safetensors_reader.h"
#include "tatara/weights/tensor_store.h"
#include "test_store.h"

namespace tatara::weights {
namespace {

using test::SafetensorsBuilder;
using test::SafetensorsBytes;
using testing::HasSubstr;

std::string Refusal(const std::string& bytes) {
  const auto head = ReadSafetensorsHead(AsBytes(bytes), "t.safetensors");
  return head.ok() ? "read" : head.error().text();
}

std::string Entry(const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "F32") {
  return "{\"w\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}}";
}

TEST(Safetensors, ReadsWhatTheFormatAllows) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
      R"("b":{"shape":[],"data_offsets":[0,4],"dtype":"F32"},"e":{"dtype":"I8","shape":[0],)"
      R"("data_offsets":[16,16]}}      )";
  const std::string bytes = SafetensorsBytes(header, std::string(16, '\1'));
  const auto head = ReadSafetensorsHead(AsBytes(bytes), "t");
  ASSERT_TRUE(head.ok()) << head.error().text();
  EXPECT_EQ(head->metadata.at("format"), "pt");
  EXPECT_EQ(head->tensors.at("a").n_elements(), 6);
  EXPECT_EQ(head->tensors.at("a").begin, 8 + header.size() + 4);
  EXPECT_EQ(head->tensors.at("b").n_elements(), 1);
  EXPECT_EQ(head->tensors.at("e").n_elements(), 0);
}

TEST(Safetensors, RefusesFilesThatAreCutOrPadded) {
  const std::string whole = SafetensorsBuilder().Add("w", {4}, {1, 2, 3, 4}).bytes();
  EXPECT_EQ(Refusal(whole), "read");
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_NE(Refusal(whole.substr(0, n)), "read") << n;
  EXPECT_THAT(Refusal(whole + "x"), HasSubstr("1 bytes after the last tensor"));
  std::string huge = whole;
  huge[7] = '\x7f';
  EXPECT_THAT(Refusal(huge), HasSubstr("the limit is 100000000"));
}

TEST(Safetensors, RefusesOffsetsThatOverlapLeaveHolesOrLeaveTheFile) {
  const std::string data(16, 'x');
  const auto refusal = [&](const std::string& header) {
    return Refusal(SafetensorsBytes(header, data));
  };
  EXPECT_EQ(refusal(Entry("[4]", "[0,16]")), "read");
  EXPECT_THAT(refusal(Entry("[4]", "[0,17]")), HasSubstr("the file is cut off or damaged"));
  EXPECT_THAT(refusal(Entry("[4]", "[16,0]")), HasSubstr("cut off or damaged"));
  EXPECT_THAT(refusal(Entry("[5]", "[0,16]")), HasSubstr("has 16 bytes, expected 20"));
  EXPECT_THAT(refusal(Entry("[3]", "[4,16]")), HasSubstr("overlap or leave a hole"));
  EXPECT_THAT(refusal(Entry("[4]", "[0,18446744073709551615]")), HasSubstr("cut off or damaged"));
  EXPECT_THAT(refusal(Entry("[4611686018427387904,4]", "[0,16]")), HasSubstr("can be counted"));
  EXPECT_THAT(refusal(Entry("[3]", "[0,1]", "F4")), HasSubstr("can be counted"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
                      R"("b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})"),
              HasSubstr("'b' begins at byte"));
}

TEST(Safetensors, RefusesHeadersThatAreNotOfTheFormat) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "no valid JSON"},
      {"[]", "an array where it may not be"},
      {"{\"w\":1}", "a number where"},
      {"{\"w\":{}}", "needs 'dtype'"},
      {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", "needs 'dtype'"},
      {Entry("[4]", "[0]"), "two 'data_offsets'"},
      {Entry("[4]", "[0,8,16]"), "a number where"},
      {Entry("[-4]", "[0,16]"), "a negative number"},
      {Entry("[4.0]", "[0,16]"), "a fraction"},
      {Entry("[[4]]", "[0,16]"), "an array where"},
      {Entry("\"4\"", "[0,16]"), "a text where"},
      {Entry("[1,1,1,1,1,1,1,1,4]", "[0,16]"), "too large or too many"},
      {Entry("[4]", "[0,16]", "F99"), "the unknown type 'F99'"},
      {"{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "a key twice"},
      {"{\"w\":{\"extra\":1}}", "an unknown key"},
      {"{\"__metadata__\":{\"a\":1}}", "a number where"},
      {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", "a metadata key twice"},
      {"{\"\":{\"dtype\":\"F32\"}}", "name is empty"},
      {"{\"" + std::string(2000, 'n') + "\":{}}", "longer than 1024 bytes"},
      {"{\"w\":null}", "null where"},
      {"{\"w\":{\"dtype\":{\"a\":{}}}}", "an object where"},
      {Entry("[4]", "[0,16]") + "x", "no valid JSON"},
      {"{\"w\":" + std::string(100000, '['), "an array where"},
      {std::string(100000, '{'), "no valid JSON"},
      {"{\"\xff\":{}}", "no valid JSON"},
  };
  for (const auto& [header, expected] : cases) {
    EXPECT_THAT(Refusal(SafetensorsBytes(header, std::string(16, 'x'))), HasSubstr(expected))
        << header.substr(0, 80);
  }
  const std::string twice = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                            R"("w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})";
  EXPECT_THAT(Refusal(SafetensorsBytes(twice, std::string(16, 'x'))), HasSubstr("there twice"));
}

TEST(Safetensors, AFileByItselfIsAStoreOfItsTensors) {
  const tatara::test::ScratchDir dir;
  const auto path = dir.path() / "any.safetensors";
  test::WriteFile(path, SafetensorsBuilder().Add("x.y", {2, 3}, {1, 2, 3, 4, 5, 6}).bytes());
  const auto opened = OpenTensorStore(path);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_TRUE((*opened)->Get("x.y", 2, 3).ok());
  EXPECT_FALSE((*opened)->metadata().Has("general.architecture"));
}

}  // namespace
}  // namespace tatara::weights
