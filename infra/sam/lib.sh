#!/usr/bin/env bash
# What the scripts beside this file share, to be sourced: the tools that SAM needs, one run with its folder, database and
# functions, and its end. Whatever a run makes or starts is in its folder or leads there, so that runs at the same time do not
# meet, and so that what a killed one left can be told from what another is using.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
# shellcheck source=infra/tools/ci.sh
source infra/tools/ci.sh

runs=$PWD/.cache/sam
dynamodb_local=infra/dynamodb-local/dynamodb-local
# The scripts start themselves again beside a database; this tells which.
database_variable=WEBHOOKS_SAM_DATABASE
# The key and the id in functions/*/event.json.
example_key=whk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabscsvvu example_id=wh_01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4
events=(RecurringPayments.charge.paid RecurringPayments.charge.failed)
# How long SAM may take to start, and to stop, in seconds. On a busy machine it needs half a minute to start.
start_seconds=180 stop_seconds=30

run='' api='' child='' database='' architecture='' hermetic=()

# A trap writes where the command that it interrupts does; what people are told comes past that, through descriptor 8.
exec 8>&2
say() { echo "sam: $*" >&8; }

die() {
  say "$*"
  exit 1
}

# ---- tools

# Sets SAM: the command that the variable names already, else the one installed, else the pinned one, which is fetched. With CI
# set the one installed does not count.
find_sam() {
  if [[ -z ${SAM:-} ]] && { [[ -n ${CI:-} ]] || ! SAM=$(command -v sam); }; then
    [[ -n ${CI:-} ]] || command -v python3 >/dev/null ||
      die "SAM CLI is missing: install it, see https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html, or install python3 and it is fetched"
    SAM=$(infra/tools/python/venv sam)/bin/sam || exit 1
  fi
  "$SAM" --version >/dev/null 2>&1 || die "$SAM does not run: set SAM to another SAM CLI, or see what \"$SAM --version\" says"
  export SAM
}

# Sets the processor that containers run on here, as Lambda names it.
find_docker() {
  command -v docker >/dev/null || die "Docker is missing: install it, see https://docs.docker.com/get-docker/"
  local processor
  processor=$(docker version --format '{{.Server.Arch}}' 2>/dev/null) ||
    die "Docker is installed, but does not answer: start it, and see that you may use it (docker info tells why not)"
  case $processor in
    amd64 | x86_64) architecture=x86_64 ;;
    arm64 | aarch64) architecture=arm64 ;;
    *) die "Docker runs on $processor, and Lambda functions are for arm64 or x86_64" ;;
  esac
}

