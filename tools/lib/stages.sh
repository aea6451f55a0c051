# shellcheck shell=bash
# Stages of a long script: each is timed, its peak memory is read, and one that is complete is not done again.
# Sourced by tools/quickstart, never run. `stages` is the folder that the records lie in, a few files a stage:
#   NAME.key    hash of the command, the program and the configuration files that its output was begun with
#   NAME.spent  SECONDS MEGABYTES of every part that ran, one line each: an interrupted stage has several
#   NAME.done   it is complete
#   NAME.reached  the present call found it complete or completed it: what another lane waits for

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

tenths_since() { printf '%s\n' "$(((${EPOCHREALTIME/[.,]/} - $1 + 50000) / 100000))"; }
as_seconds() { printf '%s.%s\n' "$(($1 / 10))" "$(($1 % 10))"; }

# measured NAME COMMAND…: runs it in the foreground, so that Ctrl-C reaches it, and notes what it took.
measured() {
  local name=$1 status=0 start=${EPOCHREALTIME/[.,]/} watcher
  shift
  rm -f -- "$stages/$name.pid"
  printf '0\n' >"$stages/$name.peak"
  watch_peak "$stages/$name.pid" "$stages/$name.peak" &
  watcher=$!
  # shellcheck disable=SC2016 # the inner shell expands these
  bash -c 'printf "%s\n" "$$" >"$0" && exec "$@"' "$stages/$name.pid" "$@" || status=$?
  # Where the disk is full there is no process number to watch.
  if [[ ! -s $stages/$name.pid ]]; then kill "$watcher"; fi
  wait "$watcher" || true
  printf '%s %s\n' "$(as_seconds "$(tenths_since "$start")")" "$(<"$stages/$name.peak")" >>"$stages/$name.spent"
  rm -f -- "$stages/$name.pid" "$stages/$name.peak"
  return "$status"
}

# stop_stages: asks whatever still runs to save and end.
stop_stages() {
  local file
  for file in "$stages"/*.pid; do
    if [[ -s $file ]]; then kill -TERM "$(<"$file")" 2>/dev/null || true; fi
  done
}

# stage NAME OUTPUT COMMAND…: runs the command unless the same one is recorded as complete. An output that another command or
# program began is removed first; one that this command began is gone on with.
stage() {
  local name=$1 output=$2 key status=0
  shift 2
  key=$({ printf '%s\n' "$@"; cat -- "$root"/configs/quickstart/* "$microemo"; } | sha256sum | cut -c 1-16)
  if [[ $(cat -- "$stages/$name.key" 2>/dev/null) != "$key" ]]; then
    rm -rf -- "$output" "$stages/$name.done" "$stages/$name.spent"
    printf '%s\n' "$key" >"$stages/$name.key"
  fi
  if [[ -f $stages/$name.done ]]; then
    say "== $name: complete since $(date -r "$stages/$name.done" '+%F %R')"
    touch -- "$stages/$name.reached"
    return
  fi
  say "== $name: $*"
  measured "$name" "$@" || status=$?
  if ((status == 75)); then fail "$name was stopped" "the same command goes on from here"; fi
  if ((status != 0)); then fail "$name failed (exit status $status)" "mend what is said above, then run the same command again"; fi
  touch -- "$stages/$name.done" "$stages/$name.reached"
}

# wait_for NAME PID LOG: until the lane of this process has reached the stage.
wait_for() {
  until [[ -f $stages/$1.reached ]]; do
    kill -0 "$2" 2>/dev/null || [[ -f $stages/$1.reached ]] || fail "a stage in the background failed" "see $3"
    sleep 0.2
  done
}

# spent NAME seconds|peak: the sum of its parts' seconds, or the largest of their peaks in MB.
spent() {
  case $2 in
    seconds) awk '{ sum += $1 } END { printf "%.1f\n", sum }' "$stages/$1.spent" ;;
    peak) awk '$2 > most { most = $2 } END { printf "%d\n", most }' "$stages/$1.spent" ;;
  esac
}

# print_stages NAME…: a table.
print_stages() {
  local name
  printf '%-24s %10s %12s\n' stage seconds 'peak memory'
  for name in "$@"; do printf '%-24s %10s %9s MB\n' "$name" "$(spent "$name" seconds)" "$(spent "$name" peak)"; done
}

# largest_peak NAME…: in MB.
largest_peak() {
  local name peak most=0
  for name in "$@"; do
    peak=$(spent "$name" peak)
    if ((peak > most)); then most=$peak; fi
  done
  printf '%s\n' "$most"
}

# seconds_json NAME…: the members of a JSON object.
seconds_json() {
  local name separator=''
  for name in "$@"; do
    printf '%s"%s": %s' "$separator" "$name" "$(spent "$name" seconds)"
    separator=', '
  done
}
