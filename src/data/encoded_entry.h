#pragma once
#include "microemo/formats/safetensors.h"

namespace microemo::data {

/// Whether the file is an entry of a cache of encoded clips, by its header.
bool is_encoded_entry(const formats::SafetensorsFile& file);
/// Throws Error(data) for such an entry that cannot be trusted.
void check_encoded_entry(const formats::SafetensorsFile& file);

}  // namespace microemo::data