find_tools() {
  find_docker
  find_sam
  command -v curl >/dev/null || die "curl is missing: install it"
  "$dynamodb_local" check || exit 1
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- a run

# beside_database COMMAND…: runs COMMAND, which is the calling script, beside a DynamoDB of its own. Where that is so already, it
# sets database to the endpoint.
beside_database() {
  database=${!database_variable:-}
  if [[ -z $database ]]; then exec "$dynamodb_local" run --variable "$database_variable" -- "$@"; fi
}

# Makes the run's folder, and ends the run however the script ends: even when it is killed, as that closes descriptor 9.
begin_run() {
  mkdir -p "$runs"
  clear_runs
  run=$(mktemp -d "$runs/run.$$.XXXXXX")
  trap finish EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  exec 9> >(trap '' INT TERM HUP && trap - EXIT && { read -r _ || true; } && end_run "$run")
  choose_environment
}

# Ends what runs left whose script is gone, after a power cut for instance.
clear_runs() {
  local folder owner
  for folder in "$runs"/run.*; do
    owner=${folder#"$runs"/run.}
    owner=${owner%%.*}
    if [[ -d $folder ]] && ! kill -0 "$owner" 2>/dev/null; then end_run "$folder"; fi
  done
}

finish() {
  trap '' HUP INT TERM
  if [[ -n $child ]]; then stop_group "$child"; fi
  if [[ -n $api ]]; then stop_group "$api"; fi
  end_run "$run"
}

# end_run FOLDER: may be repeated.
end_run() {
  local file pid containers
  for file in "$1/api" "$1/child"; do
    pid=$(cat "$file" 2>/dev/null) || continue
    # By now another process may have the number.
    if [[ $(ps -ww -o command= -p "$pid" 2>/dev/null) == *"$1"* ]]; then stop_group "$pid"; fi
  done
  containers=$(containers_of "$1")
  # shellcheck disable=SC2086 # one word each
  if [[ -n $containers ]]; then docker rm --force $containers >/dev/null 2>&1 || true; fi
  rm -rf "$1"
}

# Prints the ids of the containers that were given something out of a folder.
containers_of() {
  local all
  all=$(docker ps --all --quiet 2>/dev/null) || return 0
  if [[ -z $all ]]; then return; fi
  # shellcheck disable=SC2086 # one word each; one may be gone by now, which fails, and the others are printed
  { docker inspect --format '{{.Id}}{{range .Mounts}} {{.Source}}/{{end}}' $all 2>/dev/null || true; } |
    awk -v folder="$1/" 'index($0, folder) { print $1 }'
}

# ---- processes, each a group of its own: the terminal's Ctrl-C reaches this script alone, and the script ends the group

# attend COMMAND…: runs COMMAND; a signal to the script is heeded at once.
attend() {
  set -m
  "$@" </dev/null 9>&- &
  child=$!
  set +m
  echo "$child" >"$run/child"
  local status=0
  wait "$child" || status=$?
  child=''
  return $status
}

# serve COMMAND…: starts COMMAND, which has the API and stays until stop_api or the end of the run.
serve() {
  set -m
  "$@" 9>&- &
  api=$!
  set +m
  echo "$api" >"$run/api"
}

stop_group() {
  kill -TERM -- "-$1" 2>/dev/null || return 0
  local waited
  for ((waited = 0; waited < stop_seconds * 10; waited++)); do
    kill -0 -- "-$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null || true
}

# ---- SAM

# Sets the beginning of every command that must not depend on the caller's settings: SAM hands variables of the shell to
# functions, and real credentials have no business there. SAM's own folder keeps it from asking for newer versions of itself.
choose_environment() {
  local name
  hermetic=(env)
  for name in $(compgen -e); do
    case $name in
      AWS_* | WEBHOOKS_* | SAM_* | SSL_CERT_*) hermetic+=(-u "$name") ;;
    esac
  done
  mkdir "$run/sam"
  printf '{"telemetryEnabled": false, "lastVersionCheck": %s}\n' "$(date +%s)" >"$run/sam/metadata.json"
  hermetic+=(AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
    AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
    SAM_CLI_TELEMETRY=0 SAM_CLI_CONTAINER_CONNECTION_TIMEOUT=120 "__SAM_CLI_APP_DIR=$run/sam")
}

# Builds all functions into $run/build, in whose place they come only once all are there.
build_functions() {
  say "building the functions for $architecture"
  rm -rf "$run/next"
  if ! attend env ARCH="$architecture" SAM_CLI_TELEMETRY=0 "__SAM_CLI_APP_DIR=$run/sam" "$SAM" build --build-in-source --parallel \
    --build-dir "$run/next/build" --parameter-overrides "Architecture=$architecture" >"$run/build.log" 2>&1; then
    # What the compiler said; SAM's own lines before it tell nothing.
    sed -n '/^Build Failed/,$p' "$run/build.log" | grep . >&2 || cat "$run/build.log" >&2
    say "the functions could not be built: see above"
    return 1
  fi
  if [[ -d $run/build ]]; then mv "$run/build" "$run/next/old"; fi
  mv "$run/next/build" "$run/build"
  rm -rf "$run/next"
}

# sam_local COMMAND ARGUMENTS…: sets the variable command to a command of `sam local` on what was built.
sam_local() {
  command=("${hermetic[@]}" "$SAM" local "$@" --template "$run/build/template.yaml" --env-vars "$run/environment.json"
    --skip-pull-image --add-host host.docker.internal:host-gateway)
}

# start_api PORT PARAMETERS…: PARAMETERS are the template's. Everything that SAM and the functions say goes to this script's stderr.
start_api() {
  local command port=$1
  shift
  sam_local start-api --port "$port" --warm-containers LAZY --parameter-overrides "Architecture=$architecture" "$@"
  serve "${command[@]}" </dev/null >&2
}

# wait_for_api PORT KEY
wait_for_api() {
  local answer begin=$SECONDS
  while ! listens "$1"; do
    kill -0 "$api" 2>/dev/null || die "SAM's local API ended: see above"
    if ((SECONDS - begin > start_seconds)); then die "SAM's local API does not listen after $start_seconds seconds"; fi
    sleep 0.2
  done
  answer=$(curl -sS --noproxy '*' --max-time 120 -w ' %{http_code}' -H "Authorization: Bearer $2" "http://127.0.0.1:$1/webhooks/types" 2>&1) || true
  [[ $answer == *" 200" ]] || die "SAM's local API does not work, or another answers on port $1: GET /webhooks/types gives $answer"
}

stop_api() {
  stop_group "$api"
  wait "$api" 2>/dev/null || true
  api=''
}

# invoke FUNCTION EVENT: prints what the function answers to the event in a file. What it and SAM say goes to stderr.
invoke() {
  local command
  sam_local invoke "$1" --event "$2" --parameter-overrides "Architecture=$architecture"
  attend "${command[@]}"
}

# ---- the database, and what is in it

webhookctl() {
  "${hermetic[@]}" WEBHOOKS_STORE=dynamodb WEBHOOKS_DYNAMODB_ENDPOINT="$database" "$run/webhookctl" "$@"
}

seed_database() {
  say "making tables and event types"
  attend go build -o "$run/webhookctl" ./infra/webhookctl
  webhookctl tables create >/dev/null
  local event
  for event in "${events[@]}"; do webhookctl types add "$event" >/dev/null; done
}

# new_key COMPANY PERMISSIONS [FLAGS…]: prints a new API key, and leaves what else there is to say of it in $run/key.
new_key() { webhookctl keys create --company "$1" --permissions "$2" "${@:3}" 2>"$run/key"; }

# write_environment QUOTA: writes the functions' variables. A token key of the run's own does for KMS: it need not last longer
# than the database.
write_environment() {
  cat >"$run/environment.json" <<JSON
{"Parameters": {
  "WEBHOOKS_SUBSCRIPTIONS_TABLE": "subscriptions",
  "WEBHOOKS_DYNAMODB_ENDPOINT": "$(database_of_containers)",
  "WEBHOOKS_TOKEN_KEY": "$(head -c 32 /dev/urandom | base64)",
  "WEBHOOKS_TLS_CHECK": "off",
  "WEBHOOKS_QUOTA": "$1"
}}
JSON
}

# Prints the database's endpoint as containers reach it: on this machine, or in the container that has the port.
database_of_containers() {
  local port=${database##*:} container
  container=$(docker ps --quiet --filter "publish=$port")
  if [[ -n $container ]]; then
    echo "http://$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$container"):8000"
  else
    echo "http://host.docker.internal:$port"
  fi
}

# event_with FILE KEY ID: prints an event with an API key and a webhook's id in the place of the examples in it. Another key or
# id stays: that is how a wrong one is tried.
event_with() { sed -e "s/$example_key/$2/g" -e "s/$example_id/$3/g" "$1"; }

# Prints the functions' folders and names in the template, a line each.
functions() {
  local main folder
  for main in functions/*/main.go; do
    folder=$(basename "$(dirname "$main")")
    echo "$folder $(awk -F- '{ for (i = 1; i <= NF; i++) printf "%s%s", toupper(substr($i, 1, 1)), substr($i, 2) }' <<<"$folder")Function"
  done
}
