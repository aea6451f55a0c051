#include "microemo/media/text_drawing.h"

#include <charconv>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "microemo/base/json.h"
#include "support/errors.h"

namespace microemo::media {
namespace {

using testing::ElementsAre;

constexpr char happy[] = "\u9AD8\u5174";  // 高兴

struct GoldenLine {
  std::string text;
  int size = 0, left = 0, baseline = 0, advance = 0;
  Image picture;
};

Image grey(int width, int height) { return {width, height, 1, std::vector<uint8_t>(size_t(width) * size_t(height))}; }

std::vector<GoldenLine> golden_lines() {
  std::vector<GoldenLine> lines;
  for (const Json& json : read_json(std::filesystem::path(MICROEMO_SOURCE_DIR) / "tests/data/media/text.json")) {
    GoldenLine line{json["text"], json["size"], json["left"], json["baseline"], json["advance"], {}};
    line.picture = {line.advance + 2 * line.left, int(json["rows"].size()), 1, {}};
    for (const std::string hex : json["rows"])
      for (size_t i = 0; i < hex.size(); i += 2) {
        uint8_t value = 0;
        std::from_chars(hex.data() + i, hex.data() + i + 2, value, 16);
        line.picture.pixels.push_back(value);
      }
    lines.push_back(std::move(line));
  }
  return lines;
}

Image drawn(const std::string& text, int size) {
  Image image = grey(20 + text_width(text, size), 2 * size);
  draw_text(image, text, {10, 1.4 * size}, size, {255, 255, 255});
  return image;
}

int64_t inked(const Image& image) {
  return std::ranges::count_if(image.pixels, [](uint8_t value) { return value > 127; });
}

// The golden picture is Pillow's, whose FreeType is another release than Debian's: edges may differ a little.
TEST(TextDrawing, DrawsTheLettersThatPillowDraws) {
  for (const GoldenLine& line : golden_lines()) {
    EXPECT_EQ(text_width(line.text, line.size), line.advance) << line.text;
    Image image = grey(line.picture.width, line.picture.height);
    draw_text(image, line.text, {double(line.left), double(line.baseline)}, line.size, {255, 255, 255});
    ASSERT_EQ(image.pixels.size(), line.picture.pixels.size());
    double difference = 0, ink = 0;
    int most = 0;
    for (size_t i = 0; i < image.pixels.size(); ++i) {
      const int off = std::abs(int(image.pixels[i]) - int(line.picture.pixels[i]));
      difference += off, ink += line.picture.pixels[i], most = std::max(most, off);
    }
    EXPECT_GT(ink, 0);
    EXPECT_LE(difference, 0.01 * ink) << line.text << " at " << line.size;
    EXPECT_LE(most, 16) << line.text << " at " << line.size;
  }
}

TEST(TextDrawing, HasBothLettersOfHappyAndNoBoxForThem) {
  EXPECT_TRUE(can_draw(happy));
  const Image letters = drawn(happy, 40), boxes = drawn("\U000F0000\U000F0001", 40);
  EXPECT_NE(letters.pixels, boxes.pixels);
  EXPECT_NE(drawn("\u9AD8", 40).pixels, drawn("\u5174", 40).pixels);
  EXPECT_GT(inked(letters), 2 * inked(boxes));
}

TEST(TextDrawing, DrawsABoxForALetterThatTheFontLacks) {
  EXPECT_FALSE(can_draw("a\U0001F600"));
  EXPECT_GT(inked(drawn("\U0001F600", 30)), 30);
  EXPECT_EQ(drawn("\U0001F600", 30).pixels, drawn("\U000F0000", 30).pixels);
  EXPECT_GT(text_width("a\U0001F600", 30), text_width("a", 30));
}

TEST(TextDrawing, DrawsABoxForEveryByteThatIsNoText) {
  const int box = text_width("\U000F0000", 20);
  EXPECT_EQ(text_width("\xFF", 20), box);
  EXPECT_EQ(text_width("\xC3", 20), box);
  EXPECT_EQ(text_width("\xE5\xA5", 20), 2 * box);
  EXPECT_EQ(text_width("\xC0\xAF", 20), 2 * box);
  EXPECT_EQ(text_width("\xED\xA0\x80", 20), 3 * box);
  EXPECT_EQ(text_width("a\xF0\x9F\x98", 20), text_width("a", 20) + 3 * box);
  EXPECT_FALSE(can_draw("\xFF"));
}

TEST(TextDrawing, MakesABlankOfAControlCharacterAndNothingOfAJoiner) {
  EXPECT_EQ(text_width("a\nb", 20), text_width("a b", 20));
  EXPECT_EQ(text_width("a\u200Db\uFEFF", 20), text_width("ab", 20));
  EXPECT_TRUE(can_draw("a\tb\u200D\u0085"));
}

TEST(TextDrawing, MixesItsColourWithTheGround) {
  Image image{60, 60, 3, std::vector<uint8_t>(60 * 60 * 3, 200)};
  draw_text(image, "\u2588", {5, 50}, 40, {10, 20, 30});
  int whole = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    EXPECT_LE(image.pixels[i], image.pixels[i + 1]);
    EXPECT_LE(image.pixels[i + 1], image.pixels[i + 2]);
    whole += image.pixels[i] == 10 && image.pixels[i + 1] == 20 && image.pixels[i + 2] == 30;
  }
  EXPECT_GT(whole, 100);
}

TEST(TextDrawing, IsClippedAtEveryBorder) {
  for (const Point place : {Point{-15, 20}, Point{40, 20}, Point{10, 3}, Point{10, 50}, Point{500, 500}, Point{-500, -500}}) {
    Image image = grey(50, 40);
    draw_text(image, happy, place, 30, {255, 255, 255});
    Image larger = grey(1150, 1140);
    draw_text(larger, happy, {place.x + 550, place.y + 550}, 30, {255, 255, 255});
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) ASSERT_EQ(image.row(y)[x], larger.row(y + 550)[x + 550]);
  }
}

