#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/cli/commands.h"
#include "microemo/data/manifest.h"
#include "microemo/data/sample.h"
#include "microemo/text/tokenizer.h"
#include "token_lines.h"

namespace microemo::cli {
namespace {

struct Words {
  std::string model, out, split = "train";
  std::vector<std::string> texts, manifests, whole_pieces;
  int64_t vocabulary = text::TokenizerTraining{}.vocabulary;
  bool vocabulary_given = false, no_bytes = false, json = false;
  std::string stream_model;
  std::optional<bool> legacy;
  bool decode = false, add_special = false, literal = false, skip_special = false;
};

void print_json(const Json& value) { std::printf("%s\n", value.dump(2).c_str()); }

/// As `microemo train` chooses clips: those of the split; all where no clip names one.
bool is_taken(const data::Clip& clip, const std::string& split, bool has_splits) {
  return !has_splits || split.empty() || clip.split == split;
}

/// The words that a model will read and write, about as often as it will: what the batches say around the media tokens comes once
/// for each clip.
std::vector<std::string> training_sentences(const Words& words) {
  std::vector<std::string> sentences;
  for (const std::string& path : words.manifests) {
    const data::Manifest manifest = data::read_manifest(path);
    const bool has_splits =
        std::any_of(manifest.clips.begin(), manifest.clips.end(), [](const data::Clip& clip) { return !clip.split.empty(); });
    for (const data::Clip& clip : manifest.clips) {
      if (!is_taken(clip, words.split, has_splits)) continue;
      for (const std::string& sentence : data::prompt_sentences()) sentences.push_back(sentence);
      for (const data::Utterance& utterance : clip.utterances)
        for (const std::string& sentence : {utterance.text, data::question_text(utterance), data::answer_text(utterance)})
          sentences.push_back(sentence);
    }
  }
  if (sentences.empty())
    throw DataError("no clip is in split \"{}\"", words.split)
        .where(words.manifests.front())
        .hint("name another one with --split, or \"\" for all");
  return sentences;
}

void train(const Words& words) {
  if (words.out.empty())
    throw ConfigError("--train needs --out").hint("name the model to write, for instance --out tokenizer.model");
  if (!words.model.empty())
    throw ConfigError("--train takes manifests, and \"{}\" stands beside it", words.model)
        .hint("put every manifest after --train");
  const auto sentences = training_sentences(words);
  text::train_tokenizer(sentences, {words.vocabulary, words.whole_pieces, !words.no_bytes, !words.vocabulary_given}, words.out);
  const text::Tokenizer tokenizer(words.out);
  if (words.json)
    print_json(
        {{"model", words.out}, {"pieces", tokenizer.size()}, {"sentences", sentences.size()}, {"sha256", tokenizer.hash()}});
  else
    std::printf("%s: %lld pieces from %zu sentences\n", words.out.c_str(), (long long)tokenizer.size(), sentences.size());
}

Json encoding(const text::Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text);
  Json pieces = Json::array();
  for (const int64_t id : ids) pieces.push_back(tokenizer.piece(id));
  return {{"text", text}, {"ids", ids}, {"pieces", pieces}, {"decoded", tokenizer.decode(ids)}};
}

void show(const Words& words) {
  if (words.model.empty())
    throw ConfigError("no tokenizer model is named").hint("give MODEL and a text, or --train; see microemo tokenize --help");
  if (words.texts.empty()) throw ConfigError("no text is given").hint("give one or more texts in quotes after the model");
  const text::Tokenizer tokenizer(words.model);
  Json encodings = Json::array();
  for (const std::string& text : words.texts) encodings.push_back(encoding(tokenizer, text));
  if (words.json) return print_json(encodings);
  for (const Json& one : encodings)
    for (size_t i = 0; i < one["ids"].size(); ++i)
      std::printf("%6lld  %s\n", (long long)one["ids"][i].get<int64_t>(), one["pieces"][i].get<std::string>().c_str());
}

/// Strings to ids, or back, line by line.
void stream(const Words& words) {
  if (!words.model.empty() || !words.manifests.empty())
    throw ConfigError("--model reads standard input and takes no other words").hint("leave MODEL, TEXT and --train out");
  const text::Tokenizer tokenizer(words.stream_model, {.legacy = words.legacy});
  const text::EncodeOptions options = {.find_special = !words.literal, .add_special = words.add_special};
  answer_lines([&](std::string_view line, int64_t number) {
    try {
      return words.decode ? write_text_line(tokenizer.decode(read_ids_line(line, number), !words.skip_special))
                          : write_ids_line(tokenizer.encode(read_text_line(line, number), options));
    } catch (Error& mistake) {
      throw mistake.where("standard input", number);
    }
  });
}

void add_stream_options(CLI::App& command, const std::shared_ptr<Words>& words) {
  command
      .add_option(
          "--model", words->stream_model,
          "Tokenizer (tokenizer.model, tokenizer.json, tekken.json, vocab.txt) or the folder that it is in: reads one JSON "
          "string a line from standard input, prints one JSON array of ids a line")
      ->type_name("FILE_OR_FOLDER");
  command.add_flag("--decode", words->decode, "The reverse: arrays of ids to strings");
  // Not bound to the member: CLI11 would say false when the flag is left out.
  command.add_flag_function(
      "--legacy,!--no-legacy", [words](int64_t given) { words->legacy = given > 0; },
      "SentencePiece around special tokens as LlamaTokenizer's legacy=True (or False) has it; left out, "
      "tokenizer_config.json decides, and a file alone has the newer behaviour");
  command.add_flag("--add-special", words->add_special, "Put begin and end tokens around the ids, as the tokenizer's files say");
  command.add_flag("--literal", words->literal, "Special tokens written in a text are text");
  command.add_flag("--skip-special", words->skip_special, "Leave special tokens out of decoded text");
}

}  // namespace

void add_tokenize_command(CLI::App& app, int&) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand(
      "tokenize", "Turn texts into token ids and back, show a text's pieces, or train a SentencePiece tokenizer");
  command->add_option("MODEL", words->model, "SentencePiece model to show texts with")->type_name("");
  command->add_option("TEXT", words->texts, "Texts to show")->type_name("");
  command->add_option("--train", words->manifests, "Manifests whose utterances, questions and answers are trained on")
      ->type_name("MANIFEST");
  command->add_option("--out", words->out, "Model to write")->type_name("FILE");
  command->add_option("--vocabulary", words->vocabulary, "Pieces of the model; left out, 512 or as many as the text gives");
  command
      ->add_option("--split", words->split,
                   "Train on the clips of this split; \"\" takes all. A manifest without splits is taken whole")
      ->capture_default_str();
  command->add_option("--whole", words->whole_pieces, "Pieces that are never split")->type_name("PIECE");
  command->add_flag("--no-bytes", words->no_bytes,
                    "Do without the 256 pieces for bytes; characters that were never seen are then unknown");
  command->add_flag("--json", words->json, "Print JSON");
  add_stream_options(*command, words);
  command->footer(
      "Examples:\n"
      "  microemo tokenize --train data/train.jsonl --out tokenizer.model --vocabulary 512\n"
      "  microemo tokenize tokenizer.model \"What does the person feel?\"\n"
      "  echo '\"What does the person feel?\"' | microemo tokenize --model checkpoints/vicuna-7b --add-special");
  command->callback([words, command] {
    words->vocabulary_given = command->count("--vocabulary") > 0;
    if (!words->stream_model.empty()) return stream(*words);
    words->manifests.empty() ? show(*words) : train(*words);
  });
}

}  // namespace microemo::cli
