// Transcripts other than SubRip: WebVTT, the JSON of speech recognisers, tables like MELD's, text without times.

#include <fstream>

#include "microemo/base/files.h"
#include "microemo/text/transcript.h"
#include "support/errors.h"

namespace microemo::text {
namespace {

using test::expect_error;

Error expect_refused(const std::string& text, TranscriptKind kind, const std::string& message, int64_t line = 0) {
  const Error error = expect_error(
      ErrorKind::data, [&] { parse_transcript(text, kind, "talk.file"); }, message);
  EXPECT_THAT(error.place(), ::testing::HasSubstr("talk.file"));
  if (line > 0) {
    EXPECT_THAT(error.place(), ::testing::HasSubstr("line " + std::to_string(line)));
  }
  if (!message.empty()) {
    EXPECT_FALSE(error.next_step().empty());
  }
  return error;
}

std::string utf16(const std::string& text, bool little) {
  std::string bytes = little ? "\xFF\xFE" : "\xFE\xFF";
  for (const char c : text) bytes += little ? std::string{c, '\0'} : std::string{'\0', c};
  return bytes;
}

const std::pair<TranscriptKind, std::string> examples[] = {
    {TranscriptKind::srt, "1\n00:00:01,000 --> 00:00:02,000\nna\xC3\xAFve\n"},
    {TranscriptKind::vtt, "WEBVTT\n\n00:01.000 --> 00:02.000\nna\xC3\xAFve\n"},
    {TranscriptKind::json, R"({"segments": [{"start": 1, "end": 2, "text": "na)"
                           "\xC3\xAF"
                           R"(ve"}]})"},
    {TranscriptKind::csv, "StartTime,EndTime,Utterance\n1,2,na\xC3\xAFve\n"},
};

TEST(TranscriptKinds, AllGiveTheSameCue) {
  for (const auto& [kind, text] : examples) {
    const Transcript transcript = parse_transcript(text, kind, "talk");
    ASSERT_EQ(transcript.cues.size(), 1u) << int(kind);
    EXPECT_TRUE(transcript.timed);
    EXPECT_EQ(transcript.cues[0].start_s, 1);
    EXPECT_EQ(transcript.cues[0].end_s, 2);
    EXPECT_EQ(transcript.cues[0].text, "na\xC3\xAFve");
  }
}

TEST(TranscriptKinds, AcceptAByteOrderMarkAndWindowsLineEnds) {
  for (const auto& [kind, text] : examples) {
    std::string windows = "\xEF\xBB\xBF";
    for (const char c : text) windows += c == '\n' ? "\r\n" : std::string(1, c);
    EXPECT_EQ(parse_transcript(windows, kind, "talk").cues.at(0).text, "na\xC3\xAFve") << int(kind);
  }
}

TEST(TranscriptKinds, RefuseUtf16AndOtherEncodings) {
  for (const auto& [kind, text] : examples) {
    for (const bool little : {true, false}) expect_refused(utf16("WEBVTT\n", little), kind, "UTF-16");
    std::string latin = text;
    latin.replace(latin.find("\xC3\xAF"), 2, "\xEF");
    expect_refused(latin, kind, "not UTF-8");
  }
  expect_refused(utf16("hello", true), TranscriptKind::text, "UTF-16");
  expect_refused("na\xEFve", TranscriptKind::text, "not UTF-8", 1);
}

TEST(TranscriptKinds, AreKnownByTheirEnding) {
  const TemporaryFolder folder;
  for (const auto& [kind, name] : {std::pair{0, "a.srt"}, {1, "a.VTT"}, {2, "a.json"}, {3, "a.Csv"}}) {
    std::ofstream(folder.path() / name) << examples[kind].second;
    EXPECT_EQ(read_transcript(folder.path() / name).cues.size(), 1u) << name;
  }
  std::ofstream(folder.path() / "a.ass") << "x";
  for (const char* name : {"a.ass", "a"})
    expect_error(
        ErrorKind::data, [&] { read_transcript(folder.path() / name); }, "kind of this transcript");
  expect_error(
      ErrorKind::data, [&] { read_transcript(folder.path() / "none.vtt"); }, "none.vtt");
}

