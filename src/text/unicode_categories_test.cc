#include "unicode_categories.h"

#include <gtest/gtest.h>

#include "unicode/uchar.h"
#include "unicode/uvernum.h"

namespace tatara::text {
namespace {

// ICU is a second source: what its (older or newer) Unicode has assigned must agree, but for the
// few characters whose category a later version changed.
TEST(UnicodeCategories, AgreeWithIcu) {
  int n_changed = 0, n_compared = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    static constexpr GeneralCategory kOfIcu[] = {
        GeneralCategory::kCn, GeneralCategory::kLu, GeneralCategory::kLl, GeneralCategory::kLt,
        GeneralCategory::kLm, GeneralCategory::kLo, GeneralCategory::kMn, GeneralCategory::kMe,
        GeneralCategory::kMc, GeneralCategory::kNd, GeneralCategory::kNl, GeneralCategory::kNo,
        GeneralCategory::kZs, GeneralCategory::kZl, GeneralCategory::kZp, GeneralCategory::kCc,
        GeneralCategory::kCf, GeneralCategory::kCo, GeneralCategory::kCs, GeneralCategory::kPd,
        GeneralCategory::kPs, GeneralCategory::kPe, GeneralCategory::kPc, GeneralCategory::kPo,
        GeneralCategory::kSm, GeneralCategory::kSc, GeneralCategory::kSk, GeneralCategory::kSo,
        GeneralCategory::kPi, GeneralCategory::kPf};
    const int icu = u_charType(static_cast<UChar32>(c));
    ASSERT_LT(icu, static_cast<int>(std::size(kOfIcu)));
    ASSERT_EQ(IsWhiteSpace(c), u_isUWhiteSpace(static_cast<UChar32>(c)) != 0);
    const GeneralCategory ours = CategoryOf(c);
    if (icu == U_UNASSIGNED || ours == GeneralCategory::kCn) continue;  // one version is older
    ++n_compared;
    n_changed += ours != kOfIcu[icu];
  }
  EXPECT_GT(n_compared, 280000);
  EXPECT_LE(n_changed, 10);
}

TEST(UnicodeCategories, HaveTheirNames) {
  EXPECT_EQ(NameOf(CategoryOf(U'A')), "Lu");
  EXPECT_EQ(NameOf(CategoryOf(U'あ')), "Lo");
  EXPECT_EQ(NameOf(CategoryOf(U'ー')), "Lm");
  EXPECT_EQ(NameOf(CategoryOf(U'５')), "Nd");
  EXPECT_EQ(NameOf(CategoryOf(U'〇')), "Nl");
  EXPECT_EQ(NameOf(CategoryOf(U'½')), "No");
  EXPECT_EQ(NameOf(CategoryOf(U'。')), "Po");
  EXPECT_EQ(NameOf(CategoryOf(U'　')), "Zs");
  EXPECT_EQ(NameOf(CategoryOf(0x10FFFF)), "Cn");
}

}  // namespace
}  // namespace tatara::text
