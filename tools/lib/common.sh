# shellcheck shell=bash
# What the scripts in tools/ share. Sourced by them, never run.

# The caller's folder tells where the checkout is, so that every script works from any folder.
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/microemo

say() { printf '%s\n' "$*"; }

# fail WHAT [NEXT]: one message in the form of the program's own errors, then the end.
fail() {
  printf 'error: %s\n' "$1" >&2
  if (($# > 1)); then printf '  next   %s\n' "$2" >&2; fi
  exit 1
}

# print_help: the comment block at the top of the calling script, without its marks.
print_help() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

# needs_value OPTION COUNT: an option that takes a value was given one.
needs_value() { (($2 >= 2)) || fail "$1 needs a value" "tools/${0##*/} --help shows the options"; }

# build_preset PRESET LIBTORCH [TARGET…]: configures, and builds everything or what is named. LIBTORCH may be empty.
build_preset() {
  local preset=$1 options=()
  if [[ -n ${2:-} ]]; then options+=(-D "MICROEMO_LIBTORCH=$2"); fi
  cd -- "$root" || exit
  cmake --preset "$preset" "${options[@]}" >"$cache/cmake.log" 2>&1 ||
    { tail -n 30 -- "$cache/cmake.log" >&2; fail "CMake could not configure the preset '$preset'" "see $cache/cmake.log"; }
  # nproc counts the threads that OMP_NUM_THREADS allows, and the callers set it to 1 for what they run.
  cmake --build --preset "$preset" --parallel "$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)" ${3:+--target "${@:3}"}
}
