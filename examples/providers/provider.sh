#!/bin/sh
# A provider for remint (docs/protocol.md), with jq. Its service is a folder, a file for each token; put the calls of yours
# in its place. A secret is never an argument of a program, since others see those: printf is the shell's own.
set -eu
umask 077

IFS= read -r request # one line; the input may never end

ask() { printf '%s\n' "$request" | jq -r "$1"; }

failed() {
	jq -cn --arg kind "$1" --arg message "$2" '{remint: 1, error: {kind: $kind, message: $message}}'
	exit 0
}

store=$(ask '.with.store // ""')
[ "$(ask .kind)" = provider ] || failed unsupported 'this program is a provider'
[ -n "$store" ] || failed config 'say where the tokens are: with: {store: FOLDER}'
mkdir -p "$store" 2>/dev/null || failed config 'the folder of the store cannot be made'

case $(ask .verb) in
check)
	printf '{"remint": 1, "can": ["identify"]}\n'
	;;
mint)
	id=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
	secret=sh_$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
	printf '%s\n%s\n' "$request" "\"$secret\"" |
		jq -cs --arg id "$id" '.[0] as $r | (now | floor) as $now | {token: ({id: $id, name: $r.name, created: ($now | todate)}
			+ if $r.life then {expires: ($now + $r.life | todate)} else {} end), secret: .[1]}' >"$store/.$id"
	mv "$store/.$id" "$store/$id"
	jq -c '{remint: 1} + .' "$store/$id"
	;;
list)
	find "$store" -type f ! -name '.*' -exec cat {} + | jq -cs '{remint: 1, tokens: map(.token)}'
	;;
identify)
	found=$({ printf '%s\n' "$request"; find "$store" -type f ! -name '.*' -exec cat {} +; } |
		jq -cs '.[0].secret as $s | .[1:][] | select(.secret == $s) | {remint: 1, token: .token}')
	[ -n "$found" ] || failed denied 'no live token has this secret'
	printf '%s\n' "$found"
	;;
revoke) # one that is gone already is no error
	id=$(ask .token.id)
	case $id in '' | *[!0-9a-f]*) failed config 'no id of this service' ;; esac
	rm -f "$store/$id"
	printf '{"remint": 1}\n'
	;;
*)
	failed unsupported 'no such verb'
	;;
esac
