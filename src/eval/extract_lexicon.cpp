#include "microemo/eval/extract_lexicon.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "extract_tokens.h"
#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/formats/csv.h"
#include "text.h"

namespace microemo::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, word_roles> role_names{
    "negation", "negation ends", "not a negation", "turn",    "hedge",    "weak",     "strong",    "filler", "separator",
    "feel",     "lead",          "title",          "subject", "sentence", "evidence", "inference", "nothing"};

Error mistake_in(const formats::Table& table, const formats::TableRow& row, const std::string& message, const char* hint) {
  return DataError("{}", message).where(table.file, row.line).hint(hint);
}

double valence_of(const formats::Table& table, const formats::TableRow& row) {
  const std::string& text = row.fields[table.column("valence")];
  double valence = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), valence);
  if (error != std::errc() || end != text.data() + text.size() || !(std::abs(valence) <= 1))
    throw mistake_in(table, row, fmt::format("the valence \"{}\" is no number from -1 to 1", text), "write -0.5, say");
  return valence;
}

/// Adverb and noun that English makes of an adjective by rule: happily, happiness.
std::vector<std::string> regular_forms(const std::string& adjective) {
  const auto without = [&](size_t letters) { return adjective.substr(0, adjective.size() - letters); };
  if (adjective.find(' ') != std::string::npos) return {};
  if (adjective.ends_with("y")) return {without(1) + "ily", without(1) + "iness"};
  if (adjective.ends_with("ic")) return {adjective + "ally"};
  if (adjective.ends_with("le")) return {without(1) + "y", adjective + "ness"};
  return {adjective + "ly", adjective + "ness"};
}

class LexiconReader {
 public:
  explicit LexiconReader(const fs::path& folder) {
    lexicon_.folder = folder;
    const std::string emotions = read_file(folder / "emotions.csv"), grammar = read_file(folder / "grammar.csv");
    lexicon_.hash = sha256(emotions + grammar);
    read_emotions(formats::parse_csv(emotions, folder / "emotions.csv"));
    read_grammar(formats::parse_csv(grammar, folder / "grammar.csv"));
  }

  Lexicon take() { return std::move(lexicon_); }

 private:
  void read_emotions(const formats::Table& table) {
    std::vector<EmotionWord> families;
    for (const formats::TableRow& row : table.rows) {
      EmotionWord word{std::string(bare(row.fields[table.column("label")])), valence_of(table, row), false};
      if (word.label.empty()) throw mistake_in(table, row, "the label is empty", "name the adjective of the word family");
      add_form(table, row, row.fields[table.column("label")], word);
      for (const char* language : {"english", "chinese"})
        for (const std::string& form : split(row.fields[table.column(language)], ";")) add_form(table, row, form, word);
      families.push_back(std::move(word));
    }
    // Behind the forms that are written out: "hardly" may be another family's word than "hard".
    for (const EmotionWord& word : families)
      for (const std::string& form : regular_forms(word.label))
        if (Phrase& phrase = phrase_of(form); !phrase.emotion) phrase.emotion = word;
  }

  void add_form(const formats::Table& table, const formats::TableRow& row, const std::string& form, EmotionWord word) {
    word.in_lists = form.starts_with('~');
    Phrase& phrase = phrase_of(bare(form));
    if (phrase.emotion)
      throw mistake_in(table, row, fmt::format("\"{}\" belongs to \"{}\" already", bare(form), phrase.emotion->label),
                       "keep it in one family");
    phrase.emotion = std::move(word);
  }

  void read_grammar(const formats::Table& table) {
    std::bitset<word_roles> found;
    for (const formats::TableRow& row : table.rows) {
      const std::string& name = row.fields[table.column("role")];
      const auto role = std::ranges::find(role_names, std::string_view(name));
      if (role == role_names.end())
        throw mistake_in(table, row, fmt::format("there is no role \"{}\"", name), "docs/extraction.md lists the roles");
      const size_t place = static_cast<size_t>(role - role_names.begin());
      found.set(place);
      for (const char* language : {"english", "chinese"})
        for (const std::string& word : split(row.fields[table.column(language)], ";")) phrase_of(word).roles.set(place);
    }
    for (size_t i = 0; i < word_roles; ++i)
      if (!found[i])
        throw DataError("no words have the role \"{}\"", role_names[i])
            .where(table.file)
            .hint("docs/extraction.md lists the roles");
  }

  static std::string_view bare(std::string_view form) {
    if (form.starts_with('~')) form.remove_prefix(1);
    return strip(form);
  }

  Phrase& phrase_of(std::string_view text) {
    const std::string key = phrase_key(text);
    lexicon_.longest = std::max(lexicon_.longest, tokens_of(text).size());
    return lexicon_.phrases[key];
  }

  Lexicon lexicon_;
};

fs::path own_lexicon_path() {
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  for (const char* place : {"../../data/lexicon", "../share/microemo/lexicon"})
    if (fs::path lexicon = (folder / place).lexically_normal(); fs::exists(lexicon / "emotions.csv")) return lexicon;
  throw EnvironmentError("the project's lexicon of emotions is not beside the program")
      .at(folder.string())
      .hint("name the folder data/lexicon of the source tree");
}

}  // namespace

Lexicon load_lexicon(const fs::path& folder) { return LexiconReader(folder).take(); }

const Lexicon& own_lexicon() {
  static const Lexicon lexicon = load_lexicon(own_lexicon_path());
  return lexicon;
}

}  // namespace microemo::eval
