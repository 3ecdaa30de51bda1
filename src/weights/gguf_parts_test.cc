#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf_builder.h"
#include "tatara/weights/tensor_store.h"
#include "test_store.h"
#include "test_support.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;
using test::GgufBuilder;
using testing::HasSubstr;

struct Part {
  std::uint16_t number = 0, count = 3;
  std::int32_t n_tensors = 3;
  std::string tensor = "w";
  std::string name = "same";
};

std::string Bytes(const Part& part) {
  GgufBuilder b;
  b.Counts(1, 4);
  b.Key("split.no", 2).Put(part.number);
  b.Key("split.count", 2).Put(part.count);
  b.Key("split.tensors.count", 5).Put(part.n_tensors);
  b.Key("general.name", 8).PutString(part.name);
  b.Tensor(part.tensor, {8}, 0, 0);
  return b.Data(32).bytes();
}

class GgufParts : public testing::Test {
 protected:
  fs::path PathOf(int number, int count = 3) const {
    return dir_.path() / fmt::format("m-{:05}-of-{:05}.gguf", number, count);
  }
  void WriteAll() {
    for (int i = 0; i < 3; ++i) {
      test::WriteFile(PathOf(i + 1), Bytes({.number = static_cast<std::uint16_t>(i),
                                            .tensor = "w" + std::to_string(i)}));
    }
  }
  std::string Refusal(int number = 1) {
    const auto opened = OpenTensorStore(PathOf(number));
    return opened.ok() ? "opened" : opened.error().text();
  }
  test::ScratchDir dir_;
};

TEST_F(GgufParts, AreOneModelWhicheverIsNamed) {
  WriteAll();
  for (int i = 1; i <= 3; ++i) {
    const auto opened = OpenTensorStore(PathOf(i));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_EQ((*opened)->tensors().size(), 3u);
    EXPECT_EQ((*opened)->metadata().String("general.name").value(), "same");
    for (const char* name : {"w0", "w1", "w2"}) EXPECT_NE((*opened)->Find(name), nullptr);
  }
}

TEST_F(GgufParts, AMissingPartIsNamed) {
  WriteAll();
  fs::remove(PathOf(2));
  EXPECT_THAT(Refusal(3), HasSubstr("m-00002-of-00003.gguf"));
}

TEST_F(GgufParts, AnotherNameCanNotFindTheOthers) {
  test::WriteFile(dir_.path() / "renamed.gguf", Bytes({}));
  const auto opened = OpenTensorStore(dir_.path() / "renamed.gguf");
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().text(), HasSubstr("must end in '-00001-of-00003.gguf'"));
}

TEST_F(GgufParts, PartsOfDifferentModelsAreRefused) {
  WriteAll();
  test::WriteFile(PathOf(2), Bytes({.number = 1, .n_tensors = 4, .tensor = "w1"}));
  EXPECT_THAT(Refusal(), HasSubstr("part 2 of 3 of a model with 4 tensors, expected part 2 of 3"));
  test::WriteFile(PathOf(2), Bytes({.number = 2, .tensor = "w1"}));
  EXPECT_THAT(Refusal(), HasSubstr("says it is part 3 of 3"));
  test::WriteFile(PathOf(2), Bytes({.number = 1, .tensor = "w1", .name = "other"}));
  EXPECT_THAT(Refusal(), HasSubstr("the key 'general.name' is another"));
  test::WriteFile(PathOf(2), Bytes({.number = 1, .tensor = "w0"}));
  EXPECT_THAT(Refusal(), HasSubstr("the tensor 'w0' is there twice"));
}

TEST_F(GgufParts, TheNumberOfTensorsMustHold) {
  for (int i = 0; i < 3; ++i) {
    test::WriteFile(PathOf(i + 1), Bytes({.number = static_cast<std::uint16_t>(i),
                                          .n_tensors = 5,
                                          .tensor = "w" + std::to_string(i)}));
  }
  EXPECT_THAT(Refusal(), HasSubstr("its 3 parts have 3 tensors, expected 5"));
}

TEST_F(GgufParts, AbsurdCountsAreRefused) {
  test::WriteFile(PathOf(1, 60000), Bytes({.count = 60000}));
  EXPECT_THAT(OpenTensorStore(PathOf(1, 60000)).error().text(), HasSubstr("up to 1024 parts"));
  test::WriteFile(PathOf(1), Bytes({.number = 7}));
  EXPECT_THAT(Refusal(), HasSubstr("split.no is 7 of 3 parts"));
}

}  // namespace
}  // namespace tatara::weights
