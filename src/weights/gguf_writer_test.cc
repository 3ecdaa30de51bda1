// What ExportGguf writes is what the reader read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "gguf_builder.h"
#include "tatara/base/files.h"
#include "tatara/weights/gguf_file.h"
#include "test_support.h"

namespace tatara::weights {
namespace {

using testing::HasSubstr;

class GgufWriter : public testing::Test {
 protected:
  GgufWriter() {
    std::ofstream(source(), std::ios::binary) << test::SmallGguf().bytes();
    store_ = OpenTensorStore(source()).value();
  }
  std::filesystem::path source() const { return dir_.path() / "small.gguf"; }
  std::filesystem::path out() const { return dir_.path() / "out.gguf"; }

  tatara::test::ScratchDir dir_;
  std::unique_ptr<TensorStore> store_;
};

TEST_F(GgufWriter, KeysAndTensorsComeBackAsTheyWere) {
  const auto report = ExportGguf(*store_, out(), {});
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(report->n_tensors, 3);
  const auto again = OpenTensorStore(out());
  ASSERT_TRUE(again.ok()) << again.error().text();
  for (const auto& [key, value] : store_->metadata().values()) {
    if (key == "general.alignment") continue;
    const auto found = (*again)->metadata().values().find(key);
    ASSERT_NE(found, (*again)->metadata().values().end()) << key;
    EXPECT_EQ(found->second, value) << key;
  }
  for (const auto& [name, view] : store_->tensors()) {
    const TensorView* found = (*again)->Find(name);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->dtype, view.dtype);
    EXPECT_EQ(found->n_dims, view.n_dims);
    EXPECT_EQ(found->shape, view.shape);
    EXPECT_TRUE(std::ranges::equal(found->data, view.data)) << name;
  }
}

TEST_F(GgufWriter, WritingWhatWasWrittenGivesTheSameBytes) {
  ASSERT_TRUE(ExportGguf(*store_, out(), {}).ok());
  const auto again = OpenTensorStore(out());
  ASSERT_TRUE(ExportGguf(**again, dir_.path() / "twice.gguf", {}).ok());
  EXPECT_EQ(ReadWholeFile(out(), 1 << 20).value(),
            ReadWholeFile(dir_.path() / "twice.gguf", 1 << 20).value());
}

TEST_F(GgufWriter, AChangedTensorIsWrittenInF32) {
  GgufExportOptions options;
  options.is_changed = [](std::string_view name) { return name == "q"; };
  options.change_rows = [](std::string_view, std::int64_t first, std::span<float> rows) {
    for (float& x : rows) x = static_cast<float>(first) + 0.5F;
    return Result<>(Ok{});
  };
  ASSERT_TRUE(ExportGguf(*store_, out(), options).ok());
  const auto again = OpenTensorStore(out());
  const TensorView* view = (*again)->Find("q");
  ASSERT_EQ(view->dtype, numerics::DType::kF32);
  EXPECT_EQ(LoadLe<float>(view->data.data() + view->data.size() - 4), 0.5F);
}

TEST_F(GgufWriter, AnExistingFileIsNotOverwrittenAndAFailureLeavesNone) {
  EXPECT_THAT(ExportGguf(*store_, source(), {}).error().text(), HasSubstr("exists already"));
  GgufExportOptions options;
  options.is_changed = [](std::string_view) { return true; };
  options.change_rows = [](std::string_view, std::int64_t, std::span<float>) {
    return Result<>(Refuse("no"));
  };
  EXPECT_FALSE(ExportGguf(*store_, out(), options).ok());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
}

}  // namespace
}  // namespace tatara::weights
