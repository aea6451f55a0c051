#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "microemo/eval/label_table.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

/// What is said of [start_s, end_s) of a clip.
struct LabelledSegment {
  double start_s = 0, end_s = 0;  ///< seconds on the clip's clock
  std::vector<std::string> labels;
};
using Timeline = std::vector<LabelledSegment>;

struct TimelineFile : LabelSource {
  std::map<std::string, Timeline> clips;
};

/// Timelines by clip: the utterances of a JSONL manifest (or of answers in its form) with "start_s", "end_s" and "labels" or
/// "answer"; or an evaluation's answers.jsonl, a line for each "utterance" of a "clip". Throws Error(data) with file and line for
/// an utterance without times or labels or that stands twice, for times that are no numbers, negative or end before they start,
/// and as read_label_table. "extractor" and "split" as there.
TimelineFile read_timelines(const std::filesystem::path& path);

/// Over time instead of over utterances, so that a prediction need not cut the clip as the truth does: at every instant Y and P
/// are the classes of all true and predicted segments that hold it. Averaged over the instants whose Y is not empty: precision
/// |Y∩P|/|P| (0 where P is empty), recall |Y∩P|/|Y| and f 2|Y∩P|/(|Y|+|P|). A definition of this project; no benchmark has it.
struct TimelineScore {
  double labelled_s = 0;                    ///< seconds with a true class
  double covered_s = 0;                     ///< of these, seconds with a predicted class
  double idle_s = 0;                        ///< seconds with a predicted class and no true one, which no average counts
  double precision = 0, recall = 0, f = 0;  ///< NaN without labelled time
};
TimelineScore score_timeline(const Timeline& truth, const Timeline& predicted, const Grouping& grouping);

/// Over the time of all clips together. Throws Error(data) that lists the clips which only one side has.
TimelineScore score_timelines(const std::map<std::string, Timeline>& truths, const std::map<std::string, Timeline>& predictions,
                              const Grouping& grouping);

}  // namespace microemo::eval
