#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/data/prepared.h"

namespace microemo::data {

enum class Severity { error, warning };
const char* name_of(Severity severity);

/// Something that is wrong with a manifest or its clips, or that the user should know: what, where, and what to do.
struct Finding {
  Severity severity = Severity::error;
  std::string code;  ///< for programs: "manifest", "media", "no-sound", "no-picture", "no-utterances", "no-labels", "outside",
                     ///< "unknown-length", "truncated", "face-crops", "duplicate", "leak"
  std::filesystem::path manifest;
  int64_t line = 0;  ///< in the manifest; 0: the whole of it
  std::string id;    ///< of the clip; empty when it has none
  std::string message, place, next_step;
};

struct CheckReport {
  int64_t lines = 0;              ///< clips that the manifests name
  bool stopped = false;           ///< by a signal, before every video was opened
  std::vector<Finding> findings;  ///< by manifest and line
  int64_t errors() const;
  int64_t warnings() const;
};

/// Looks at everything that `prepare` and `train` will need, without decoding: every line, transcript and video header; files
/// that break off; given face crops (shape, type, their number or times against the video, whether any is not black); utterances
/// against the length that the container claims; labels; the same content twice; the same content, identity, speaker or
/// dialogue in two splits. Several manifests (train and test, say) are looked at together. A mistake is a finding, not an
/// exception; throws Error(data) only for a manifest that cannot be read or is empty. Reads every video for its hash and for its
/// packets, on `workers` threads (0: as many as the machine allows). Partial::allow, for a prepare.partial of that name, makes a
/// file that breaks off a warning, and compares the utterances with what can be read of it.
CheckReport check_manifests(const std::vector<std::filesystem::path>& manifests, int workers = 0,
                            Partial partial = Partial::refuse);

struct SplitStats {
  int64_t clips = 0, utterances = 0, labelled = 0;  ///< labelled: utterances with labels or an answer
  int64_t identities = 0, speakers = 0, dialogues = 0;
  double speech_s = 0;  ///< sum of utterance lengths
};

struct ManifestStats {
  std::map<std::string, SplitStats> splits;  ///< "" where a clip names none
  std::map<std::string, int64_t> labels;     ///< utterances, and clips as a whole, that have it
  std::map<std::string, int64_t> movements;  ///< by unit
  double utterance_min_s = 0, utterance_median_s = 0, utterance_max_s = 0;
  double media_s = 0;  ///< sum of the lengths that the containers claim
  int64_t without_sound = 0, without_picture = 0;
  int64_t words_alone = 0;                  ///< clips that name no video
  std::map<std::string, int64_t> pictures;  ///< clips by size, "640x360"
  std::map<std::string, int64_t> codecs;    ///< clips by "h264 + aac"
};

/// Counts what the manifests hold; opens every video, decodes none. Throws Error(data) as read_manifest and media::probe do.
ManifestStats manifest_stats(const std::vector<std::filesystem::path>& manifests, int workers = 0);

Json to_json(const CheckReport& report);
Json to_json(const ManifestStats& stats);

}  // namespace microemo::data
