#include "microemo/report/comparison_page.h"

#include "microemo/base/hash.h"

namespace microemo::report {
namespace {

constexpr const char* style =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .7rem .3rem 0;vertical-align:top}"
    "th{border-bottom:1px solid #bbb;font-weight:600}td{border-bottom:1px solid #eee}"
    "section{margin-top:2.2rem}h2{font-size:1.05rem;margin:0}img{height:120px;margin:.5rem .5rem .2rem 0;border-radius:3px}"
    ".faint{color:#777}.truth{font-weight:600}";

std::string escaped(const std::string& text) {
  std::string html;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      default:
        html += letter;
    }
  }
  return html;
}

std::string cells(const char* tag, const std::vector<std::string>& texts) {
  std::string html = "<tr>";
  for (const std::string& text : texts) html += std::string("<") + tag + ">" + escaped(text) + "</" + tag + ">";
  return html + "</tr>\n";
}

std::string picture(const media::Image& image, const char* what) {
  return std::string("<img alt=\"") + what + "\" src=\"data:image/png;base64," + base64(media::png_bytes(image)) + "\">";
}

/// Below the frames; those without a face are counted.
std::string faces(const ComparedUtterance& utterance) {
  if (utterance.faces.empty()) return {};
  std::string html = "<div>";
  size_t found = 0;
  for (const media::Image& face : utterance.faces) {
    if (face.width == 0) continue;
    ++found;
    html += picture(face, "face");
  }
  html += "</div>\n";
  if (found == utterance.faces.size()) return html;
  return html + "<p class=\"faint\">a face was found in " + std::to_string(found) + " of " +
         std::to_string(utterance.faces.size()) + " frames</p>\n";
}

std::string section(const ComparedUtterance& utterance) {
  std::string html =
      "<section>\n<h2>" + escaped(utterance.id) + " <span class=\"faint\">" + escaped(utterance.when) + "</span></h2>\n<div>";
  for (const media::Image& image : utterance.pictures) html += picture(image, "frame");
  html += "</div>\n" + faces(utterance);
  if (!utterance.transcript.empty()) html += "<p>“" + escaped(utterance.transcript) + "”</p>\n";
  html += "<p>true labels: <span class=\"truth\">" + escaped(utterance.truth) + "</span></p>\n<table>\n" +
          cells("th", {"run", "answer", "labels", "F"});
  for (const auto& [run, text, labels, score] : utterance.answers) html += cells("td", {run, text, labels, score});
  return html + "</table>\n</section>\n";
}

}  // namespace

std::string comparison_html(const ComparisonPage& page) {
  std::string html =
      "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width\">\n<title>" +
      escaped(page.title) + "</title>\n<style>" + style + "</style>\n<h1>" + escaped(page.title) + "</h1>\n<table>\n" +
      cells("th", page.head);
  for (const auto& row : page.rows) html += cells("td", row);
  html += "</table>\n";
  for (const std::string& note : page.notes) html += "<p class=\"faint\">" + escaped(note) + "</p>\n";
  for (const ComparedUtterance& utterance : page.utterances) html += section(utterance);
  return html + "</html>\n";
}

}  // namespace microemo::report
