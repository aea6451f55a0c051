#include "microemo/infer/answer_shards.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/lock.h"

namespace microemo::infer {
namespace {

namespace fs = std::filesystem;

std::string name_of(const Shard& shard) { return fmt::format("{}-of-{}", shard.number, shard.count); }

/// The shards that are there, by their number.
std::map<int64_t, Shard> shards_in(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw DataError("there are no shards to merge").where(folder).hint("answer them first, with --shard 1/N to --shard N/N");
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  std::map<int64_t, Shard> found;
  for (const fs::path& entry : entries) {
    const std::optional<Shard> shard = read_shard(entry.filename().string(), "-of-");
    if (!shard || name_of(*shard) != entry.filename().string() || !fs::is_directory(entry))
      throw DataError("'{}' is no shard", entry.filename().string()).where(entry).hint("move it away, and merge again");
    if (!found.empty() && found.begin()->second.count != shard->count)
      throw DataError("'{}' and '{}' are shards of different evaluations", name_of(found.begin()->second), name_of(*shard))
          .where(folder)
          .hint("move those away that do not belong here, and merge again");
    found[shard->number] = *shard;
  }
  return found;
}

void require_all(const std::map<int64_t, Shard>& found, const fs::path& folder) {
  if (found.empty())
    throw DataError("there are no shards to merge").where(folder).hint("answer them first, with --shard 1/N to --shard N/N");
  const int64_t count = found.begin()->second.count;
  std::vector<std::string> missing;
  for (int64_t number = 1; number <= count; ++number)
    if (!found.contains(number)) missing.push_back(name_of({number, count}));
  if (!missing.empty())
    throw DataError("{} of {} shards {} missing: {}", missing.size(), count, missing.size() == 1 ? "is" : "are",
                    fmt::join(missing, ", "))
        .where(folder)
        .hint("run them, with the same words and --shard NUMBER/COUNT");
}

using Place = std::pair<std::string, int64_t>;

/// Adds the answers of one shard, each of which must be about a clip of its own.
void add_shard(const fs::path& folder, const Json& identity, const Shard& shard, const std::map<std::string, size_t>& clips,
               std::map<Place, AnswerRecord>& answers) {
  const fs::path place = shard_folder(folder, shard);
  if (!fs::exists(place / "evaluation.json"))
    throw DataError("the shard '{}' has not been begun", name_of(shard))
        .where(place)
        .hint(fmt::format("run it, with --shard {}/{}", shard.number, shard.count));
  const FolderLock lock(place);  // a process that still writes there must not meet the mending of a line that was cut off
  const AnswerLog log(place, shard_identity(identity, shard));
  for (const AnswerRecord& record : log.records()) {
    const auto clip = clips.find(record.clip);
    if (clip == clips.end() || !shard.has(clip->second))
      throw DataError("the shard '{}' has an answer about clip '{}', which is not one of its clips", name_of(shard), record.clip)
          .where(place / "answers.jsonl")
          .hint("delete the shard's folder and run it again");
    answers.emplace(Place{record.clip, record.utterance}, record);
  }
}

}  // namespace

fs::path shard_folder(const fs::path& folder, const Shard& shard) { return folder / "shards" / name_of(shard); }

Json shard_identity(Json identity, const Shard& shard) {
  identity["shard"] = name_of(shard);
  return identity;
}

std::vector<AnswerRecord> merged_answers(const fs::path& folder, const Json& identity, const std::vector<data::Clip>& clips) {
  const std::map<int64_t, Shard> shards = shards_in(folder / "shards");
  require_all(shards, folder / "shards");
  std::map<std::string, size_t> numbers;
  for (size_t clip = 0; clip < clips.size(); ++clip) numbers[clips[clip].id] = clip;
  std::map<Place, AnswerRecord> answers;
  for (const auto& [number, shard] : shards) add_shard(folder, identity, shard, numbers, answers);
  std::vector<AnswerRecord> merged;
  for (size_t clip = 0; clip < clips.size(); ++clip)
    for (size_t utterance = 0; utterance < clips[clip].utterances.size(); ++utterance) {
      const auto found = answers.find({clips[clip].id, int64_t(utterance)});
      const int64_t count = shards.begin()->second.count;
      const Shard owner{int64_t(clip) % count + 1, count};
      if (found == answers.end())
        throw DataError("the shard '{}' lacks the answer about utterance {} of clip '{}'", name_of(owner), utterance,
                        clips[clip].id)
            .where(shard_folder(folder, owner))
            .hint(fmt::format("run it again with --shard {}/{}: it goes on", owner.number, count));
      merged.push_back(std::move(found->second));
      answers.erase(found);
    }
  if (!answers.empty())
    throw DataError("there is an answer about utterance {} of clip '{}', which has no such utterance",
                    answers.begin()->first.second, answers.begin()->first.first)
        .where(folder / "shards")
        .hint("delete the folder of its shard and run it again");
  return merged;
}

void keep_merged(AnswerLog& log, const std::vector<AnswerRecord>& answers) {
  const std::vector<AnswerRecord>& there = log.records();
  for (size_t i = 0; i < there.size(); ++i)
    if (i >= answers.size() || to_json(there[i]) != to_json(answers[i]))
      throw DataError("the evaluation holds another answer about utterance {} of clip '{}' than its shards", there[i].utterance,
                      there[i].clip)
          .hint("delete answers.jsonl to take those of the shards");
  log.append({answers.begin() + int64_t(there.size()), answers.end()});
}

}  // namespace microemo::infer
