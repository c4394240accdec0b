#!/bin/bash
# A real Gitea 1.26.0 server + the real Gitea runner 1.0.8, on loopback only.
# Both are built as tool dependencies from the Go module proxy ({gitea,runner}/go.mod beside this file).
#   forge.sh [start]   build if needed, start, print BASE_URL, ADMIN_TOKEN, OWNER/REPO ...
#   forge.sh smoke     dispatch a passing and a failing run (and, with docker, a container action)
#   forge.sh stop      end what start started (by pid)
#   forge.sh build     only what takes minutes: the two programs, the root of the images, the build cache for FORGE_GO
# Settings (environment): FORGE_ROOT, FORGE_PORT, FORGE_BIN, FORGE_ROOTFS, FORGE_DOCKER=1 (dockerd + container actions),
# FORGE_GO=1 (with docker: also the image golang:1.26-bookworm that the repository's Dockerfile begins with)
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=${FORGE_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/remint-forge}; PORT=${FORGE_PORT:-3310}; BIN=${FORGE_BIN:-$ROOT/bin}
DOCKER=${FORGE_DOCKER:-0}; GOIMAGE=${FORGE_GO:-0}; ROOTFS=${FORGE_ROOTFS:-$ROOT/rootfs}; GOC=${FORGE_GOCACHE:-$BIN/gocache}
URL=http://127.0.0.1:$PORT; API=$URL/api/v1; INI=$ROOT/custom/conf/app.ini
export GITEA_WORK_DIR=$ROOT
SOCK=$ROOT/docker/docker.sock
log(){ echo "[forge] $*" >&2; }
alive(){ # pidfile, word in the command line
  [ -s "$1" ] && local p && p=$(cat "$1") && [ -r /proc/$p/cmdline ] && tr '\0' ' ' </proc/$p/cmdline | grep -q -- "$2"; }
endpid(){ alive "$1" "$2" || { rm -f "$1"; return 0; }; local p; p=$(cat "$1"); kill -TERM "$p"
  for _ in $(seq 1 60); do kill -0 "$p" 2>/dev/null || break; sleep .25; done
  kill -0 "$p" 2>/dev/null && kill -KILL "$p"; rm -f "$1"; log "ended pid $p"; }
api(){ local m=$1 p=$2; shift 2; curl -sS -m 20 -X "$m" -H "Authorization: token $(cat $ROOT/admin.token)" -H 'Content-Type: application/json' "$API$p" "$@"; }

