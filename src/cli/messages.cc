#include "messages.h"

#include "tatara/base/localise.h"

namespace tatara::cli {
namespace {

constexpr Translation kTranslations[] = {
#include "tatara/assistant/messages_ja.inc"
#include "tatara/base/messages_ja.inc"
#include "tatara/cli/messages_ja.inc"
#include "tatara/corpus/messages_ja.inc"
#include "tatara/documents/messages_ja.inc"
#include "tatara/generate/messages_ja.inc"
#include "tatara/govern/messages_ja.inc"
#include "tatara/learn/messages_ja.inc"
#include "tatara/ledger/messages_ja.inc"
#include "tatara/model/messages_ja.inc"
#include "tatara/numerics/messages_ja.inc"
#include "tatara/search/messages_ja.inc"
#include "tatara/server/messages_ja.inc"
#include "tatara/text/messages_ja.inc"
#include "tatara/weights/messages_ja.inc"
};

}  // namespace

void InstallModuleTranslations() {
  InstallTranslations(kTranslations);
}

}  // namespace tatara::cli
