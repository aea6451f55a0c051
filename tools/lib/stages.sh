# shellcheck shell=bash
# Stages of a long script: each is timed, its peak memory is read, and one that is complete is not done again.
# Sourced by tools/quickstart, never run. `stages` is the folder that the records lie in, one file a stage:
#   KEY SECONDS MEGABYTES     KEY is a hash of the command and of the configuration files

stage_names=()
stage_seconds=()
stage_peak_mb=()

# watch_peak PID_FILE PEAK_FILE: keeps the peak memory in MB of the process named in PID_FILE until it is gone.
watch_peak() {
  local pid key value peak=0
  until [[ -s $1 ]]; do sleep 0.05; done
  pid=$(<"$1")
  while [[ -d /proc/$pid ]]; do
    while read -r key value _; do
      if [[ $key == VmHWM: ]]; then peak=$((value / 1024)); fi
    done 2>/dev/null <"/proc/$pid/status" || true
    printf '%s\n' "$peak" >"$2"
    sleep 0.2
  done
}

# measured NAME COMMAND…: runs it in the foreground, so that Ctrl-C reaches it; sets `seconds` and `peak_mb`.
measured() {
  local status=0 start=${EPOCHREALTIME/[.,]/} watcher notes=$stages/.$1
  shift
  rm -f -- "$notes.pid"
  printf '0\n' >"$notes.peak"
  watch_peak "$notes.pid" "$notes.peak" &
  watcher=$!
  # shellcheck disable=SC2016 # the inner shell expands these
  bash -c 'printf "%s\n" "$$" >"$0"; exec "$@"' "$notes.pid" "$@" || status=$?
  wait "$watcher"
  seconds=$(((${EPOCHREALTIME/[.,]/} - start + 50000) / 100000))
  seconds=$((seconds / 10)).$((seconds % 10))
  peak_mb=$(<"$notes.peak")
  rm -f -- "$notes.pid" "$notes.peak"
  return "$status"
}

# stage NAME COMMAND…: runs the command unless the same one is recorded as complete.
stage() {
  local name=$1 key old_key=none seconds=0 peak_mb=0 status=0
  shift
  key=$({ printf '%s\n' "$@"; cat -- "$root"/configs/quickstart/*; } | sha256sum | cut -c 1-16)
  if [[ -f $stages/$name ]]; then read -r old_key seconds peak_mb <"$stages/$name"; fi
  if [[ $old_key == "$key" ]]; then
    say "== $name: complete since $(date -r "$stages/$name" '+%F %R')"
  else
    say "== $name: $*"
    measured "$name" "$@" || status=$?
    if ((status == 75)); then fail "$name was stopped" "the same command goes on from here"; fi
    if ((status != 0)); then fail "$name failed (exit status $status)" "mend what is said above, then run the same command again"; fi
    printf '%s %s %s\n' "$key" "$seconds" "$peak_mb" >"$stages/$name.new"
    mv -- "$stages/$name.new" "$stages/$name"
  fi
  stage_names+=("$name") stage_seconds+=("$seconds") stage_peak_mb+=("$peak_mb")
}

print_stages() {
  local i
  printf '%-20s %10s %12s\n' stage seconds 'peak memory'
  for i in "${!stage_names[@]}"; do printf '%-20s %10s %9s MB\n' "${stage_names[i]}" "${stage_seconds[i]}" "${stage_peak_mb[i]}"; done
}

# stages_json: the members "seconds" and "peak_memory_mb" of a JSON object, without braces.
stages_json() {
  local i separator='' peak=0
  printf '"seconds": {'
  for i in "${!stage_names[@]}"; do
    printf '%s"%s": %s' "$separator" "${stage_names[i]}" "${stage_seconds[i]}"
    separator=', '
    if ((stage_peak_mb[i] > peak)); then peak=${stage_peak_mb[i]}; fi
  done
  printf '}, "peak_memory_mb": %s' "$peak"
}
