#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "microemo/base/error.h"
#include "microemo/media/input.h"

namespace microemo::data {

/// A movement of the face that the synthetic generator put in; real data has none.
struct Movement {
  std::string unit = {};  ///< "brow_up", …
  double onset_s = 0, apex_s = 0, offset_s = 0;
  double amplitude = 0;    ///< in units of the distance between the outer eye corners
  int64_t utterance = -1;  ///< index of the utterance it belongs to; -1: between utterances
};

struct Utterance {
  double start_s = 0, end_s = 0;  ///< on the clip's clock, [start, end)
  std::string text = {};
  std::string speaker = {};
  std::vector<std::string> labels = {};           ///< open-vocabulary ground truth; empty when not known
  std::string answer = {};                        ///< the text to train on; empty: built from the labels
  std::string question = {};                      ///< empty: built from the times
  std::string face = {}, voice = {}, words = {};  ///< synthetic ground truth of the three channels: movement unit or "none",
                                                  ///< manner, sentiment; empty for real data
};

/// One clip: one line of a manifest.
struct Clip {
  std::string id = {};
  std::filesystem::path video = {};  ///< absolute, or relative to the working folder: already joined with the manifest's folder;
                                     ///< empty: the clip is words alone
  double frame_rate = 0;             ///< of a video that is a folder of pictures, per second; 0: it is a file
  std::string split = {};            ///< "train", "test", …
  std::vector<Utterance> utterances = {};
  std::vector<std::string> labels = {};  ///< of the whole clip
  std::vector<Movement> movements = {};
  std::filesystem::path face_crops = {};  ///< .npy of aligned faces that were cut elsewhere; empty: they are tracked in the video
  double face_crop_rate = 0;              ///< of these, per second; 0: there is one for each frame of the video
  std::map<std::string, std::filesystem::path> features = {};  ///< .npy files of vectors that were computed elsewhere, by name
  std::string identity = {}, speaker = {};  ///< who is shown and who speaks, where known (clusters of the bootstrap)
  std::string dialogue = {};                ///< the conversation that the clip was cut from, where known (clusters, too)
  int64_t line = 0;                         ///< in the manifest
};

/// The clip's video for the readers of media.
inline media::MediaInput media_of(const Clip& clip) {
  media::MediaInput input(clip.video);
  input.frame_rate = clip.frame_rate;
  return input;
}

struct Manifest {
  std::filesystem::path path;
  std::string hash;  ///< SHA-256 of the file
  std::vector<Clip> clips;
};

/// Reads a JSONL manifest: one clip a line.
///
///   id                 text, unique
///   video              path; relative ones start at the manifest's folder; none: words alone, for models that neither look nor
///                      listen
///   frame_rate         number, or text such as "30000/1001": "video" is a folder of pictures that are shown so many a second
///   split              text
///   identity, speaker  who is shown, who speaks
///   dialogue           text: the conversation that the clip was cut from
///   labels             list of text, of the whole clip
///   utterances         list, in order of time and without overlap, of objects with the members of Utterance
///   transcript         path of a file that takes the place of "utterances": text::read_transcript. Text without times is one
///                      utterance of the whole clip, whose length is what the video's container says
///   movements          list of objects with the members of Movement
///   face_crops         path of an .npy, uint8 [T, S, S, 3] in the order blue, green, red, as MERTools keeps OpenFace's: taken in
///                      place of the faces that prepare would track; black ones are frames without a face
///   face_crop_rate     how many of them a second, from time 0 on; left out, there is one for each frame of the video
///   features           object of paths, as "video" is: .npy files of vectors of the clip that were computed elsewhere, by name
///
/// Only id, and the times of an utterance and of a movement, have to be there. Throws Error(data) with file and line:
/// empty manifest, no id, an id twice, unknown key (with the nearest name), both transcript and utterances, times that are
/// negative or end before they start, utterances that overlap or are out of order, a movement outside its utterances' numbers, a
/// frame_rate that is none, without a video or beside a file, a folder without one, a video, transcript, feature or file of crops
/// that does not exist, a rate without crops, a transcript that read_transcript refuses or that has no times where the length of
/// the clip is not known.
Manifest read_manifest(const std::filesystem::path& path);
/// The same, but every mistake of a line goes to `on_error` and that line's clip is left out; only a file that cannot be read or
/// has no line throws.
Manifest read_manifest(const std::filesystem::path& path,
                       const std::function<void(const Error& mistake, int64_t line)>& on_error);

/// Writes clips as read_manifest reads them, atomically: empty members are left out, a video below the manifest's folder is named
/// relative to it, another one by its absolute path. Utterances are written in full, a transcript is not named.
void write_manifest(const std::filesystem::path& path, const std::vector<Clip>& clips);

}  // namespace microemo::data
