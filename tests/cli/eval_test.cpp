#include <fstream>

#include "infer/tiny_model.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"
#include "microemo/base/lock.h"
#include "microemo/checkpoint/folder.h"
#include "microemo/data/manifest.h"
#include "microemo/data/prepared.h"
#include "microemo/eval/metrics.h"
#include "support/command.h"
#include "support/disk.h"
#include "support/errors.h"
#include "tiny_run.h"

namespace microemo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

int64_t lines_of(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  return std::count(text.begin(), text.end(), '\n');
}

struct EvalCommand : ::testing::Test {
  inline static test::TinyRun* tiny = nullptr;
  TemporaryFolder place;
  std::filesystem::path out = place.path() / "evaluation";

  static void SetUpTestSuite() { tiny = new test::TinyRun; }
  static void TearDownTestSuite() { delete tiny; }

  test::CommandResult eval(std::vector<std::string> more) const {
    std::vector<std::string> words = {MICROEMO_BINARY, "--quiet", "eval"};
    more.insert(more.end(), {"generate.max_new_tokens=6", "resamples=20"});
    words.insert(words.end(), more.begin(), more.end());
    test::CommandOptions options;
    options.folder = place.path();
    return test::run_command(words, options);
  }
  test::CommandResult eval_run(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {tiny->run, tiny->manifest, "--out", out};
    words.insert(words.end(), more.begin(), more.end());
    return eval(words);
  }
};

TEST_F(EvalCommand, RefusesAveragesOfARunThatHasNone) {
  const test::CommandResult result = eval_run({"ema=true"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::checkpoint));
  EXPECT_THAT(result.standard_error, HasSubstr("the checkpoint has no averaged weights"));
}

TEST_F(EvalCommand, WritesAnswersLabelsAndScores) {
  const test::CommandResult result = eval_run();
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(lines_of(out / "answers.jsonl"), 6);
  EXPECT_EQ(lines_of(out / "labels.jsonl"), 6);
  EXPECT_EQ(lines_of(out / "samples.csv"), 7);
  EXPECT_EQ(read_file(out / "scores.png").substr(1, 3), "PNG");
  const Json scores = read_json(out / "scores.json");
  EXPECT_EQ(scores["clips"], 3);
  EXPECT_TRUE(scores["f_score"].is_number());
  EXPECT_EQ(scores["arms"].size(), 2u);
  EXPECT_THAT(result.standard_output, HasSubstr(read_file(out / "table.txt")));
}

