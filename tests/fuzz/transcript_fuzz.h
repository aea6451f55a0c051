#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "microemo/base/error.h"
#include "microemo/text/transcript.h"
#include "microemo/text/utterance_rules.h"

// What the fuzz targets of transcripts share. Error(data) is a right answer; anything else, and utterances that overlap, are out
// of order or have no length, are findings.

namespace microemo::fuzz {

inline void check(const std::vector<text::Cue>& utterances) {
  double end_s = 0;
  for (const text::Cue& utterance : utterances) {
    if (utterance.start_s < end_s - 1e-6 || !(utterance.end_s > utterance.start_s)) {
      std::fprintf(stderr, "an utterance from %g to %g s behind %g s\n", utterance.start_s, utterance.end_s, end_s);
      std::abort();
    }
    end_s = utterance.end_s;
  }
}

inline int run_transcript(const uint8_t* bytes, size_t size, text::TranscriptKind kind) {
  try {
    const std::string text(reinterpret_cast<const char*>(bytes), size);
    const auto cues = text::parse_transcript(text, kind, "fuzz").cues;
    text::format_srt(cues);
    for (const text::Overlap overlap : {text::Overlap::cut, text::Overlap::merge})
      check(text::utterances_of(cues, {.overlap = overlap}, "fuzz"));
    check(text::utterances_of(
        cues, {.overlap = text::Overlap::cut, .merge_gap_s = 0.3, .longest_s = 5, .shortest_s = 0.5, .most = 8, .pad_s = 0.2},
        "fuzz"));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
  }
  return 0;
}

}  // namespace microemo::fuzz
