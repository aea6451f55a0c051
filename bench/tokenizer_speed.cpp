// Encodes the lines of a file again and again, once for every line that comes on standard input, and answers with the seconds
// that the encoding took and the number of ids: the C++ side of bench/tokenizers.
//
//   tokenizer_speed MODEL FILE     FILE: one JSON string a line

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/text/tokenizer.h"

namespace {

void serve(const char* model, const char* file) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [](auto from) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count(); };
  const microemo::text::Tokenizer tokenizer(model);
  std::printf("%.9f\n", seconds(start));
  std::fflush(stdout);
  std::vector<std::string> texts;
  microemo::read_jsonl(file, [&](const microemo::Json& text, int64_t) { texts.push_back(text.get<std::string>()); });
  for (std::string line; std::getline(std::cin, line);) {
    const auto begin = std::chrono::steady_clock::now();
    size_t ids = 0;
    for (const std::string& text : texts) ids += tokenizer.encode(text, {.find_special = true}).size();
    std::printf("%.9f %zu\n", seconds(begin), ids);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 2;
  try {
    serve(words[1], words[2]);
  } catch (const microemo::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return microemo::exit_code(error.kind());
  }
}