TEST(TextDrawing, OfNothingChangesNothing) {
  EXPECT_EQ(text_width("", 20), 0);
  EXPECT_EQ(inked(drawn("", 20)), 0);
}

TEST(TextDrawing, RefusesSizesThatAreNoSizes) {
  for (const int size : {0, -3, 1001})
    test::expect_error(
        ErrorKind::internal, [&] { text_width("a", size); }, "text of");
}

TEST(ShortenedText, KeepsWhatFitsAndEndsInDotsOtherwise) {
  const int width = text_width("a rather long caption", 16);
  EXPECT_EQ(shortened_text("a rather long caption", 16, width), "a rather long caption");
  const std::string shorter = shortened_text("a rather long caption", 16, width - 1);
  EXPECT_TRUE(shorter.ends_with("...")) << shorter;
  EXPECT_LE(text_width(shorter, 16), width - 1);
  EXPECT_EQ(shortened_text("a rather", 16, text_width("a ...", 16)), "a...");
  EXPECT_EQ(shortened_text("", 16, 0), "");
  EXPECT_EQ(shortened_text("abc", 16, 0), "...");
}

TEST(ShortenedText, NeverCutsALetterInTwo) {
  const std::string text = std::string(happy) + happy + happy;
  for (int width = 0; width <= text_width(text, 16); ++width) EXPECT_TRUE(can_draw(shortened_text(text, 16, width)));
}

TEST(WrappedText, BreaksAtBlanks) {
  EXPECT_THAT(wrapped_text("one  two\nthree ", 16, text_width("one two", 16)), ElementsAre("one two", "three"));
  EXPECT_THAT(wrapped_text(" \n", 16, 100), ElementsAre());
}

TEST(WrappedText, BreaksBetweenChineseLettersButNotBeforeAComma) {
  const std::string text = "\u4ED6\u5F88\u9AD8\u5174\uFF0C\u662F";  // 他很高兴，是
  EXPECT_THAT(wrapped_text(text, 20, 80), ElementsAre("\u4ED6\u5F88\u9AD8", "\u5174\uFF0C\u662F"));
  EXPECT_THAT(wrapped_text("so \u9AD8\u5174", 20, text_width("so \u9AD8", 20)), ElementsAre("so \u9AD8", "\u5174"));
}

TEST(WrappedText, CutsAWordThatIsTooLongAndLosesNoneOfIt) {
  const std::string word(100, 'w');
  std::string together;
  for (const std::string& line : wrapped_text(word, 16, 60)) {
    EXPECT_LE(text_width(line, 16), 60);
    together += line;
  }
  EXPECT_EQ(together, word);
  EXPECT_THAT(wrapped_text("ab", 16, 1), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace microemo::media
