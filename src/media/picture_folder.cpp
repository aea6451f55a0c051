#include "microemo/media/picture_folder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "microemo/base/error.h"
#include "picture_kinds.h"

namespace microemo::media {
namespace {

namespace fs = std::filesystem;

/// A picture's name in parts: text and digits by turns, text at both ends.
struct Name {
  fs::path file;
  std::vector<std::string> parts;
};

constexpr const char* number_them = "name the pictures alike, with one number that counts them: img1.png, img2.png, …";

template <class... Args>
Error refused(const fs::path& file, fmt::format_string<Args...> what, Args&&... args) {
  return DataError("the folder of pictures {}", fmt::format(what, std::forward<Args>(args)...)).where(file);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string small_letters(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return text;
}

/// What systems leave in folders by themselves.
bool is_litter(const std::string& name) {
  const std::string small = small_letters(name);
  return small.starts_with('.') || small == "thumbs.db" || small == "desktop.ini";
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::error_code trouble;
  const fs::file_type type = fs::status(folder, trouble).type();
  if (type == fs::file_type::not_found) throw DataError("there is no such file or folder").where(folder).hint("check the path");
  if (!trouble && type != fs::file_type::directory)
    throw DataError("a frame rate is given, and this is no folder of pictures")
        .where(folder)
        .hint("leave the frame rate out: a file has its own times");
  std::vector<fs::path> files;
  for (fs::directory_iterator at(folder, trouble), end; !trouble && at != end; at.increment(trouble))
    if (!is_litter(at->path().filename().string())) files.push_back(at->path());
  if (trouble) throw refused(folder, "cannot be read: {}", trouble.message()).hint("check its permissions");
  std::ranges::sort(files);
  return files;
}

void check_kinds(const std::vector<fs::path>& files) {
  const PictureKind* const first = picture_kind(files.front());
  for (const fs::path& file : files) {
    std::error_code trouble;
    const fs::file_status status = fs::status(file, trouble);
    const PictureKind* const kind = picture_kind(file);
    if (!kind || status.type() != fs::file_type::regular)
      throw refused(file, "holds something else: {}{}", file.filename().string(),
                    fs::is_directory(status) ? " is a folder" : " is no picture")
          .hint(fmt::format("keep nothing in it but its pictures: {}", picture_endings()));
    if (kind != first)
      throw refused(file, "holds pictures of two kinds: {} and {}", files.front().filename().string(), file.filename().string())
          .hint("keep one kind of picture in it");
  }
}

std::vector<std::string> parts_of(const std::string& stem) {
  std::vector<std::string> parts(1);
  for (const char c : stem) {
    if (is_digit(c) != (parts.size() % 2 == 0)) parts.emplace_back();
    parts.back() += c;
  }
  if (parts.size() % 2 == 0) parts.emplace_back();
  return parts;
}

/// The one part in which two names differ; 0 when they are the same up to the ending.
size_t differing_part(const Name& first, const Name& other) {
  size_t found = 0;
  const auto differs = [&] {
    return refused(other.file, "holds more than one series: {} and {} differ in more than a number",
                   first.file.filename().string(), other.file.filename().string())
        .hint(number_them);
  };
  if (first.parts.size() != other.parts.size()) throw differs();
  for (size_t i = 0; i < first.parts.size(); ++i) {
    if (first.parts[i] == other.parts[i]) continue;
    if (i % 2 == 0 || found != 0) throw differs();
    found = i;
  }
  return found;
}

/// The part that counts the pictures; of a single one the last number.
size_t counting_part(const std::vector<Name>& names) {
  size_t part = 0;
  for (size_t i = 1; i < names.size(); ++i) {
    const size_t here = differing_part(names.front(), names[i]);
    if (here == 0)
      throw refused(names[i].file, "has a number twice: {} and {}", names.front().file.filename().string(),
                    names[i].file.filename().string())
          .hint("remove one of the two");
    if (part != 0 && here != part)
      throw refused(names[i].file, "holds more than one series: {} and {} count by another number than {}",
                    names.front().file.filename().string(), names[i].file.filename().string(), names[1].file.filename().string())
          .hint(number_them);
    part = here;
  }
  return part != 0 ? part : names.front().parts.size() - 2;
}

struct Numbered {
  int64_t number = 0;
  fs::path file;
};

std::vector<Numbered> numbered(const std::vector<Name>& names) {
  const size_t part = counting_part(names);
  std::vector<Numbered> pictures;
  for (const Name& name : names) {
    const std::string& digits = name.parts[part];
    Numbered& picture = pictures.emplace_back(Numbered{0, name.file});
    if (std::from_chars(digits.data(), digits.data() + digits.size(), picture.number).ec != std::errc())
      throw refused(name.file, "has a number that is too large: {}", name.file.filename().string()).hint(number_them);
  }
  std::ranges::stable_sort(pictures, {}, &Numbered::number);
  return pictures;
}

void check_numbers(const std::vector<Numbered>& pictures) {
  for (size_t i = 1; i < pictures.size(); ++i) {
    const auto &before = pictures[i - 1], &here = pictures[i];
    const std::string names = before.file.filename().string() + " and " + here.file.filename().string();
    if (here.number == before.number)
      throw refused(here.file, "has the number {} twice: {}", here.number, names).hint("remove one of the two");
    if (here.number != before.number + 1)
      throw refused(here.file, "lacks number {}, between {}", before.number + 1, names)
          .hint("copy what is missing, or number the pictures without gaps: each is shown as long as the others");
  }
}

}  // namespace

std::optional<double> frame_rate_of(const std::string& text) {
  const auto number = [](std::string_view part) {
    double value = 0;
    const auto [rest, trouble] = std::from_chars(part.data(), part.data() + part.size(), value);
    return trouble == std::errc() && rest == part.data() + part.size() ? value : std::nan("");
  };
  const std::string_view all = text;
  const size_t slash = all.find('/');
  const double rate =
      slash == std::string_view::npos ? number(all) : number(all.substr(0, slash)) / number(all.substr(slash + 1));
  return rate >= least_frame_rate && rate <= most_frame_rate ? std::optional(rate) : std::nullopt;
}

std::vector<fs::path> picture_files(const fs::path& folder) {
  const std::vector<fs::path> files = files_of(folder);
  if (files.empty())
    throw refused(folder, "is empty").hint(fmt::format("it has to hold the pictures of the clip: {}", picture_endings()));
  check_kinds(files);
  std::vector<Name> names;
  for (const fs::path& file : files) {
    names.push_back({file, parts_of(file.stem().string())});
    if (names.back().parts.size() == 1)
      throw refused(file, "holds a picture without a number in its name: {}", file.filename().string()).hint(number_them);
  }
  const std::vector<Numbered> pictures = numbered(names);
  check_numbers(pictures);
  std::vector<fs::path> ordered;
  for (const Numbered& picture : pictures) ordered.push_back(picture.file);
  return ordered;
}

}  // namespace microemo::media