TEST(TranscriptKinds, RefuseHugeFilesWithoutReadingThem) {
  const TemporaryFolder folder;
  for (const char* name : {"a.srt", "a.vtt", "a.json", "a.csv", "a.txt"}) {
    std::ofstream(folder.path() / name) << " ";
    std::filesystem::resize_file(folder.path() / name, uint64_t(largest_transcript_bytes) + (1 << 20));
    expect_error(
        ErrorKind::data, [&] { read_transcript(folder.path() / name); }, "65 MB");
  }
}

TEST(TranscriptKinds, TextWithoutTimesIsOneText) {
  const Transcript transcript = parse_transcript("\xEF\xBB\xBFOne line.\r\n\r\n  Another \n", TranscriptKind::text, "a.txt");
  EXPECT_FALSE(transcript.timed);
  EXPECT_TRUE(transcript.cues.empty());
  EXPECT_EQ(transcript.text, "One line. Another");
}

std::vector<Cue> vtt(const std::string& blocks) { return parse_vtt("WEBVTT - made\nKind: captions\n\n" + blocks, "talk.vtt"); }

TEST(WebVtt, SkipsNotesStylesRegionsAndSettings) {
  const auto cues =
      vtt("STYLE\n::cue { color: red }\n\nREGION\nid:fred\n\nNOTE this is no cue\nof two lines\n\nNOTE\n\nintro\n00:01.000 "
          "--> 00:02.500 "
          "align:start position:10%\nHello\nthere\n\n12:00:03.000 --> 12:00:04.000\nx\n\nNOTE end\n");
  ASSERT_EQ(cues.size(), 2u);
  EXPECT_EQ(cues[0].text, "Hello there");
  EXPECT_EQ(cues[0].end_s, 2.5);
  EXPECT_EQ(cues[0].line, 16);
  EXPECT_EQ(cues[1].start_s, 12 * 3600 + 3);
}

TEST(WebVtt, KnowsVoicesTagsAndEntities) {
  const auto cues =
      vtt("00:01.000 --> 00:02.000\n<v.loud Mary &amp; Co>I <i><b>am</b></i> &lt;here&gt; &amp;lt; <3</v>\n\n00:02.000 --> "
          "00:03.000\n<c.red>x</c> <lang en>y</lang> <v>z <b\n");
  EXPECT_EQ(cues.at(0).speaker, "Mary & Co");
  EXPECT_EQ(cues.at(0).text, "I am <here> &lt; <3");
  EXPECT_EQ(cues.at(1).speaker, "");
  EXPECT_EQ(cues.at(1).text, "x y z <b");
}

TEST(WebVtt, TakesTimesWithinACueForThoseOfItsWords) {
  const auto cues = vtt("00:01.000 --> 00:03.000\nOne<00:01.500><c> two</c><00:02.000> three\n");
  ASSERT_EQ(cues.at(0).words.size(), 3u);
  EXPECT_EQ(cues[0].text, "One two three");
  EXPECT_EQ(cues[0].words[1].text, "two");
  EXPECT_EQ(cues[0].words[1].start_s, 1.5);
  EXPECT_EQ(cues[0].words[2].end_s, 3);
}

TEST(WebVtt, HasNoWordsWhereTheirTimesLeaveTheCueOrGoBackwards) {
  EXPECT_TRUE(vtt("00:01.000 --> 00:03.000\nOne<00:05.000> two\n").at(0).words.empty());
  EXPECT_TRUE(vtt("00:01.000 --> 00:03.000\nOne<00:02.000> two<00:01.500> three\n").at(0).words.empty());
}

TEST(WebVtt, RefusesWhatIsNone) {
  const auto refused = [](const std::string& text, const std::string& message, int64_t line) {
    expect_refused(text, TranscriptKind::vtt, message, line);
  };
  refused("", "WEBVTT", 1);
  refused("WEBVTTX\n", "WEBVTT", 1);
  refused("1\n00:00:01,000 --> 00:00:02,000\nx\n", "WEBVTT", 1);
  refused("WEBVTT\n\nwords without times\n", "expected the times", 3);
  refused("WEBVTT\n\n00:01.000 -> 00:02.000\nx\n", "expected the times", 3);
  refused("WEBVTT\n\n00:01.000 --> 00:02.000x\nx\n", "cannot read the times", 3);
  refused("WEBVTT\n\n00:61.000 --> 00:62.000\nx\n", "cannot read the times", 3);
  refused("WEBVTT\n\n-00:01.000 --> 00:02.000\nx\n", "cannot read the times", 3);
  refused("WEBVTT\n\nnan --> nan\nx\n", "cannot read the times", 3);
  refused("WEBVTT\n\n00:02.000 --> 00:01.000\nx\n", "ends at 1.000 s and starts at 2.000 s", 3);
  refused("WEBVTT\n\n00:02.000 --> 00:02.000\nx\n", "ends at 2.000 s", 3);
  refused("WEBVTT\n\n00:02.000 --> 00:03.000\nx\n\n00:01.000 --> 00:02.000\ny\n", "before the one above it", 6);
  refused("WEBVTT\n\n9999:00:00.000 --> 9999:00:01.000\nx\n", "the cue lasts", 3);
}

