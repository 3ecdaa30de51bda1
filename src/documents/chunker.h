// Sections to chunks: blocks are packed together up to kChunkCellsMax; a block that is wider is cut
// at the coarsest joints that make its parts fit (items or rows, lines, sentences, characters).
#pragma once

#include <string_view>
#include <vector>

#include "blocks.h"

namespace tatara::documents {

std::vector<Chunk> CutIntoChunks(std::string_view text, const std::vector<Line>& lines,
                                 const std::vector<Section>& sections);

}  // namespace tatara::documents
