#include <algorithm>
#include <set>
#include <unordered_map>

#include "added_tokens.h"
#include "decoders.h"
#include "folder_config.h"
#include "kind.h"
#include "microemo/base/error.h"
#include "unicode.h"
#include "utf8.h"
#include "wordpiece.h"

namespace microemo::text {
namespace {

/// The Python class tidies the whole text at once, so nothing is certain before its end.
class WholeTextDecoder : public Decoder {
 public:
  explicit WholeTextDecoder(TokenTextOf text_of) : text_of_(std::move(text_of)) {}
  void add(int64_t id, std::string&) override {
    const TokenText token = text_of_(id);
    if (token.left_out) return;
    if (token.text.starts_with("##") && !text_.empty())
      text_ += token.text.substr(2);
    else
      text_ += (text_.empty() ? "" : " ") + token.text;
  }
  void finish(std::string& out) override {
    out += tidied(std::move(text_), Tidying::transformers);
    text_.clear();
  }

 private:
  TokenTextOf text_of_;
  std::string text_;
};

/// A vocab.txt, one piece a line, read as transformers' BertTokenizer reads it.
class BertVocabulary : public TokenizerKind {
 public:
  explicit BertVocabulary(const TokenizerFiles& files) {
    file = files.vocabulary;
    read_pieces(files.bytes);
    const FolderConfig config = read_folder_config(files.folder);
    cleaning_.lower = config.lower.value_or(true);
    cleaning_.strip_accents = config.strip_accents.value_or(cleaning_.lower);
    cleaning_.space_chinese = config.space_chinese.value_or(true);
    const std::string unknown_piece = config.unknown.value_or("[UNK]"), separator = config.separator.value_or("[SEP]"),
                      classifier = config.classifier.value_or("[CLS]");
    unknown = needed(unknown_piece);
    words_.unknown = uint32_t(*unknown);
    read_added(config, {unknown_piece, separator, config.pad.value_or("[PAD]"), classifier, config.mask.value_or("[MASK]")});
    before = {needed(classifier)};
    after = {needed(separator)};
    begin = id_of(config.begin.value_or(""));
    end = id_of(config.end.value_or(""));
  }

  void encode(std::string_view text, bool find_added, std::vector<int64_t>& ids) const override {
    if (!find_added) return encode_part(text, ids);
    for (const AddedTokenFinder::OwnPart& part : added_.split_as_python(cleaning_.lower ? lowered(text) : std::string(text)))
      if (part.token != nullptr)
        ids.push_back(part.token->id);
      else
        encode_part(part.text, ids);
  }

  std::unique_ptr<Decoder> decoder(bool keep_special) const override {
    return std::make_unique<WholeTextDecoder>([this, keep_special](int64_t id) {
      return TokenText{pieces_[size_t(id)], !keep_special && special_ids_.contains(id)};
    });
  }

  std::string piece(int64_t id) const override { return pieces_[size_t(id)]; }
  std::optional<int64_t> id_of(const std::string& piece) const override {
    const auto found = ids_.find(piece);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  int64_t size() const override { return int64_t(pieces_.size()); }

 private:
  void read_pieces(std::string_view text) {
    if (!is_utf8(text)) throw DataError("the vocabulary is not UTF-8").where(file).hint("convert it, for instance with iconv");
    for (size_t start = 0; start < text.size();) {
      const size_t stop = std::min(text.find('\n', start), text.size());
      std::string piece(text.substr(start, stop - start));
      if (piece.ends_with('\r')) piece.pop_back();
      start = stop + 1;
      if (!ids_.emplace(piece, int64_t(pieces_.size())).second)
        throw DataError("the piece \"{}\" stands here a second time", piece)
            .where(file, int64_t(pieces_.size()) + 1)
            .hint("remove it");
      words_.add(piece, uint32_t(pieces_.size()));
      pieces_.push_back(piece);
    }
    if (pieces_.empty()) throw DataError("the vocabulary is empty").where(file).hint("give a vocab.txt with one piece a line");
  }

  int64_t needed(const std::string& piece) const {
    const auto id = id_of(piece);
    if (!id)
      throw DataError("the vocabulary has no piece \"{}\"", piece)
          .where(file)
          .hint("a WordPiece vocabulary names its special tokens");
    return *id;
  }

  void read_added(const FolderConfig& config, const std::vector<std::string>& named) {
    std::vector<AddedToken> all = config.added;
    const auto is_there = [&](const std::string& content) {
      return std::any_of(all.begin(), all.end(), [&](const AddedToken& token) { return token.content == content; });
    };
    std::vector<AddedToken> special = config.special;
    for (const std::string& content : named) {
      AddedToken token{.content = content};
      token.special = true;
      special.push_back(token);
    }
    size_t next = pieces_.size();
    for (const AddedToken& token : all)
      if (!id_of(token.content)) ++next;
    for (AddedToken token : special) {
      if (is_there(token.content)) continue;
      token.id = id_of(token.content).value_or(int64_t(next));
      if (token.id == int64_t(next)) ++next;
      all.push_back(token);
    }
    std::vector<AddedToken> kept;
    for (const AddedToken& token : all) {
      add_piece(token);
      const bool is_named =
          std::any_of(special.begin(), special.end(), [&](const AddedToken& one) { return one.content == token.content; });
      if (is_named) special_ids_.insert(token.id);
      if (is_named || (!token.special && token.normalized)) kept.push_back({.id = token.id, .content = token.content});
    }
    kept_as_written_ = AddedTokenFinder(std::move(kept));
    added_ = AddedTokenFinder(std::move(all));
  }

  void add_piece(const AddedToken& token) {
    if (token.id < 0 || token.id > largest_id)
      throw DataError("the added token \"{}\" has the id {}", token.content, token.id).where(file).hint("mend its id");
    if (size_t(token.id) >= pieces_.size()) pieces_.resize(size_t(token.id) + 1);
    pieces_[size_t(token.id)] = token.content;
    ids_.emplace(token.content, token.id);
  }

  /// Lower case everywhere but in added tokens.
  std::string lowered(std::string_view text) const {
    std::string result;
    for (const TextPart& part : kept_as_written_.split(text))
      result += part.token != nullptr ? std::string(part.text) : lower_case(part.text);
    return result;
  }

  void encode_part(std::string_view text, std::vector<int64_t>& ids) const {
    const std::string clean = bert_cleaned(text, cleaning_, BertLibrary::transformers);
    for (const std::string_view word : bert_words(clean, BertLibrary::transformers)) words_.encode(word, ids);
  }

  BertCleaning cleaning_;
  WordPiece words_;
  std::vector<std::string> pieces_;
  std::unordered_map<std::string, int64_t> ids_;
  std::set<int64_t> special_ids_;
  AddedTokenFinder added_{{}}, kept_as_written_{{}};
};

}  // namespace

std::unique_ptr<TokenizerKind> open_wordpiece(const TokenizerFiles& files) { return std::make_unique<BertVocabulary>(files); }

}  // namespace microemo::text
