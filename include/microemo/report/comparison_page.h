#pragma once
#include <string>
#include <vector>

#include "microemo/media/image.h"

namespace microemo::report {

/// One utterance as several models answered it.
struct ComparedUtterance {
  std::string id;
  std::string when;  ///< "1.20 to 2.40 s"
  std::string transcript, truth;
  std::vector<media::Image> pictures;    ///< whole frames
  std::vector<media::Image> faces = {};  ///< the face of each; 0 x 0 where none was found
  struct Answer {
    std::string run, text, labels, score;
  };
  std::vector<Answer> answers;
};

struct ComparisonPage {
  std::string title;
  std::vector<std::string> notes;  ///< what the numbers are
  std::vector<std::string> head;   ///< of the table
  std::vector<std::vector<std::string>> rows;
  std::vector<ComparedUtterance> utterances;
};

/// One HTML file that holds its pictures and needs nothing else: no script, no address. All text is escaped.
std::string comparison_html(const ComparisonPage& page);

}  // namespace microemo::report
