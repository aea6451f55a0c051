#include "eval_clusters.h"

#include <algorithm>
#include <map>

namespace microemo::cli {

eval::PairClusters clusters_of(const std::vector<eval::LabelPair>& pairs, const std::vector<data::Clip>& clips) {
  std::map<std::string, std::string> speakers;
  for (const data::Clip& clip : clips) {
    speakers[clip.id] = clip.speaker;
    for (size_t i = 0; i < clip.utterances.size(); ++i) {
      const std::string& own = clip.utterances[i].speaker;
      speakers[eval::utterance_id(clip.id, int64_t(i))] = own.empty() ? clip.speaker : own;
    }
  }
  eval::PairClusters clusters{.kind = "speaker"};
  for (const eval::LabelPair& pair : pairs) clusters.of_pair.push_back(speakers[pair.id]);
  if (std::ranges::any_of(clusters.of_pair, &std::string::empty)) return {};
  return clusters;
}

}  // namespace microemo::cli