std::vector<Cue> json(const std::string& text) { return parse_whisper_json(text, "talk.json"); }

TEST(WhisperJson, ReadsSegmentsAndWordsOfWhisper) {
  const auto cues = json(R"({"text": " Hi. You", "language": "en", "segments": [
    {"id": 0, "seek": 0, "start": 0.10000000149011612, "end": 1.5, "text": " Hi there.", "tokens": [1], "temperature": 0.0,
     "words": [{"word": " Hi", "start": 0.1, "end": 0.5, "probability": 0.9}, {"word": " there.", "start": 0.5, "end": 1.5}]},
    {"id": 1, "start": 2, "end": 3, "text": " You"}, {"id": 2, "start": 3, "end": 3, "text": " "}]})");
  ASSERT_EQ(cues.size(), 2u);
  EXPECT_EQ(cues[0].start_s, 0.1);
  EXPECT_EQ(cues[0].text, "Hi there.");
  ASSERT_EQ(cues[0].words.size(), 2u);
  EXPECT_EQ(cues[0].words[1].text, "there.");
  EXPECT_EQ(cues[0].words[1].end_s, 1.5);
}

TEST(WhisperJson, ReadsAListOfSegmentsAlone) {
  EXPECT_EQ(json(R"([{"start": 0.0, "end": 1.5, "text": "Hi", "words": null}])").at(0).text, "Hi");
}

TEST(WhisperJson, ReadsSpeakersAndUnalignedWordsOfWhisperX) {
  const auto cues = json(R"({"segments": [{"start": 0, "end": 2, "text": "It is 7", "speaker": "SPEAKER_01", "words": [
    {"word": "It", "start": 0, "end": 0.5, "score": 0.9}, {"word": "is", "start": 0.5, "end": 1}, {"word": "7"}]}],
    "word_segments": []})");
  EXPECT_EQ(cues.at(0).speaker, "SPEAKER_01");
  EXPECT_EQ(cues.at(0).words.size(), 2u);
}

TEST(WhisperJson, ReadsTheWordsOfWhisperTimestamped) {
  const auto cues =
      json(R"([{"start": 0, "end": 2, "text": "Hi", "words": [{"text": "Hi", "start": 0, "end": 1, "confidence": 1}]}])");
  ASSERT_EQ(cues.at(0).words.size(), 1u);
  EXPECT_EQ(cues[0].words[0].text, "Hi");
}

TEST(WhisperJson, GivesWordsBesideTheSegmentsToThoseTheyLieIn) {
  const auto cues = json(R"({"segments": [{"start": 0, "end": 1, "text": "a b"}, {"start": 2, "end": 3, "text": "c"}],
    "words": [{"word": "a", "start": 0, "end": 0.4}, {"word": "b", "start": 0.4, "end": 1.1}, {"word": "x", "start": 1.3, "end": 1.6},
    {"word": "c", "start": 2, "end": 3}]})");
  ASSERT_EQ(cues.at(0).words.size(), 2u);
  ASSERT_EQ(cues.at(1).words.size(), 1u);
  EXPECT_EQ(cues[1].words[0].text, "c");
}

TEST(WhisperJson, ReadsWhisperCpp) {
  const auto cues = json(R"({"systeminfo": "x", "transcription": [{"timestamps": {"from": "00:00:00,500", "to": "00:00:02,000"},
    "offsets": {"from": 500, "to": 2000}, "text": " Hello there", "tokens": [
    {"text": "[_BEG_]", "offsets": {"from": 500, "to": 500}}, {"text": " Hel", "offsets": {"from": 500, "to": 800}},
    {"text": "lo", "offsets": {"from": 800, "to": 1000}}, {"text": " there", "offsets": {"from": 1000, "to": 2000}}]}]})");
  EXPECT_EQ(cues.at(0).start_s, 0.5);
  ASSERT_EQ(cues.at(0).words.size(), 2u);
  EXPECT_EQ(cues[0].words[0].text, "Hello");
  EXPECT_EQ(cues[0].words[0].end_s, 1);
}

