#include "microemo/report/comparison_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microemo::report {
namespace {

using testing::HasSubstr;
using testing::Not;

media::Image grey_picture() { return {8, 4, 3, std::vector<uint8_t>(96, 128)}; }

ComparisonPage page() {
  return {.title = "two runs",
          .notes = {"mean wheel F"},
          .head = {"run", "F"},
          .rows = {{"one", "0.5"}, {"two", "0.7"}},
          .utterances = {{.id = "clip1/0",
                          .when = "0.0 to 1.0 s",
                          .transcript = "Well?",
                          .truth = "happy",
                          .pictures = {grey_picture()},
                          .answers = {{"one", "sad.", "sad", "0"}}}}};
}

TEST(ComparisonPage, HoldsItsPicturesAndNamesNoAddress) {
  const std::string html = comparison_html(page());
  EXPECT_THAT(html, HasSubstr("data:image/png;base64,iVBORw0KGgo"));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  for (const char* part : {"two runs", "clip1/0", "Well?", "happy", "sad.", "mean wheel F", "<td>0.7</td>"})
    EXPECT_THAT(html, HasSubstr(part));
}

TEST(ComparisonPage, EscapesWhatPeopleSay) {
  ComparisonPage attack = page();
  attack.title = "<b>";
  attack.utterances[0].transcript = "<script>alert(\"1\")</script> & 高兴";
  attack.utterances[0].answers[0].text = "</table>";
  const std::string html = comparison_html(attack);
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; 高兴"));
  EXPECT_THAT(html, HasSubstr("<td>&lt;/table&gt;</td>"));
  EXPECT_THAT(html, HasSubstr("<title>&lt;b&gt;</title>"));
}

TEST(ComparisonPage, ShowsFacesAndCountsTheFramesWithout) {
  ComparisonPage faces = page();
  faces.utterances[0].faces = {grey_picture(), {}};
  const std::string html = comparison_html(faces);
  EXPECT_THAT(html, HasSubstr("<img alt=\"frame\""));
  EXPECT_THAT(html, HasSubstr("<img alt=\"face\""));
  EXPECT_THAT(html, HasSubstr("a face was found in 1 of 2 frames"));
  faces.utterances[0].faces = {grey_picture()};
  EXPECT_THAT(comparison_html(faces), Not(HasSubstr("a face was found")));
  EXPECT_THAT(comparison_html(page()), Not(HasSubstr("face")));
}

TEST(ComparisonPage, OfNoUtterancesIsATable) {
  ComparisonPage empty = page();
  empty.utterances.clear();
  EXPECT_THAT(comparison_html(empty), Not(HasSubstr("<section")));
}

}  // namespace
}  // namespace microemo::report
