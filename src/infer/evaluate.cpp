#include "microemo/infer/evaluate.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/eval/labels.h"

namespace microemo::infer {
namespace {

using Answers = std::map<std::pair<std::string, int64_t>, const AnswerRecord*>;

Answers by_utterance(const std::vector<AnswerRecord>& records) {
  Answers answers;
  for (const AnswerRecord& record : records) answers[{record.clip, record.utterance}] = &record;
  return answers;
}

const AnswerRecord& answer_to(const Answers& answers, const data::Clip& clip, size_t utterance) {
  const auto found = answers.find({clip.id, int64_t(utterance)});
  if (found == answers.end())
    throw DataError("there is no answer about utterance {} of clip '{}'", utterance, clip.id)
        .hint("run the same evaluation again: it goes on");
  return *found->second;
}

AnswerRecord make_record(const data::Clip& clip, int64_t utterance, const Answer& answer) {
  const data::Utterance& asked = clip.utterances[size_t(utterance)];
  return {.clip = clip.id,
          .utterance = utterance,
          .start_s = asked.start_s,
          .end_s = asked.end_s,
          .question = data::question_text(asked),
          .answer = answer.text,
          .log_probability = answer.log_probability,
          .complete = answer.complete};
}

bool knows_utterance_labels(const data::Clip& clip) {
  return std::any_of(clip.utterances.begin(), clip.utterances.end(), [](const data::Utterance& u) { return !u.labels.empty(); });
}

eval::LabelPair pair_of_clip(const data::Clip& clip, const Answers& answers) {
  eval::LabelPair pair{.id = clip.id, .clip = clip.id, .truth = clip.labels, .predicted = {}};
  for (size_t i = 0; i < clip.utterances.size(); ++i)
    for (const std::string& label : eval::extract_labels(answer_to(answers, clip, i).answer))
      if (std::find(pair.predicted.begin(), pair.predicted.end(), label) == pair.predicted.end()) pair.predicted.push_back(label);
  return pair;
}

/// An answer that was put into the log by hand would be scored.
void refuse_strangers(const Answers& answers, const std::vector<data::Sample>& samples) {
  std::map<std::string, size_t> utterances;
  for (const data::Sample& sample : samples) utterances[sample.clip.id] = sample.clip.utterances.size();
  for (const auto& [question, record] : answers) {
    const auto clip = utterances.find(question.first);
    if (clip == utterances.end() || question.second < 0 || size_t(question.second) >= clip->second)
      throw DataError("there is an answer about utterance {} of clip '{}', which the evaluation does not ask about",
                      question.second, question.first)
          .hint("take its line out of answers.jsonl");
  }
}

}  // namespace

bool answer_dataset(const model::MicroEmo& model, const data::BatchBuilder& builder, const std::vector<data::Sample>& samples,
                    const GenerateOptions& options, AnswerLog& log) {
  const Answers there = by_utterance(log.records());
  refuse_strangers(there, samples);
  Progress progress("answer", "clips", int64_t(samples.size()));
  for (size_t first = 0; first < samples.size(); first += size_t(options.batch_clips)) {
    if (stop_requested()) return false;
    std::vector<const data::Sample*> batch;
    std::vector<data::Question> questions;
    const size_t last = std::min(samples.size(), first + size_t(options.batch_clips));
    for (size_t i = first; i < last; ++i) {
      batch.push_back(&samples[i]);
      for (size_t u = 0; u < samples[i].clip.utterances.size(); ++u)
        if (!there.contains({samples[i].clip.id, int64_t(u)})) questions.push_back({int64_t(i - first), int64_t(u)});
    }
    if (questions.empty()) {
      progress.skip(int64_t(batch.size()));
      continue;
    }
    const std::vector<Answer> answers = generate_answers(model, builder, batch, questions, options);
    std::vector<AnswerRecord> records;
    for (size_t i = 0; i < questions.size(); ++i)
      records.push_back(make_record(batch[size_t(questions[i].sample)]->clip, questions[i].utterance, answers[i]));
    log.append(records);
    progress.add(int64_t(batch.size()));
  }
  return true;
}

std::vector<eval::LabelPair> label_pairs(const std::vector<data::Clip>& clips, const std::vector<AnswerRecord>& records) {
  const Answers answers = by_utterance(records);
  std::vector<eval::LabelPair> pairs;
  for (const data::Clip& clip : clips) {
    if (!knows_utterance_labels(clip) && !clip.labels.empty()) pairs.push_back(pair_of_clip(clip, answers));
    for (size_t i = 0; i < clip.utterances.size(); ++i) {
      if (clip.utterances[i].labels.empty()) continue;
      pairs.push_back({eval::utterance_id(clip.id, int64_t(i)), clip.id, clip.utterances[i].labels,
                       eval::extract_labels(answer_to(answers, clip, i).answer)});
    }
  }
  return pairs;
}

}  // namespace microemo::infer