TEST(WhisperJson, RefusesWhatIsNone) {
  const auto refused = [](const std::string& text, const std::string& message) {
    expect_refused(text, TranscriptKind::json, message);
  };
  refused("", "");
  refused("{", "");
  refused("7", "no segments");
  refused("{}", "no segments");
  refused(R"({"segments": 7})", "no segments");
  refused(R"({"segments": {"start": 0}})", "no segments");
  refused(R"({"segments": [7]})", "segment 1 is no object");
  refused(R"([{"start": 0, "text": "x"}])", "segment 1");
  refused(R"([{"start": 0, "end": 1, "text": "x"}, {"start": 1, "end": 2}])", "segment 2");
  refused(R"([{"start": "0", "end": 1, "text": "x"}])", "segment 1");
  refused(R"([{"start": NaN, "end": 1, "text": "x"}])", "");
  refused(R"([{"start": null, "end": 1, "text": "x"}])", "segment 1");
  refused(R"([{"start": -1, "end": 1, "text": "x"}])", "segment 1 lasts");
  refused(R"([{"start": 0, "end": 1e300, "text": "x"}])", "segment 1 lasts");
  refused(R"([{"start": 1, "end": 1, "text": "x"}])", "segment 1 ends at 1.000 s");
  refused(R"([{"start": 5, "end": 6, "text": "x"}, {"start": 1, "end": 2, "text": "y"}])", "segment 2 starts at 1.000 s");
  refused(R"({"transcription": [{"text": "x"}]})", "segment 1");
  refused(R"({"transcription": [{"text": "x", "offsets": {"from": 0.5, "to": 1}}]})", "segment 1");
  refused(std::string(100000, '['), "");
}

std::vector<Cue> csv(const std::string& text) { return parse_transcript_csv(text, "talk.csv"); }

TEST(TranscriptTable, ReadsMelds) {
  const auto cues =
      csv("Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
          "1,\"also I was the point person, you know\",Chandler,neutral,neutral,0,0,8,21,\"00:16:16,059\",\"00:16:21,731\"\n"
          "2,You must've had your hands full.,The Interviewer,neutral,neutral,0,1,8,21,\"00:16:21,940\",\"00:16:23,442\"\n");
  ASSERT_EQ(cues.size(), 2u);
  EXPECT_EQ(cues[0].start_s, 976.059);
  EXPECT_EQ(cues[0].text, "also I was the point person, you know");
  EXPECT_EQ(cues[1].speaker, "The Interviewer");
  EXPECT_EQ(cues[1].line, 3);
}

TEST(TranscriptTable, ReadsSeconds) { EXPECT_EQ(csv("text,end_s,START_S\nx,2.25,0.5\n").at(0).end_s, 2.25); }

TEST(TranscriptTable, RefusesWhatIsNone) {
  const auto refused = [](const std::string& text, const std::string& message, int64_t line) {
    expect_refused(text, TranscriptKind::csv, message, line);
  };
  const std::string header = "StartTime,EndTime,Utterance,Dialogue_ID\n";
  refused("Start,Utterance\n1,x\n", "no column EndTime", 1);
  refused("StartTime,EndTime\n1,2\n", "no column Utterance", 1);
  refused(header + "later,2,x,1\n", "cannot read the time \"later\"", 2);
  refused(header + "nan,2,x,1\n", "cannot read the time", 2);
  refused(header + "1,inf,x,1\n", "cannot read the time", 2);
  refused(header + "1,,x,1\n", "cannot read the time", 2);
  refused(header + "1,2s,x,1\n", "cannot read the time", 2);
  refused(header + "-1,2,x,1\n", "the cue lasts", 2);
  refused(header + "2,1,x,1\n", "ends at 1.000 s", 2);
  refused(header + "3,4,x,1\n1,2,y,1\n", "before the one above it", 3);
  refused(header + "1,2,x,1\n3,4,y,2\n", "dialogues 1 and 2", 3);
  refused(header + "1,2,x\n", "", 2);
  refused("", "", 0);
}

}  // namespace
}  // namespace microemo::text
