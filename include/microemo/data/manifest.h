#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace microemo::data {

/// A movement of the face that the synthetic generator put in; real data has none.
struct Movement {
  std::string unit;  ///< "brow_up", …
  double onset_s = 0, apex_s = 0, offset_s = 0;
  double amplitude = 0;    ///< in units of the distance between the outer eye corners
  int64_t utterance = -1;  ///< index of the utterance it belongs to; -1: between utterances
};

struct Utterance {
  double start_s = 0, end_s = 0;  ///< on the clip's clock, [start, end)
  std::string text;
  std::string speaker;
  std::vector<std::string> labels;  ///< open-vocabulary ground truth; empty when not known
  std::string answer;               ///< the text to train on; empty: built from the labels
  std::string question;             ///< empty: built from the times
  std::string face, voice, words;   ///< synthetic ground truth of the three channels: movement unit or "none", manner, sentiment; empty for real data
};

/// One clip: one line of a manifest.
struct Clip {
  std::string id;
  std::filesystem::path video;  ///< absolute, or relative to the working folder: already joined with the manifest's folder
  std::string split;            ///< "train", "test", …
  std::vector<Utterance> utterances;
  std::vector<std::string> labels;  ///< of the whole clip
  std::vector<Movement> movements;
  std::string identity, speaker;  ///< who is shown and who speaks, where known (clusters of the bootstrap)
  int64_t line = 0;               ///< in the manifest
};

struct Manifest {
  std::filesystem::path path;
  std::string hash;  ///< SHA-256 of the file
  std::vector<Clip> clips;
};

/// Reads a JSONL manifest (data/README.md has the layout). Utterances come from the line or, when it names a "transcript", from that SRT. Throws Error(data) with file and
/// line: empty manifest, no id, an id twice, unknown key, end before start, overlapping utterances, a video or transcript that does not exist.
Manifest read_manifest(const std::filesystem::path& path);
void write_manifest(const std::filesystem::path& path, const std::vector<Clip>& clips);

}  // namespace microemo::data