need(){ # commands and the packages they come in: what is missing is installed, and no service of it started
  local c p miss=() policy=/usr/sbin/policy-rc.d made=
  for c in "$@"; do if ! command -v "${c%%:*}" >/dev/null; then IFS=, read -ra p <<<"${c#*:}"; miss+=("${p[@]}"); fi; done
  [ ${#miss[@]} -gt 0 ] || return 0
  log "apt-get install ${miss[*]}"
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; }
  apt-get update -qq >&2; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${miss[@]}" >/dev/null || { [ -z "$made" ] || rm -f $policy; return 1; }
  [ -z "$made" ] || rm -f $policy; }

build(){
  need curl:curl openssl:openssl jq:jq gcc:gcc,libc6-dev
  mkdir -p "$BIN"
  if [ ! -x $BIN/gitea ]; then log "building gitea (about 5 min on 2 cores, cold)"
    (cd $HERE/gitea && timeout 1500 go build -tags 'sqlite sqlite_unlock_notify' \
      -ldflags '-s -w -X main.Version=1.26.0 -X "main.Tags=sqlite sqlite_unlock_notify"' -o $BIN/gitea code.gitea.io/gitea); fi
  if [ ! -x $BIN/gitea-runner ]; then log "building gitea-runner"
    (cd $HERE/runner && timeout 900 go build -ldflags '-s -w -X gitea.com/gitea/runner/internal/pkg/ver.version=v1.0.8' \
      -o $BIN/gitea-runner gitea.com/gitea/runner); fi
  if [ "$DOCKER" = 1 ]; then
    need dockerd:docker.io runc:runc containerd:containerd debootstrap:debootstrap
    if [ ! -x $ROOTFS/bin/bash ]; then log "debootstrap (about 1 min)"
      M=$(grep -hE '^URIs:|^deb ' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | awk '{for(i=1;i<=NF;i++) if($i ~ /^https?:/){print $i; exit}}' || true) # grep minds a missing file
      rm -rf $ROOTFS.part; mkdir -p "$(dirname $ROOTFS)"
      timeout 550 debootstrap --variant=minbase --include=ca-certificates,git,curl,jq bookworm $ROOTFS.part "$M" >$ROOTFS.log 2>&1 || { tail -5 $ROOTFS.log >&2; return 1; }
      rm -rf $ROOTFS; mv $ROOTFS.part $ROOTFS; fi # whole, or not there
  fi
  if [ "$DOCKER$GOIMAGE" = 11 ]; then log "build cache of our dependencies"; go_cache; fi
}
go_cache(){ (cd $HERE/../.. && GOCACHE=$GOC CGO_ENABLED=0 timeout 900 go build -trimpath -ldflags '-s -w' -o /dev/null .); }
static(){ # templates, options, public: read from the module's own folder
  (cd $HERE/gitea && go mod download code.gitea.io/gitea && go list -m -f '{{.Dir}}' code.gitea.io/gitea); }

start_docker(){
  mkdir -p $ROOT/docker/data $ROOT/docker/exec
  if ! alive $ROOT/dockerd.pid dockerd; then
    setsid nohup dockerd --host unix://$SOCK --data-root $ROOT/docker/data --exec-root $ROOT/docker/exec --pidfile $ROOT/docker/docker.pid \
      --storage-driver=overlay2 --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
      >$ROOT/log/dockerd.log 2>&1 </dev/null & echo $! > $ROOT/dockerd.pid
  fi
  for _ in $(seq 1 80); do DOCKER_HOST=unix://$SOCK timeout 3 docker version >/dev/null 2>&1 && break; sleep .25; done
  export DOCKER_HOST=unix://$SOCK
  if ! docker image inspect forgebase:1 >/dev/null 2>&1; then
    tar -C $ROOTFS -c . | docker import - forgebase:1 >/dev/null; log "image forgebase:1 made"
  fi
}

# golang:1.26-bookworm as far as our Dockerfile needs it, since no registry can be reached: Debian, this machine's Go, a module
# proxy of files with exactly the modules of our go.mod (RUN has no network: the daemon has no bridge), and a build
# cache of our dependencies, which only saves time: with -trimpath it holds for any folder.
go_image(){
  local name=golang:1.26-bookworm repo tmp key base old
  old=$(docker image inspect -f '{{.Id}}' $name 2>/dev/null || true)
  repo=$(cd $HERE/../.. && pwd)
  base=$(docker image inspect -f '{{.Id}}' forgebase:1)
  key=$( (cat $repo/go.mod $repo/go.sum; go version; echo "$base") | sha256sum | cut -c1-32)
  [ "$(docker image inspect -f '{{index .Config.Labels "e2e.key"}}' $name 2>/dev/null)" = "$key" ] && return 0
  log "image $name"
  docker image prune -f >/dev/null # stages of images that were built on the old one
  tmp=$ROOT/golang; rm -rf $tmp; mkdir -p $tmp/mod $tmp/root/goproxy $tmp/root/root/.cache; chmod -R go+rX $tmp
  cp $repo/go.mod $repo/go.sum $tmp/mod
  (cd $tmp/mod && GOMODCACHE=$tmp/modcache GOFLAGS=-modcacherw GOSUMDB=off GOPROXY="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)" \
    timeout 300 go mod download)
  mv $tmp/modcache/cache/download/* $tmp/root/goproxy/
  cp -r $GOC $tmp/root/root/.cache/go-build
  chmod -R go+rX $tmp/root
  tar -c --owner=0 --group=0 -C $ROOTFS . -C $tmp/root goproxy root/.cache -C "$(go env GOROOT)/.." --transform 's,^go\(/\|$\),usr/local/go\1,' --anchored --exclude=go/test --exclude=go/api go \
    | docker import --change "LABEL e2e.key=$key" --change 'ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'ENV GOPROXY=file:///goproxy' --change 'ENV GOSUMDB=off' --change 'ENV GOTOOLCHAIN=local' - $name >/dev/null
  rm -rf $tmp
  if [ -n "$old" ]; then docker image rm "$old" >/dev/null 2>&1 || true; fi
  log "image $name made"
}

start(){
  build; umask 077; mkdir -p $ROOT/custom/conf $ROOT/data $ROOT/log $ROOT/runner
  STATIC=$(static)
  if [ "$DOCKER" = 1 ]; then start_docker; if [ "$GOIMAGE" = 1 ]; then go_image; fi; fi
  if [ ! -s $INI ]; then cat > $INI <<I
APP_NAME = forge
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = $ROOT
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = $PORT
DOMAIN = 127.0.0.1
ROOT_URL = $URL/
LOCAL_ROOT_URL = $URL/
STATIC_ROOT_PATH = $STATIC
DISABLE_SSH = true
START_SSH_SERVER = false
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = $ROOT/data/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = $ROOT/data/repos
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = $(openssl rand -hex 32)
INTERNAL_TOKEN = $($BIN/gitea generate secret INTERNAL_TOKEN)
PASSWORD_HASH_ALGO = pbkdf2_v2
[service]
DISABLE_REGISTRATION = true
[actions]
ENABLED = true
DEFAULT_ACTIONS_URL = self
[cron.update_checker]
ENABLED = false
[mailer]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
MODE = file
LEVEL = Info
ROOT_PATH = $ROOT/log
I
  fi
  if ! alive $ROOT/gitea.pid 'gitea web'; then
    cd $ROOT; setsid nohup $BIN/gitea web -c $INI >$ROOT/log/gitea.out 2>&1 </dev/null & echo $! > $ROOT/gitea.pid
  fi
  for _ in $(seq 1 240); do curl -fsS -m 2 $API/version >/dev/null 2>&1 && break; alive $ROOT/gitea.pid 'gitea web' || { tail -5 $ROOT/log/gitea.out >&2; exit 1; }; sleep .25; done
  if [ ! -s $ROOT/admin.token ]; then
    openssl rand -hex 16 > $ROOT/admin.password
    $BIN/gitea admin user create -c $INI --admin --username forgeadmin --password "$(cat $ROOT/admin.password)" --email forgeadmin@example.invalid --must-change-password=false >/dev/null 2>&1
    $BIN/gitea admin user generate-access-token -c $INI --username forgeadmin --token-name start --scopes all --raw 2>/dev/null | tail -1 > $ROOT/admin.token
    api POST /user/repos -d '{"name":"demo","auto_init":true,"default_branch":"main","private":true}' >/dev/null
    cat > $ROOT/wf.yml <<'W'
name: rotate
on:
  workflow_dispatch:
    inputs:
      mode: {description: ok or fail, default: ok, type: string}
jobs:
  j:
    runs-on: self-hosted
    steps:
      - env: {S: "${{ secrets.MY_SECRET }}", M: "${{ inputs.mode }}"}
        run: |
          echo "mode=$M secret_sha256=$(printf %s "$S" | sha256sum | cut -c1-16)"
          test "$M" != fail
W
    api POST /repos/forgeadmin/demo/contents/.gitea/workflows/rotate.yml -d "{\"message\":\"wf\",\"branch\":\"main\",\"content\":\"$(base64 -w0 $ROOT/wf.yml)\"}" >/dev/null
  fi
  # runner
  LABELS='"self-hosted:host"'; DH='-'
  if [ "$DOCKER" = 1 ]; then LABELS='"self-hosted:host", "ubuntu-latest:docker://forgebase:1"'; DH="unix://$SOCK"; fi
  # A fetch that the runner gives up loses the task that Gitea has just given it: the run then never ends.
  cat > $ROOT/runner/cfg.yaml <<R
log: {level: info}
runner: {file: .runner, capacity: 8, timeout: 10m, fetch_timeout: 30s, fetch_interval: 1s, fetch_interval_max: 1s, log_report_interval: 1s, log_report_max_latency: 500ms, state_report_interval: 1s, labels: [$LABELS]}
cache: {enabled: false}
host: {workdir_parent: $ROOT/runner/jobs}
container: {docker_host: "$DH", network: host, force_pull: false}
R
  cd $ROOT/runner
  [ -s .runner ] || timeout 60 $BIN/gitea-runner register -c cfg.yaml --no-interactive --instance $URL --name r1 \
      --token "$($BIN/gitea actions generate-runner-token -c $INI 2>/dev/null | tail -1)" >/dev/null 2>&1
  if ! alive $ROOT/runner.pid 'gitea-runner daemon'; then
    setsid nohup $BIN/gitea-runner daemon -c cfg.yaml >$ROOT/log/runner.log 2>&1 </dev/null & echo $! > $ROOT/runner.pid
    for _ in $(seq 1 60); do grep -q 'declare successfully' $ROOT/log/runner.log && break; sleep .25; done
  fi
  cat > $ROOT/env <<V
BASE_URL=$URL
API_URL=$API
ADMIN_USER=forgeadmin
ADMIN_PASSWORD=$(cat $ROOT/admin.password)
ADMIN_TOKEN=$(cat $ROOT/admin.token)
REPOSITORY=forgeadmin/demo
WORKFLOW=rotate.yml
RUNNER_LABELS=self-hosted$([ "$DOCKER" = 1 ] && echo ,ubuntu-latest)
V
  if [ "$DOCKER" = 1 ]; then echo "DOCKER_HOST=unix://$SOCK" >> $ROOT/env; fi
  cat $ROOT/env
}

dispatch(){ # workflow, json -> status/conclusion
  local id st; id=$(api POST "/repos/forgeadmin/demo/actions/workflows/$1/dispatches?return_run_details=true" -d "$2" | jq .workflow_run_id)
  for _ in $(seq 1 240); do st=$(api GET /repos/forgeadmin/demo/actions/runs/$id | jq -r '.status+"/"+(.conclusion//"")'); case $st in completed/*) break;; esac; sleep .5; done
  echo "$1 run $id $st"; }
smoke(){
  api PUT /repos/forgeadmin/demo/actions/secrets/MY_SECRET -d "{\"data\":\"v$RANDOM$RANDOM\"}" -o /dev/null -w 'PUT secret %{http_code}\n'
  dispatch rotate.yml '{"ref":"main","inputs":{"mode":"ok"}}'; dispatch rotate.yml '{"ref":"main","inputs":{"mode":"fail"}}'
  if grep -q ubuntu-latest $ROOT/env; then container_action; dispatch cont.yml '{"ref":"main"}'; fi; }
container_action(){ # an action repository with Dockerfile FROM scratch, and a workflow that uses it in a job container
  [ -d $ROOT/act/.git ] && return 0
  mkdir -p $ROOT/act; cd $ROOT/act
  printf 'module example.invalid/probe\n\ngo 1.26\n' > go.mod
  printf 'package main\n\nimport "os"\n\nfunc main() {\n\tf, err := os.OpenFile(os.Getenv("GITHUB_OUTPUT"), os.O_APPEND|os.O_WRONLY, 0)\n\tif err != nil {\n\t\tpanic(err)\n\t}\n\tf.WriteString("got=" + os.Getenv("INPUT_NAME") + "\\n")\n}\n' > main.go
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o probe .
  printf 'FROM scratch\nCOPY probe /probe\nENTRYPOINT ["/probe"]\n' > Dockerfile
  printf 'name: probe\ndescription: probe\ninputs:\n  name: {description: n, required: true}\noutputs:\n  got: {description: g}\nruns:\n  using: docker\n  image: Dockerfile\n' > action.yml
  git init -q -b main . && git add -A && git -c user.name=forge -c user.email=forge@example.invalid commit -qm init
  api POST /user/repos -d '{"name":"probe","default_branch":"main","private":false}' -o /dev/null
  git push -q "http://forgeadmin:$(cat $ROOT/admin.token)@127.0.0.1:$PORT/forgeadmin/probe.git" main 2>/dev/null
  printf 'name: cont\non: {workflow_dispatch: {}}\njobs:\n  c:\n    runs-on: ubuntu-latest\n    steps:\n      - id: a\n        uses: forgeadmin/probe@main\n        with: {name: bar}\n      - run: test "${{ steps.a.outputs.got }}" = bar\n' > $ROOT/cont.yml
  api POST /repos/forgeadmin/demo/contents/.gitea/workflows/cont.yml -o /dev/null -d "{\"message\":\"wf\",\"branch\":\"main\",\"content\":\"$(base64 -w0 $ROOT/cont.yml)\"}"; }

case ${1:-start} in
  start) start ;;
  build) build ;;
  smoke) smoke ;;
  stop) endpid $ROOT/runner.pid 'gitea-runner daemon'; endpid $ROOT/gitea.pid 'gitea web'; endpid $ROOT/dockerd.pid dockerd; umount $ROOT/docker/exec/netns/default 2>/dev/null || true ;;
  *) echo "start|build|smoke|stop" >&2; exit 2 ;;
esac
