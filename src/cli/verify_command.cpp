#include <cstdio>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "microemo/base/error.h"
#include "microemo/checkpoint/finite.h"
#include "microemo/cli/commands.h"
#include "microemo/infer/verify.h"
#include "microemo/report/table.h"
#include "positive_number.h"

namespace microemo::cli {
namespace {

struct Words {
  std::string model, reference, type = "float32";
  infer::VerifyOptions options;
  bool json = false, check_finite = false;
};

void print(const std::string& text) { std::printf("%s\n", text.c_str()); }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t length : shape) text += (text.empty() ? "" : " x ") + std::to_string(length);
  return text;
}

void print_report(const infer::VerifyReport& report) {
  report::Table table{{"output", "shape", "max absolute", "max relative", ""}, {}};
  for (const infer::OutputComparison& output : report.outputs)
    table.rows.push_back({output.name, shape_text(output.shape), fmt::format("{:.3g}", output.max_absolute),
                          fmt::format("{:.3g}", output.max_relative), output.within ? "ok" : "differs"});
  print(report::format_table(table));
  for (const infer::OutputComparison& output : report.outputs)
    if (output.next_token)
      print(
          fmt::format("next token: KL mean {:.3g}, largest {:.3g} nats; the same most likely token at {:.2f} % of the positions",
                      output.next_token->mean_kl, output.next_token->max_kl, 100 * output.next_token->top1));
  for (const std::string& name : report.not_compared) print(fmt::format("not compared: {}", name));
  print(fmt::format("{} outputs of a {} model, {} the tolerance of {:g} relative to the largest recorded value",
                    report.outputs.size(), report.model_type, report.within() ? "all within" : "some beyond", report.tolerance));
}

int run(const Words& words) {
  if (words.check_finite) checkpoint::require_finite(checkpoint::TensorSource(words.model));
  infer::VerifyOptions options = words.options;
  options.as_stored = words.type == "stored";
  const infer::VerifyReport report = infer::verify_model(words.model, words.reference, options);
  if (words.json)
    print(to_json(report).dump(2));
  else
    print_report(report);
  return report.within() ? 0 : exit_code(ErrorKind::checkpoint);
}

}  // namespace

void add_verify_command(CLI::App& app, int& status) {
  auto words = std::make_shared<Words>();
  CLI::App* command = app.add_subcommand(
      "verify", "Compare a model with outputs recorded elsewhere; exit code 4 when one differs by more than the tolerance");
  command->add_option("MODEL", words->model, "Folder in the layout of Hugging Face")->required()->type_name("");
  command
      ->add_option("--reference", words->reference, "File with input.NAME and output.NAME (tests/reference/record.py writes it)")
      ->required()
      ->type_name("FILE");
  command->add_option("--tolerance", words->options.tolerance, "Largest difference, relative to the largest recorded value")
      ->check(positive_number)
      ->capture_default_str();
  command->add_option("--type", words->type, "What to compute in: float32, or the stored type of the weights")
      ->check(CLI::IsMember({"float32", "stored"}))
      ->capture_default_str();
  command->add_flag("--check-finite", words->check_finite, "Refuse weights that are NaN or infinite before anything is computed");
  command->add_flag("--json", words->json, "Print JSON");
  command->footer("Example:\n  microemo verify models/Llama-2-7b-chat-hf --reference recorded.safetensors");
  command->callback([words, &status] { status = run(*words); });
}

}  // namespace microemo::cli
