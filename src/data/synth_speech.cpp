#include "microemo/data/synth_speech.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>
#include <set>
#include <sstream>

#include "microemo/base/error.h"
#include "microemo/base/random.h"

extern char** environ;

namespace microemo::data {
namespace {

constexpr int espeak_rate = 22050;
constexpr size_t wav_header_bytes = 44;
constexpr double fastest_words_per_minute = 420;
constexpr float silence = 0.01F;
constexpr double background_noise = 0.0015;
constexpr double triangle_scale = 2.449;  // makes the sum of two uniform draws have standard deviation 1
constexpr double voice_gain = 0.6;

Error no_espeak(const std::string& reason) {
  return EnvironmentError("espeak-ng cannot be run: {}", reason)
      .hint("run tools/setup, which installs the Debian package espeak-ng");
}

std::string read_all(int descriptor) {
  std::string bytes;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t count = read(descriptor, buffer.data(), buffer.size());
    if (count > 0) bytes.append(buffer.data(), size_t(count));
    if (count == 0 || (count < 0 && errno != EINTR)) return bytes;
  }
}

/// posix_spawn, because nothing may fork once LibTorch runs threads. In a process group of its own: Ctrl-C in a terminal stops
/// this program after the clips in work, and must not take their voices away.
pid_t spawn_espeak(std::vector<std::string> words, int standard_output) {
  words.insert(words.begin(), "espeak-ng");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, standard_output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  const int failure = posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw no_espeak(std::strerror(failure));
  return child;
}

/// A file descriptor that is closed at the end.
struct Descriptor {
  int number = -1;
  void reset() {
    if (number >= 0) close(number);
    number = -1;
  }
  ~Descriptor() { reset(); }
};

/// Standard output of espeak-ng with these words.
std::string run_espeak(const std::vector<std::string>& words) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw no_espeak(std::strerror(errno));
  const Descriptor output{ends[0]};
  Descriptor input{ends[1]};
  const pid_t child = spawn_espeak(words, input.number);
  input.reset();
  std::string bytes = read_all(output.number);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw no_espeak(fmt::format("it ended with status {}", status));
  return bytes;
}

std::vector<float> wav_samples(const std::string& wav) {
  if (wav.size() <= wav_header_bytes || wav.compare(0, 4, "RIFF") != 0) throw no_espeak("it wrote no WAV");
  std::vector<int16_t> integers((wav.size() - wav_header_bytes) / 2);
  std::memcpy(integers.data(), wav.data() + wav_header_bytes, integers.size() * 2);
  std::vector<float> samples(integers.size());
  std::ranges::transform(integers, samples.begin(), [](int16_t value) { return float(value) / 32768.0F; });
  return samples;
}

void trim_silence(std::vector<float>& samples) {
  const auto loud = [](float value) { return std::abs(value) > silence; };
  samples.erase(std::find_if(samples.rbegin(), samples.rend(), loud).base(), samples.end());
  samples.erase(samples.begin(), std::ranges::find_if(samples, loud));
}

std::vector<float> speak_at(const ScriptedUtterance& u, const std::string& voice, double words_per_minute) {
  const bool lively = u.manner == Manner::lively;
  const int pitch = int(std::lround(u.pitch + (lively ? 12.0 : -8.0)));
  std::vector<float> samples = wav_samples(
      run_espeak({"-v", voice, "-s", std::to_string(std::lround(words_per_minute)), "-p", std::to_string(pitch), "-a",
                  lively ? "120" : "50", "-z", "-m", "--stdout",
                  fmt::format("<prosody range=\"{}\">{}</prosody>", lively ? "x-high" : "x-low", u.sentence.text())}));
  trim_silence(samples);
  return samples;
}

void mix_in(std::vector<float>& whole, const std::vector<float>& part, size_t first, float gain) {
  for (size_t i = 0; i < part.size() && first + i < whole.size(); ++i)
    whole[first + i] = std::clamp(whole[first + i] + gain * part[i], -1.0F, 1.0F);
}

}  // namespace

std::string espeak_version() {
  const std::string text = run_espeak({"--version"});
  const size_t colon = text.find(": ");
  if (colon == std::string::npos) throw no_espeak("it does not name its version");
  return text.substr(colon + 2, text.find(' ', colon + 2) - colon - 2);
}

void check_voices(const std::vector<std::string>& voices) {
  std::istringstream listed(run_espeak({"--voices=variant"}));
  const std::set<std::string> known{std::istream_iterator<std::string>(listed), {}};
  for (const std::string& voice : voices)
    if (const std::string variant = voice.substr(voice.find('+') + 1); !known.contains("!v/" + variant))
      throw no_espeak("it has no voice variant " + variant);
}

media::Sound speak(const ScriptedUtterance& utterance, const std::string& voice) {
  const auto room = size_t((utterance.end_s - utterance.start_s) * espeak_rate);
  media::Sound sound;
  sound.rate = espeak_rate;
  for (double speed = utterance.words_per_minute; speed <= fastest_words_per_minute;) {
    sound.samples = speak_at(utterance, voice, speed);
    if (sound.samples.size() <= room) return sound;
    speed *= std::max(1.04, 1.02 * double(sound.samples.size()) / double(room));
  }
  throw InternalError("\"{}\" takes {:.2f} s at the highest speed", utterance.sentence.text(), sound.end_s());
}

media::Sound clip_sound(const ClipScript& script, uint64_t seed) {
  media::Sound sound;
  sound.rate = espeak_rate;
  sound.samples.resize(size_t(script.duration_s() * espeak_rate));
  Random random(seed, "background sound", {uint64_t(script.part == SynthPart::test), uint64_t(script.index)});
  for (float& sample : sound.samples)
    sample = float(background_noise * triangle_scale * (random.uniform() + random.uniform() - 1.0));
  for (const ScriptedUtterance& u : script.utterances) {
    const media::Sound speech = speak(u, script.voice);
    const double spare_s = u.end_s - u.start_s - speech.end_s();
    mix_in(sound.samples, speech.samples, size_t((u.start_s + u.placement * spare_s) * espeak_rate),
           float(voice_gain * script.loudness));
  }
  return sound;
}

}  // namespace microemo::data
