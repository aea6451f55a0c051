// One side of bench/score: for every line of standard input, the full wheel evaluation of one pair of files under one release,
// repeated, and the seconds that one took.
//
//   score_speed PREDICTIONS TRUTHS WHEELS (labels|files|wheels) REPETITIONS
//
// labels: both files and the wheels are in memory; files: the files are read each time; wheels: the wheels, too.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "microemo/base/error.h"
#include "microemo/eval/metrics.h"
#include "microemo/eval/wheel_release.h"

namespace {

using namespace microemo;

struct Inputs {
  eval::LabelFiles files;
  eval::MetricSources sources;
};

void read_files(Inputs& inputs, char** paths) {
  inputs.files = eval::read_label_files(paths[0], paths[1], eval::LabelContent::labels);
  inputs.sources.labels = &inputs.files;
}

void read_wheels(Inputs& inputs, const char* folder) {
  inputs.sources.wheels.clear();
  inputs.sources.wheels.emplace("2025", eval::load_release_wheels(folder, "2025"));
}

int run(char** words) {
  const std::string part = words[3];
  const int repetitions = std::atoi(words[4]);
  Inputs inputs;
  read_files(inputs, words);
  read_wheels(inputs, words[2]);
  while (std::getchar() == '\n') {
    double score = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repetitions; ++i) {
      if (part == "wheels") read_wheels(inputs, words[2]);
      if (part != "labels") read_files(inputs, words);
      score =
          eval::score_metrics({eval::parse_metric("ew2025-m-avg")}, inputs.sources, eval::ClusterKind::clip, {.resamples = 0})[0]
              .numbers.back()
              .second;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("%.9f %.17g\n", took.count() / repetitions, score);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count != 6) return std::fputs("score_speed PREDICTIONS TRUTHS WHEELS (labels|files|wheels) REPETITIONS\n", stderr), 2;
  try {
    return run(words + 1);
  } catch (const Error& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