TEST_F(EvalCommand, TakesRunAndManifestFromAConfiguration) {
  ASSERT_EQ(eval_run().exit_code, 0);
  const std::filesystem::path config = place.path() / "evaluation.yaml";
  write_file_atomic(config, fmt::format("run: {}\nmanifest: {}\n", tiny->run.string(), tiny->manifest.string()));
  const test::CommandResult result = eval({config, "--out", place.path() / "other"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(read_file(place.path() / "other/answers.jsonl"), read_file(out / "answers.jsonl"));
  const Json recorded = read_json(place.path() / "other/environment.json");
  EXPECT_EQ(recorded.at("options").at("run"), tiny->run.string()) << recorded.dump();
  const test::CommandResult without_clips = eval({tiny->run, config, place.path() / "none.jsonl", "--out", out});
  EXPECT_THAT(without_clips.standard_error, HasSubstr("none.jsonl")) << "the command line goes before the configuration";
}

TEST_F(EvalCommand, RefusesNamesThatAreMissingOrTooMany) {
  const test::CommandResult no_run = eval({tiny->manifest, "--out", out});
  EXPECT_EQ(no_run.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(no_run.standard_error, HasSubstr("no run is named"));
  EXPECT_THAT(eval({tiny->run, "--out", out}).standard_error, HasSubstr("no manifest is named"));
  EXPECT_THAT(eval({"--out", out}).standard_error, HasSubstr("no run is named"));
  EXPECT_THAT(eval_run({"another"}).standard_error, HasSubstr("'another' is one name too many"));
}

TEST_F(EvalCommand, TakesARunWithAnEqualsSignInItsName) {
  const std::filesystem::path run = place.path() / "rate=1";
  std::filesystem::create_directory_symlink(tiny->run, run);
  EXPECT_EQ(eval({run, tiny->manifest, "--out", out}).exit_code, 0);
}

TEST_F(EvalCommand, EveryResultNamesMetricWheelExtractorDataAndSplit) {
  const test::CommandResult result = eval_run();
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json scores = read_json(out / "scores.json");
  EXPECT_EQ(scores["metric"], "mean wheel F over (clip, utterance) pairs");
  EXPECT_THAT(scores["wheel_release"].get<std::string>(), StartsWith("microemo@"));
  EXPECT_EQ(scores["extractor"], "rules-1");
  EXPECT_EQ(scores["split"], "test + train");
  const std::string data = scores["data_version"];
  EXPECT_EQ(data.size(), 64u);
  EXPECT_THAT(result.standard_output, HasSubstr("extractor rules-1; data " + data.substr(0, 16) + "; split test + train"));
  EXPECT_THAT(read_file(out / "samples.csv"), HasSubstr(",rules-1," + data + ",test + train\n"));
  EXPECT_THAT(read_file(out / "labels.jsonl"), HasSubstr("\"extractor\":\"rules-1\""));
  EXPECT_EQ(
      Json::parse(
          eval({tiny->run, tiny->manifest, "--out", place.path() / "part", "split=test", "--json"}).standard_output)["split"],
      "test");
}

TEST_F(EvalCommand, WritesWhatItWasMadeWith) {
  ASSERT_EQ(eval_run({"generate.batch_clips=2"}).exit_code, 0);
  const Json environment = read_json(out / "environment.json");
  for (const char* key : {"microemo", "commit", "libtorch", "cpu_capability"})
    EXPECT_FALSE(environment.at(key).get<std::string>().empty()) << key;
  EXPECT_EQ(environment["threads"], 1);
  EXPECT_EQ(environment["device"], "cpu");
  EXPECT_EQ(read_json(out / "evaluation.json")["device"], "cpu");
  EXPECT_EQ(read_json(out / "scores.json")["device"], "cpu");
  EXPECT_EQ(environment["options"]["generate"]["batch_clips"], 2);
  EXPECT_EQ(environment["configuration"]["train"]["manifest"], tiny->manifest.string());
  EXPECT_EQ(environment["checkpoint"]["manifest_sha256"], read_json(out / "evaluation.json")["checkpoint"]);
  EXPECT_EQ(environment["command"][2], "eval");
  EXPECT_EQ(environment["command"].back(), "resamples=20");
  ASSERT_EQ(eval({tiny->run, tiny->manifest, "--shard", "1/2", "--out", place.path() / "parts"}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(place.path() / "parts/shards/1-of-2/environment.json"));
}

TEST_F(EvalCommand, ItsAnswersAndLabelsCanBeScoredAndReadAgain) {
  ASSERT_EQ(eval_run().exit_code, 0);
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), MICROEMO_BINARY);
    const test::CommandResult result = test::run_command(words, {.folder = place.path()});
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return result.standard_output;
  };
  const Json scores = read_json(out / "scores.json")["arms"][0];
  const Json of_answers = Json::parse(run({"score", out / "answers.jsonl", tiny->manifest, "--json"}));
  EXPECT_EQ(of_answers["pair_f"]["value"], scores["pair_f"]["value"]);
  EXPECT_EQ(of_answers["extractor"], "rules-1");
  run({"extract", out / "answers.jsonl", "--out", "labels.jsonl"});
  EXPECT_EQ(Json::parse(run({"score", "labels.jsonl", tiny->manifest, "--json"}))["pair_f"]["value"], scores["pair_f"]["value"]);
}

/// An evaluation of the tiny clips with these dialogues and speakers.
struct EvalOfNamedClips : EvalCommand {
  Json scores(const std::vector<std::string>& dialogues, const std::vector<std::string>& speakers) const {
    std::vector<data::Clip> clips = data::read_manifest(tiny->manifest).clips;
    for (size_t i = 0; i < clips.size(); ++i) {
      clips[i].dialogue = dialogues[i];
      clips[i].speaker = speakers[i];
    }
    data::write_manifest(manifest, clips);
    std::filesystem::remove_all(out);
    const test::CommandResult result = eval({tiny->run, manifest, "--out", out});
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    const Json scores = read_json(out / "scores.json");
    EXPECT_THAT(result.standard_output, HasSubstr(fmt::format("bootstrap over {}s, 20 resamples", clusters_of(scores))))
        << result.standard_output;
    return scores;
  }
  static std::string clusters_of(const Json& scores) { return scores["arms"][0]["bootstrap"]["clusters"]; }
  std::filesystem::path manifest = place.path() / "named.jsonl";
};

TEST_F(EvalOfNamedClips, ResamplesDialoguesBeforeSpeakersBeforeClips) {
  EXPECT_EQ(clusters_of(scores({"d", "d", "e"}, {"s", "t", "u"})), "dialogue");
  EXPECT_EQ(clusters_of(scores({"d", "d", "e"}, {"", "", ""})), "dialogue");
  EXPECT_EQ(clusters_of(scores({"d", "", "e"}, {"s", "t", "u"})), "speaker");
  EXPECT_EQ(clusters_of(scores({"d", "", "e"}, {"s", "t", ""})), "clip");
  EXPECT_EQ(clusters_of(scores({"", "", ""}, {"", "", ""})), "clip");
}

TEST_F(EvalOfNamedClips, OneDialogueLeavesNothingToResample) {
  const auto interval = [&](const std::vector<std::string>& dialogues) {
    scores(dialogues, {"s", "t", "u"});
    std::vector<Json> answers;
    read_jsonl(out / "answers.jsonl", [&](Json line, int64_t number) {
      line["answer"] = number < 3 ? "The person feels sad." : "The person feels proud.";
      answers.push_back(line);
    });
    write_jsonl(out / "answers.jsonl", answers);
    EXPECT_EQ(eval({tiny->run, manifest, "--out", out}).exit_code, 0);
    return read_json(out / "scores.json")["arms"][0]["pair_f"];
  };
  const Json one = interval({"d", "d", "d"}), three = interval({"d", "e", "f"});
  EXPECT_EQ(one["value"], three["value"]);
  EXPECT_EQ(one["low"], one["high"]);
  EXPECT_EQ(one["low"], one["value"]);
  EXPECT_LT(three["low"], three["high"]);
}

TEST_F(EvalOfNamedClips, ItsLabelsNameDialoguesAndSpeakersAsScoreReadsThem) {
  const Json scored = scores({"d", "", "e"}, {"s", "t", ""});
  EXPECT_THAT(read_file(out / "labels.jsonl"), AllOf(HasSubstr("\"dialogue\":\"d\""), HasSubstr("\"speaker\":\"t\"")));
  EXPECT_EQ(read_file(out / "labels.jsonl").find("\"dialogue\":\"\""), std::string::npos);
  const auto score = [&](const std::filesystem::path& truths) {
    const test::CommandResult result =
        test::run_command({MICROEMO_BINARY, "--quiet", "score", out / "labels.jsonl", truths, "--bootstrap", "20", "--json"},
                          {.folder = place.path()});
    EXPECT_EQ(result.exit_code, 0) << result.standard_error;
    return Json::parse(result.standard_output);
  };
  EXPECT_EQ(score(manifest)["bootstrap"]["clusters"], "clip");
  const Json whole = scores({"d", "d", "e"}, {"s", "t", "u"})["arms"][0];
  const Json of_manifest = score(manifest);
  EXPECT_EQ(of_manifest["bootstrap"]["clusters"], "dialogue");
  EXPECT_EQ(of_manifest["pair_f"], whole["pair_f"]);
  eval::Vocabulary words;
  const eval::LabelTable labels = eval::read_label_table(out / "labels.jsonl", words);
  EXPECT_EQ(eval::make_clusters(labels, eval::ClusterKind::best).kind, "dialogue");
  EXPECT_EQ(eval::make_clusters(labels, eval::ClusterKind::speaker).numbers, (std::vector<uint32_t>{0, 0, 1, 1, 2, 2}));
}

TEST_F(EvalOfNamedClips, RefusesADialogueThatIsNoText) {
  data::write_manifest(manifest, data::read_manifest(tiny->manifest).clips);
  std::string line = read_file(manifest);
  line.insert(line.find('{') + 1, "\"dialogue\":7,");
  write_file_atomic(manifest, line);
  const test::CommandResult result = eval({tiny->run, manifest, "--out", out});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("'dialogue' is 7"));
}

