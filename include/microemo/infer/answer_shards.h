#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/base/shard.h"
#include "microemo/data/sample.h"
#include "microemo/infer/answer_log.h"

namespace microemo::infer {

using microemo::parse_shard;
using microemo::Shard;

/// FOLDER/shards/2-of-8, where a shard of the evaluation in FOLDER has its own AnswerLog.
std::filesystem::path shard_folder(const std::filesystem::path& folder, const Shard& shard);
/// What decides the answers of a shard: the evaluation's identity, and which shard it is.
Json shard_identity(Json identity, const Shard& shard);

/// The answers of all shards in FOLDER/shards in the order of the clips, whatever the order in which they were written. Throws
/// naming the shard: Error(data) when one is missing, is of another number of shards, is no shard at all, lacks an answer, has
/// one twice or one that is another's; Error(config) when it is of another evaluation or of another shard under this name;
/// Error(environment) while a process is at work in it; and as AnswerLog does.
std::vector<AnswerRecord> merged_answers(const std::filesystem::path& folder, const Json& identity,
                                         const std::vector<data::Clip>& clips);

/// Writes merged answers into the log of the whole evaluation. Answers that are there have to be the same; Error(data) naming the
/// first that is not.
void keep_merged(AnswerLog& log, const std::vector<AnswerRecord>& answers);

}  // namespace microemo::infer
