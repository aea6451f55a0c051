// Files of labels, answers, times and texts. What the bytes begin with says by which name they are read. Error(data) is a right
// answer; anything else is a finding.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/eval/explanation.h"
#include "microemo/eval/extract_answers.h"
#include "microemo/eval/metrics.h"
#include "microemo/eval/timeline.h"

namespace {

using namespace microemo;

template <class Read>
void open(Read read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data && error.kind() != ErrorKind::checkpoint) throw;
  }
}

const char* end_of(std::string_view bytes) {
  if (bytes.starts_with("PK")) return ".npz";
  return bytes.starts_with('{') || bytes.starts_with('[') || bytes.starts_with('\n') ? ".jsonl" : ".csv";
}

/// Every label, and every item against itself.
void use(const std::filesystem::path& file, eval::LabelContent content) {
  const eval::LabelFiles files = eval::read_label_files(file, file, content);
  for (size_t item = 0; item < files.truths.size(); ++item)
    for (const uint32_t label : files.truths.labels_of(item)) (void)files.words.text(label).size();
  for (const auto kind : {eval::ClusterKind::best, eval::ClusterKind::clip, eval::ClusterKind::speaker})
    open([&] { eval::make_clusters(files.truths, kind); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TemporaryFolder folder;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto file = folder.path() / (std::string("labels") + end_of(bytes));
  write_file_atomic(file, bytes);
  for (const auto content : {eval::LabelContent::labels, eval::LabelContent::sentiment}) open([&] { use(file, content); });
  open([&] { eval::read_timelines(file); });
  open([&] { eval::read_explanations(file); });
  open([&] { eval::read_answers(file); });
  open([&] { eval::read_judged_scores(file); });
  return 0;
}
