#include "transcript_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  return microemo::fuzz::run_transcript(bytes, size, microemo::text::TranscriptKind::json);
}
