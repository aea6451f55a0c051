#include <sentencepiece_trainer.h>

#include <algorithm>
#include <regex>
#include <unordered_map>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/text/tokenizer.h"
#include "utf8.h"

namespace microemo::text {
namespace {

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  bool done() const override { return next_ == sentences_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return sentences_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& sentences_;
  size_t next_ = 0;
};

/// The trainer reads lines: a text of several is several sentences to it.
std::vector<std::string> split_into_lines(const std::vector<std::string>& texts) {
  std::vector<std::string> lines;
  for (const std::string& text : texts) {
    if (!is_utf8(text)) throw DataError("a text to train the tokenizer on is not UTF-8: \"{}\"", text.substr(0, 40));
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
      if (end > begin) lines.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  if (lines.empty())
    throw DataError("there is no text to train the tokenizer on").hint("give a manifest whose utterances have texts");
  return lines;
}

/// SentencePiece writes a blank as this (U+2581), also in the pieces that it looks for.
std::string with_visible_blanks(const std::string& piece) {
  std::string text;
  for (const char c : piece) text += c == ' ' ? std::string("\xE2\x96\x81") : std::string(1, c);
  return text;
}

/// The pieces as one value of the library's comma-separated list.
std::string quoted_list(const std::vector<std::string>& pieces) {
  std::string list;
  for (const std::string& piece : pieces) {
    if (piece.empty() || piece.find_first_of("\"\r\n\t") != std::string::npos || !is_utf8(piece))
      throw ConfigError("\"{}\" cannot be a whole piece of the tokenizer", piece)
          .hint("a piece is not empty and has no quotes, tabs or line ends");
    list += (list.empty() ? "\"" : ",\"") + with_visible_blanks(piece) + "\"";
  }
  return list;
}

size_t longest(const std::vector<std::string>& lines) {
  return std::max_element(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); })->size();
}

/// As LLaMA's tokenizer was made: text is left as it is (no normalisation, no blanks taken away), digits stand alone, and bytes
/// stand in for characters that were never seen, so that decode(encode(text)) is the text.
std::unordered_map<std::string, std::string> trainer_arguments(const TokenizerTraining& options,
                                                               const std::vector<std::string>& lines) {
  std::unordered_map<std::string, std::string> arguments = {{"model_type", "bpe"},
                                                            {"vocab_size", std::to_string(options.vocabulary)},
                                                            {"character_coverage", "1.0"},
                                                            {"hard_vocab_limit", options.fewer_allowed ? "false" : "true"},
                                                            {"byte_fallback", options.byte_fallback ? "true" : "false"},
                                                            {"split_digits", "true"},
                                                            {"allow_whitespace_only_pieces", "true"},
                                                            {"normalization_rule_name", "identity"},
                                                            {"remove_extra_whitespaces", "false"},
                                                            {"max_sentence_length", std::to_string(longest(lines) + 1)},
                                                            {"num_threads", "1"},
                                                            {"minloglevel", "10"}};
  if (!options.whole_pieces.empty()) arguments["user_defined_symbols"] = quoted_list(options.whole_pieces);
  return arguments;
}

/// The library names the largest possible vocabulary, and the smallest, in its message only.
Error refused(const std::string& message, const TokenizerTraining& options) {
  std::smatch match;
  if (std::regex_search(message, match, std::regex(R"(value <= (\d+))")))
    return ConfigError("a vocabulary of {} is too large for this text: the largest possible is {}", options.vocabulary,
                       match[1].str())
        .hint("ask for " + match[1].str() + " pieces or fewer, or train on more text");
  if (std::regex_search(message, match, std::regex(R"(\d+ vs (\d+))")))
    return ConfigError("a vocabulary of {} is too small: the characters of this text alone need {}", options.vocabulary,
                       match[1].str())
        .hint("ask for more than " + match[1].str() + " pieces");
  return ConfigError("the tokenizer cannot be trained: {}", message);
}

}  // namespace

void train_tokenizer(const std::vector<std::string>& sentences, const TokenizerTraining& options,
                     const std::filesystem::path& model_file) {
  if (options.vocabulary < 1 || options.vocabulary > 1'000'000)
    throw ConfigError("a vocabulary of {} is not possible", options.vocabulary).hint("ask for 1 to 1000000 pieces");
  const std::vector<std::string> lines = split_into_lines(sentences);
  Sentences iterator(lines);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(trainer_arguments(options, lines), &iterator, &model);
  if (!status.ok()) throw refused(status.message(), options);
  write_file_atomic(model_file, model);
}

}  // namespace microemo::text