TEST_F(EvalCommand, RefusesAnswersThatItDoesNotAskFor) {
  ASSERT_EQ(eval_run().exit_code, 0);
  const std::string answers = read_file(out / "answers.jsonl"), first = answers.substr(0, answers.find('\n') + 1);
  std::string stranger = first;
  stranger.replace(stranger.find("\"utterance\":0"), 13, "\"utterance\":9");
  write_file_atomic(out / "answers.jsonl", answers + stranger);
  const test::CommandResult result = eval_run();
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data)) << result.standard_output;
  EXPECT_THAT(result.standard_error, HasSubstr("an answer about utterance 9 of clip"));
  write_file_atomic(out / "answers.jsonl", answers + first);
  EXPECT_THAT(eval_run().standard_error, HasSubstr("there are two answers about utterance 0 of clip"));
}

TEST_F(EvalCommand, PrintsJsonAlone) {
  const test::CommandResult result = eval_run({"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(parse_json(result.standard_output, "standard output"), read_json(out / "scores.json"));
}

TEST_F(EvalCommand, GivesTheSameFilesAgain) {
  eval_run();
  const std::string answers = read_file(out / "answers.jsonl"), scores = read_file(out / "scores.json");
  std::filesystem::remove_all(out);
  eval_run({"generate.batch_clips=1"});
  EXPECT_EQ(read_file(out / "answers.jsonl"), answers);
  EXPECT_EQ(read_file(out / "scores.json"), scores);
}

TEST_F(EvalCommand, KeepsAnswersThatAreThere) {
  ASSERT_EQ(eval_run().exit_code, 0);
  std::string answers = read_file(out / "answers.jsonl");
  const size_t place_of_answer = answers.find("\"answer\":\"") + 10;
  answers.insert(place_of_answer, "kept ");
  write_file_atomic(out / "answers.jsonl", answers);
  ASSERT_EQ(eval_run().exit_code, 0);
  EXPECT_EQ(read_file(out / "answers.jsonl"), answers);
}

TEST_F(EvalCommand, MergesShardsToTheAnswersOfTheWhole) {
  ASSERT_EQ(eval_run().exit_code, 0);
  const std::string answers = read_file(out / "answers.jsonl");
  const Json scores = read_json(out / "scores.json");
  std::filesystem::remove_all(out);
  for (const char* shard : {"2/2", "1/2"}) {
    const test::CommandResult result = eval_run({"--shard", shard});
    ASSERT_EQ(result.exit_code, 0) << result.standard_error;
    EXPECT_FALSE(std::filesystem::exists(out / "answers.jsonl"));
  }
  const test::CommandResult merged = eval_run({"--merge"});
  ASSERT_EQ(merged.exit_code, 0) << merged.standard_error;
  EXPECT_EQ(read_file(out / "answers.jsonl"), answers);
  EXPECT_EQ(read_json(out / "scores.json"), scores);
}

TEST_F(EvalCommand, TakesTheShardOfItsRank) {
  test::CommandOptions options;
  options.environment = {{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "29999"}};
  const test::CommandResult result = test::run_command({MICROEMO_BINARY, "--quiet", "eval", tiny->run, tiny->manifest, "--out",
                                                        out, "--shard", "rank", "generate.max_new_tokens=6"},
                                                       options);
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_TRUE(std::filesystem::exists(out / "shards/2-of-2/answers.jsonl"));
}

TEST_F(EvalCommand, TwoRanksOfALauncherAnswerAsOneProcess) {
  ASSERT_EQ(eval_run().exit_code, 0);
  const std::string answers = read_file(out / "answers.jsonl");
  const Json scores = read_json(out / "scores.json");
  std::filesystem::remove_all(out);
  const test::CommandResult result =
      test::run_command({MICROEMO_BINARY, "--quiet", "launch", "-n", "2", "eval", tiny->run, tiny->manifest, "--out", out,
                         "--shard", "rank", "generate.max_new_tokens=6", "resamples=20"},
                        {.folder = place.path()});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(lines_of(out / "shards/1-of-2/answers.jsonl") + lines_of(out / "shards/2-of-2/answers.jsonl"), 6);
  EXPECT_FALSE(std::filesystem::exists(out / "answers.jsonl"));
  const test::CommandResult merged = eval_run({"--merge"});
  ASSERT_EQ(merged.exit_code, 0) << merged.standard_error;
  EXPECT_EQ(read_file(out / "answers.jsonl"), answers);
  EXPECT_EQ(read_json(out / "scores.json"), scores);
}

TEST_F(EvalCommand, NamesTheShardsThatAreMissing) {
  ASSERT_EQ(eval_run({"--shard", "2/3"}).exit_code, 0);
  const test::CommandResult result = eval_run({"--merge"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("2 of 3 shards are missing: 1-of-3, 3-of-3"));
  EXPECT_FALSE(std::filesystem::exists(out / "scores.json"));
}

TEST_F(EvalCommand, RefusesShardsThatAreNone) {
  const test::CommandResult none = eval_run({"--shard", "3/2"});
  EXPECT_EQ(none.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(none.standard_error, HasSubstr("'3/2' names no shard"));
  EXPECT_EQ(eval_run({"--shard", "1/2", "--merge"}).exit_code, exit_code(ErrorKind::config));
}

TEST_F(EvalCommand, DrawsTheSameAnswersInEveryBatch) {
  const std::vector<std::string> drawn{"generate.temperature=1.2", "generate.top_p=0.95", "generate.seed=7"};
  ASSERT_EQ(eval_run(drawn).exit_code, 0);
  const std::string answers = read_file(out / "answers.jsonl");
  std::filesystem::remove_all(out);
  std::vector<std::string> one = drawn;
  one.insert(one.end(), {"generate.batch_rows=1", "generate.batch_clips=1"});
  ASSERT_EQ(eval_run(one).exit_code, 0);
  EXPECT_EQ(read_file(out / "answers.jsonl"), answers);
}

TEST_F(EvalCommand, RefusesToGoOnWithOtherSampling) {
  ASSERT_EQ(eval_run().exit_code, 0);
  const test::CommandResult result = eval_run({"generate.temperature=1"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("holds another evaluation"));
  const test::CommandResult negative = eval_run({"generate.temperature=-1"});
  EXPECT_EQ(negative.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(negative.standard_error, HasSubstr("generate.temperature"));
}

TEST_F(EvalCommand, TakesTheClipsOfASplit) {
  ASSERT_EQ(eval_run({"split=train"}).exit_code, 0);
  EXPECT_EQ(read_json(out / "scores.json")["clips"], 1);
}

TEST_F(EvalCommand, WritesIntoTheRunWithoutOut) {
  ASSERT_EQ(eval({tiny->run, tiny->manifest}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(tiny->run / "eval/test-step-00000000/scores.json"));
}

TEST_F(EvalCommand, RefusesTheFolderOfAnotherEvaluation) {
  ASSERT_EQ(eval_run().exit_code, 0);
  const test::CommandResult result = eval_run({"split=train"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("holds another evaluation"));
}

TEST_F(EvalCommand, ASignalStopsItAndTheSameCommandGoesOnToTheSameAnswers) {
  const auto slowly = [](const std::filesystem::path& folder) {
    return std::vector<std::string>{MICROEMO_BINARY,
                                    "--quiet",
                                    "eval",
                                    tiny->run,
                                    tiny->manifest,
                                    "--out",
                                    folder,
                                    "generate.batch_clips=1",
                                    "generate.max_new_tokens=150",
                                    "resamples=20"};
  };
  ASSERT_EQ(test::run_command(slowly(place.path() / "whole")).exit_code, 0);
  int code = 0;
  // A machine that skips over all the clips between two looks is asked again.
  for (int attempt = 0; attempt < 20 && code != exit_code_resumable; ++attempt) {
    std::filesystem::remove_all(out);
    code = test::interrupt_command(slowly(out), SIGTERM, [&] {
      return std::filesystem::exists(out / "answers.jsonl") && lines_of(out / "answers.jsonl") > 0;
    });
  }
  ASSERT_EQ(code, exit_code_resumable);
  EXPECT_GT(lines_of(out / "answers.jsonl"), 0);
  EXPECT_LT(lines_of(out / "answers.jsonl"), 6);
  ASSERT_EQ(test::run_command(slowly(out)).exit_code, 0);
  EXPECT_EQ(read_file(out / "answers.jsonl"), read_file(place.path() / "whole" / "answers.jsonl"));
}

TEST_F(EvalCommand, RefusesAFolderInWhichAnotherProcessEvaluates) {
  {
    const FolderLock lock(out);
    const test::CommandResult result = eval_run();
    EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment));
    EXPECT_THAT(result.standard_error, HasSubstr(fmt::format("process {} is at work in this folder", ::getpid())));
    EXPECT_FALSE(std::filesystem::exists(out / "answers.jsonl"));
  }
  EXPECT_EQ(eval_run().exit_code, 0);
  EXPECT_EQ(lines_of(out / "answers.jsonl"), 6);
  EXPECT_FALSE(std::filesystem::exists(out / "lock"));
}

TEST_F(EvalCommand, SaysThatTheDiskIsFullAndLeavesNoHalfAnswer) {
  MICROEMO_SKIP_WITHOUT_DISKS();
  const auto [result, files] =
      test::run_on_disk("size=16k", {MICROEMO_BINARY, "--quiet", "eval", tiny->run, tiny->manifest, "--out", "."});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment)) << result.standard_error;
  EXPECT_THAT(result.standard_error, AllOf(StartsWith("error (environment): "), HasSubstr("No space left on device")));
  EXPECT_THAT(files, testing::IsSubsetOf({"answers.jsonl", "environment.json", "evaluation.json"}));
}

TEST_F(EvalCommand, SaysThatTheFolderCannotBeWritten) {
  MICROEMO_SKIP_WITHOUT_DISKS();
  const auto [result, files] =
      test::run_on_disk("ro", {MICROEMO_BINARY, "--quiet", "eval", tiny->run, tiny->manifest, "--out", "x"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::environment)) << result.standard_error;
  EXPECT_THAT(result.standard_error, HasSubstr("Read-only file system"));
}

TEST_F(EvalCommand, TakesModalitiesAwayAndSaysSo) {
  const test::CommandResult whole = eval({tiny->run, tiny->manifest}),
                            part = eval({tiny->run, tiny->manifest, "modalities=[sound]"});
  ASSERT_EQ(part.exit_code, 0) << part.standard_error;
  EXPECT_THAT(part.standard_output, AllOf(HasSubstr("control: sound\n"), HasSubstr("-sound")));
  const auto folder = std::filesystem::path(tiny->run) / "eval";
  const auto with = [&](const std::string& ending) {
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().filename().string().ends_with(ending)) return entry.path();
    throw std::runtime_error("no evaluation " + ending);
  };
  EXPECT_EQ(read_json(with("-sound") / "scores.json")["controls"]["modalities"], Json({"sound"}));
  EXPECT_EQ(lines_of(with("-sound") / "answers.jsonl"), 6);
}

TEST_F(EvalCommand, TheGridHasEverySetOfModalitiesAndGoesOnWhereItStopped) {
  const test::CommandResult first = eval_run({"--grid", "modalities"});
  ASSERT_EQ(first.exit_code, 0) << first.standard_error;
  const auto grid = out.string() + "-modalities";
  const Json rows = read_json(std::filesystem::path(grid) / "modalities.json")["rows"];
  EXPECT_EQ(rows.size(), 16u);
  EXPECT_EQ(read_json(std::filesystem::path(grid) / "modalities.json")["clusters"], "clip");
  EXPECT_THAT(first.standard_output, HasSubstr("intervals: bootstrap over clips"));
  EXPECT_EQ(rows[0]["name"], "frames+face+sound+transcript");
  EXPECT_EQ(rows[15]["name"], "question_only");
  for (const Json& row : rows) EXPECT_EQ(lines_of(row["folder"].get<std::string>() + "/answers.jsonl"), 6) << row["name"];
  EXPECT_THAT(first.standard_output, HasSubstr("what the model is given"));
  EXPECT_EQ(read_file(std::filesystem::path(grid) / "modalities.png").substr(1, 3), "PNG");
  const std::string answers = read_file(grid + "/frames+sound/answers.jsonl");
  const auto written = std::filesystem::last_write_time(grid + "/frames+sound/answers.jsonl");
  EXPECT_EQ(eval_run({"--grid", "modalities"}).exit_code, 0);
  EXPECT_EQ(read_file(grid + "/frames+sound/answers.jsonl"), answers);
  EXPECT_EQ(std::filesystem::last_write_time(grid + "/frames+sound/answers.jsonl"), written);
}

TEST_F(EvalCommand, TellsTheLastTheMeanAndTheBestOfCheckpoints) {
  const auto steps = checkpoint::list_checkpoints(tiny->run);
  const std::string last = std::to_string(steps.back().step);
  const test::CommandResult result = eval_run({"--checkpoints", last + "-" + last + ":1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  const Json json = Json::parse(result.standard_output);
  EXPECT_EQ(json["rows"].size(), 1u);
  EXPECT_EQ(json["fixed"], json["rows"][0]["f_score"]);
  EXPECT_EQ(json["mean"], json["fixed"]);
  EXPECT_TRUE(json["standard_deviation"].is_null());
  EXPECT_EQ(json["best"]["chosen_on"], "the same clips");
}

TEST_F(EvalCommand, RefusesRangesAndControlsThatCannotBe) {
  const auto refused = [&](const std::vector<std::string>& more, ErrorKind kind, const std::string& message) {
    const test::CommandResult result = eval_run(more);
    EXPECT_EQ(result.exit_code, exit_code(kind)) << result.standard_output;
    EXPECT_THAT(result.standard_error, HasSubstr(message));
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  for (const char* range :
       {"5", "5-", "-5:1", "5-9", "9-5:1", "5-9:0", "5-9:x", "5-9:1:1", " 5-9:1", "5-9:-1", "99999999999999999999-9:1"})
    refused({"--checkpoints", std::string("") + range}, ErrorKind::config, "is no range of steps");
  refused({"--checkpoints", "0-9223372036854775807:1"}, ErrorKind::config, "names more than 10000 steps");
  refused({"--checkpoints", "901-9223372036854775807:9223372036854774906"}, ErrorKind::checkpoint,
          "no checkpoint of step 901, 9");
  refused({"--grid", "modalities", "--shard", "1/2"}, ErrorKind::config, "--grid excludes --shard");
  refused({"--checkpoints", "5-9:1", "--shard", "1/2"}, ErrorKind::config, "--checkpoints excludes --shard");
  refused({"--checkpoints", "901-903:1"}, ErrorKind::checkpoint, "no checkpoint of step 901, 902, 903; it has");
  refused({"modalities=[fame]"}, ErrorKind::config, "there is no modality 'fame'");
  refused({"modalities=[face]", "control=question_only"}, ErrorKind::config, "question_only takes every modality away");
  refused({"modalities=[face]", "--grid", "modalities"}, ErrorKind::config, "the grid chooses the modalities");
}

TEST_F(EvalCommand, RefusesAFolderThatIsNoRun) {
  const test::CommandResult result = eval({place.path(), tiny->manifest});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::checkpoint));
  EXPECT_THAT(result.standard_error, HasSubstr(place.path().string()));
}

TEST_F(EvalCommand, RefusesACheckpointThatTheRunDoesNotHave) {
  EXPECT_EQ(eval_run({"--checkpoint", "step-00000999"}).exit_code, exit_code(ErrorKind::checkpoint));
}

TEST_F(EvalCommand, RefusesAMissingManifest) {
  const test::CommandResult result = eval({tiny->run, place.path() / "none.jsonl"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("none.jsonl"));
}

TEST_F(EvalCommand, RefusesClipsThatAreNotPrepared) {
  const test::CommandResult result = eval_run({"cache=" + (place.path() / "empty").string()});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("microemo prepare"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(EvalCommand, RefusesASplitWithoutClips) {
  const test::CommandResult result = eval_run({"split=valid"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("no clip of the split 'valid'"));
}

TEST_F(EvalCommand, RefusesAnUnknownKey) {
  const test::CommandResult result = eval_run({"generate.max_tokens=3"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::config));
  EXPECT_THAT(result.standard_error, HasSubstr("generate.max_new_tokens"));
}

TEST_F(EvalCommand, RefusesAWheelThatIsNotThere) {
  const test::CommandResult result = eval_run({"--wheel", place.path() / "wheel.csv"});
  EXPECT_EQ(result.exit_code, exit_code(ErrorKind::data));
  EXPECT_THAT(result.standard_error, HasSubstr("wheel.csv"));
}

TEST_F(EvalCommand, NamesTheClipsThatArePartial) {
  ASSERT_EQ(eval_run().exit_code, 0);
  EXPECT_TRUE(read_json(out / "scores.json")["partial_clips"].empty());
  const std::filesystem::path cache = place.path() / "cache";
  std::filesystem::copy(tiny->cache, cache, std::filesystem::copy_options::recursive);
  const data::Clip clip = data::read_manifest(tiny->manifest).clips.at(1);
  const std::filesystem::path entry = data::cache_file(cache, clip, tiny->tiny->prepare);
  data::PreparedClip prepared = data::read_prepared(entry);
  prepared.damage = {0.5, "the container announces 0.800 s"};
  data::write_prepared(entry, prepared);
  const test::CommandResult result =
      eval({tiny->run, tiny->manifest, "--out", place.path() / "other", "cache=" + cache.string()});
  ASSERT_EQ(result.exit_code, 0) << result.standard_error;
  EXPECT_EQ(read_json(place.path() / "other/scores.json")["partial_clips"], Json::array({clip.id}));
  EXPECT_THAT(result.standard_output, HasSubstr("1 partial, read up to where the file breaks off: " + clip.id));
}

}  // namespace
}  // namespace microemo
