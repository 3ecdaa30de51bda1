// The Japanese texts of every module, installed at start.
#pragma once

namespace tatara::cli {
void InstallModuleTranslations();
}
