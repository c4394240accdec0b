#!/bin/bash
# A real Vault 1.21.0 (build tag minimal) in dev mode, in memory, on loopback only.
# Built as a tool dependency from the Go module proxy (go.mod beside this file; vault/sdk stays at v0.20.0, later ones do not compile with it).
#   vault.sh [start]   build if needed, start, print VAULT_ADDR, VAULT_TOKEN, READ_TOKEN, WRITE_TOKEN, LIMITED_TOKEN
#   vault.sh build     only what takes minutes (3 to 5 on 2 cores, cold)
#   vault.sh stop      end it (by pid); everything stored is gone
# Settings (environment): VAULT_ROOT, VAULT_BIN (folder), VAULT_PORT (the one after it is taken too)
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=${VAULT_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/remint-vault}; BIN=${VAULT_BIN:-$ROOT/bin}; PORT=${VAULT_PORT:-18200}
export VAULT_ADDR=http://127.0.0.1:$PORT
unset VAULT_NAMESPACE VAULT_CACERT VAULT_TOKEN
log(){ echo "[vault] $*" >&2; }
for t in curl jq openssl go; do command -v $t >/dev/null || { log "needs $t"; exit 1; }; done
alive(){ # the server that the pid file names
  [ -s "$ROOT/vault.pid" ] || return 1
  local p; p=$(cat "$ROOT/vault.pid")
  [ -r "/proc/$p/cmdline" ] && tr '\0' ' ' <"/proc/$p/cmdline" | grep -q 'vault server'; }
api(){ local m=$1 p=$2; shift 2; curl -fsS -m 10 -X "$m" -H "@$ROOT/header" "$VAULT_ADDR/v1/$p" "$@"; }

build(){
  mkdir -p "$BIN"
  [ ! -x "$BIN/vault" ] || return 0
  log "building (3 to 5 min on 2 cores, cold)"
  (cd "$HERE" && CGO_ENABLED=0 timeout 1500 go build -tags minimal -trimpath -ldflags '-s -w' -o "$BIN/vault" github.com/hashicorp/vault); }

policy(){ # name, rules as HCL
  api PUT "sys/policies/acl/$1" -d "$(jq -n --arg p "$2" '{policy: $p}')"; }

start(){
  umask 077; mkdir -p "$ROOT"; build
  if ! alive; then
    openssl rand -hex 16 >"$ROOT/admin.token"; printf 'X-Vault-Token: %s\n' "$(cat "$ROOT/admin.token")" >"$ROOT/header"
    VAULT_DEV_ROOT_TOKEN_ID=$(cat "$ROOT/admin.token") setsid nohup "$BIN/vault" server -dev -dev-no-store-token -dev-listen-address=127.0.0.1:"$PORT" >"$ROOT/vault.log" 2>&1 </dev/null &
    echo $! >"$ROOT/vault.pid"
    for _ in $(seq 1 100); do api GET sys/health >/dev/null 2>&1 && break; alive || break; sleep .1; done
    api GET sys/health >/dev/null || { tail -5 "$ROOT/vault.log" >&2; exit 1; }
    # Of one path: a writer, a reader, and one who may do both but not touch metadata. KV version 2 is mounted at secret/.
    policy write-app 'path "secret/data/app/*" { capabilities = ["create","update"] }'
    policy read-app 'path "secret/data/app/*" { capabilities = ["read"] }'
    policy limited-app 'path "secret/data/app/*" { capabilities = ["read","update"] }'
    for p in write read limited; do api POST auth/token/create -d "{\"policies\":[\"$p-app\"],\"ttl\":\"24h\"}" | jq -r .auth.client_token >"$ROOT/$p.token"; done
  fi
  printf 'VAULT_ADDR=%s\nVAULT_TOKEN=%s\nREAD_TOKEN=%s\nWRITE_TOKEN=%s\nLIMITED_TOKEN=%s\n' "$VAULT_ADDR" "$(cat "$ROOT/admin.token")" \
    "$(cat "$ROOT/read.token")" "$(cat "$ROOT/write.token")" "$(cat "$ROOT/limited.token")" | tee "$ROOT/env"
}

stop(){
  alive || { rm -f "$ROOT/vault.pid"; return 0; }
  local p; p=$(cat "$ROOT/vault.pid"); kill -TERM "$p"
  for _ in $(seq 1 60); do kill -0 "$p" 2>/dev/null || break; sleep .25; done
  if kill -0 "$p" 2>/dev/null; then kill -KILL "$p"; fi
  rm -f "$ROOT/vault.pid" "$ROOT"/*.token "$ROOT/header"; log "ended pid $p"
}

case ${1:-start} in
  start) start ;;
  build) build ;;
  stop) stop ;;
  *) echo "start|build|stop" >&2; exit 2 ;;
esac
