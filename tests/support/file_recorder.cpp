// Preloaded into a program, writes down every change of files below the folder RECORD_FILES_UNDER in the order in which they were
// made, one line each in the file RECORD_FILES_LOG:
//
//   create PATH | write PATH OFFSET HEX | truncate PATH SIZE | sync PATH | rename FROM TO | remove PATH | mkdir PATH
//
// Paths are absolute and hold no blanks. Calls that fail are not written down.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace {

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::mutex& lock() {
  static std::mutex mutex;
  return mutex;
}

struct OpenFile {
  std::string path;
  off_t offset = 0;
  bool appends = false;
};
std::map<int, OpenFile>& open_files() {
  static std::map<int, OpenFile> files;
  return files;
}

std::string absolute(int folder, const char* path) {
  if (path[0] == '/') return path;
  char buffer[4096];
  ssize_t length = 0;
  if (folder == AT_FDCWD) {
    if (::getcwd(buffer, sizeof buffer)) length = ssize_t(std::strlen(buffer));
  } else {
    length = ::readlink(("/proc/self/fd/" + std::to_string(folder)).c_str(), buffer, sizeof buffer);
  }
  return std::string(buffer, size_t(length > 0 ? length : 0)) + "/" + path;
}

bool is_watched(const std::string& path) {
  static const char* folder = std::getenv("RECORD_FILES_UNDER");
  return folder && path.compare(0, std::strlen(folder), folder) == 0;
}

void note(const std::string& line) {
  static auto* real_open = next<int(const char*, int, ...)>("open");
  static auto* real_write = next<ssize_t(int, const void*, size_t)>("write");
  static const int log = real_open(std::getenv("RECORD_FILES_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const std::string text = line + "\n";
  if (real_write(log, text.data(), text.size()) != ssize_t(text.size())) std::abort();
}

std::string hex(const void* bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<const unsigned char*>(bytes)[i];
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

int opened(int descriptor, const std::string& path, int flags, bool was_there) {
  if (descriptor < 0 || !is_watched(path)) return descriptor;
  const std::lock_guard guard(lock());
  open_files()[descriptor] = {path, 0, (flags & O_APPEND) != 0};
  if (!was_there) note("create " + path);
  if (was_there && (flags & O_TRUNC)) note("truncate " + path + " 0");
  return descriptor;
}

int open_as(const char* name, const char* path, int flags, mode_t mode) {
  const std::string whole = absolute(AT_FDCWD, path);
  const bool was_there = ::access(path, F_OK) == 0;
  return opened(next<int(const char*, int, ...)>(name)(path, flags, mode), whole, flags, was_there);
}

void wrote(int descriptor, const void* bytes, ssize_t count, off_t offset) {
  if (count <= 0) return;
  const std::lock_guard guard(lock());
  const auto found = open_files().find(descriptor);
  if (found == open_files().end()) return;
  OpenFile& file = found->second;
  if (offset < 0) {
    struct stat status {};
    if (file.appends && ::fstat(descriptor, &status) == 0) file.offset = status.st_size - count;
    offset = file.offset;
    file.offset += count;
  }
  note("write " + file.path + " " + std::to_string(offset) + " " + hex(bytes, size_t(count)));
}

mode_t mode_of(int flags, va_list words) { return flags & O_CREAT ? va_arg(words, mode_t) : 0; }

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list words;
  va_start(words, flags);
  const mode_t mode = mode_of(flags, words);
  va_end(words);
  return open_as("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list words;
  va_start(words, flags);
  const mode_t mode = mode_of(flags, words);
  va_end(words);
  return open_as("open64", path, flags, mode);
}

// What a std::ofstream opens, writes with write and writev, and closes.
static FILE* open_stream(const char* name, const char* path, const char* mode) {
  const bool was_there = ::access(path, F_OK) == 0;
  FILE* stream = next<FILE*(const char*, const char*)>(name)(path, mode);
  const int flags = mode[0] == 'w' ? O_TRUNC : mode[0] == 'a' ? O_APPEND : 0;
  if (stream) opened(::fileno(stream), absolute(AT_FDCWD, path), flags, was_there);
  return stream;
}
FILE* fopen(const char* path, const char* mode) { return open_stream("fopen", path, mode); }
FILE* fopen64(const char* path, const char* mode) { return open_stream("fopen64", path, mode); }

int fclose(FILE* stream) {
  {
    const std::lock_guard guard(lock());
    open_files().erase(::fileno(stream));
  }
  return next<int(FILE*)>("fclose")(stream);
}

ssize_t writev(int descriptor, const struct iovec* pieces, int count) {
  const ssize_t done = next<ssize_t(int, const struct iovec*, int)>("writev")(descriptor, pieces, count);
  ssize_t left = done;
  for (int i = 0; i < count && left > 0; ++i) {
    const ssize_t length = std::min(left, ssize_t(pieces[i].iov_len));
    wrote(descriptor, pieces[i].iov_base, length, -1);
    left -= length;
  }
  return done;
}

int close(int descriptor) {
  {
    const std::lock_guard guard(lock());
    open_files().erase(descriptor);
  }
  return next<int(int)>("close")(descriptor);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  const ssize_t done = next<ssize_t(int, const void*, size_t)>("write")(descriptor, bytes, count);
  wrote(descriptor, bytes, done, -1);
  return done;
}

ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  const ssize_t done = next<ssize_t(int, const void*, size_t, off_t)>("pwrite")(descriptor, bytes, count, offset);
  wrote(descriptor, bytes, done, offset);
  return done;
}

int ftruncate(int descriptor, off_t size) {
  const int result = next<int(int, off_t)>("ftruncate")(descriptor, size);
  const std::lock_guard guard(lock());
  const auto found = open_files().find(descriptor);
  if (result == 0 && found != open_files().end()) note("truncate " + found->second.path + " " + std::to_string(size));
  return result;
}

int fsync(int descriptor) {
  const int result = next<int(int)>("fsync")(descriptor);
  const std::lock_guard guard(lock());
  const auto found = open_files().find(descriptor);
  if (result == 0 && found != open_files().end()) note("sync " + found->second.path);
  return result;
}

int rename(const char* from, const char* to) {
  const int result = next<int(const char*, const char*)>("rename")(from, to);
  const std::string first = absolute(AT_FDCWD, from), second = absolute(AT_FDCWD, to);
  if (result == 0 && is_watched(first)) {
    const std::lock_guard guard(lock());
    note("rename " + first + " " + second);
  }
  return result;
}

int mkdir(const char* path, mode_t mode) {
  const int result = next<int(const char*, mode_t)>("mkdir")(path, mode);
  const std::string whole = absolute(AT_FDCWD, path);
  if (result == 0 && is_watched(whole)) {
    const std::lock_guard guard(lock());
    note("mkdir " + whole);
  }
  return result;
}

static int removed(int result, const std::string& path) {
  if (result == 0 && is_watched(path)) {
    const std::lock_guard guard(lock());
    note("remove " + path);
  }
  return result;
}

int unlink(const char* path) { return removed(next<int(const char*)>("unlink")(path), absolute(AT_FDCWD, path)); }
int rmdir(const char* path) { return removed(next<int(const char*)>("rmdir")(path), absolute(AT_FDCWD, path)); }
int remove(const char* path) { return removed(next<int(const char*)>("remove")(path), absolute(AT_FDCWD, path)); }
int unlinkat(int folder, const char* path, int flags) {
  const std::string whole = absolute(folder, path);
  return removed(next<int(int, const char*, int)>("unlinkat")(folder, path, flags), whole);
}
}
