# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script of the lab shares: messages, root rights, checks of the
# machine, children that do not outlive us. Sourced, never run.

set -euo pipefail

TOP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$TOP/build
LABDIR=$BUILD/lab
ROOT=$LABDIR/root
# Present in a finished root only, as its last file.
ROOT_MARK=etc/kvm-xen-lab

# Scripts started by other scripts count from the first one's start.
export LAB_T0=${LAB_T0:-$EPOCHSECONDS}

say()
{
	printf '[%4ds] %s\n' $((EPOCHSECONDS - LAB_T0)) "$*"
}

warn()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# One sentence and exit status 2: the machine or the request is wrong.
die()
{
	warn "$*"
	exit 2
}

# Value of a key of META.
meta()
{
	sed -n "s/^$1=//p" "$TOP/META"
}

inside_root()
{
	[[ -e /$ROOT_MARK ]]
}

# What the caller may set in the environment and sudo must not drop.
PASS_VARS=(TERM V SAN HOST T STOCK REFRESH LONG)

# List NAME=VALUE of every variable that crosses into root's environment.
passed_env()
{
	local v

	for v in "${PASS_VARS[@]}" "${!LAB_@}"; do
		[[ -n ${!v+x} ]] && printf '%s\0' "$v=${!v}"
	done
	return 0
}

# Go on as root: run the calling script again through sudo when needed.
# Call as: need_root "$@"
need_root()
{
	local vars=()

	[[ $EUID -eq 0 ]] && return
	command -v sudo >/dev/null ||
		die "this needs root; run it as root or install sudo"
	sudo -n true 2>/dev/null || [[ -t 0 ]] ||
		die "this needs root, and sudo wants a password but there is no terminal to ask on"
	mapfile -d '' -t vars < <(passed_env)
	exec sudo -- env "${vars[@]}" "$(realpath -- "$0")" "$@"
}

# Called through sudo: what we made belongs to the caller, not to root.
give_back()
{
	[[ -n ${SUDO_UID:-} && -d $BUILD ]] || return 0
	# shellcheck disable=SC2153 # sudo sets both
	find "$BUILD" -xdev -path "$ROOT*" -prune -o -user 0 \
		-exec chown -h "$SUDO_UID:$SUDO_GID" {} + 2>/dev/null || true
}

# Value of a key of this machine's os-release.
os_release()
{
	sed -n "s/^$1=\"\{0,1\}\([^\"]*\).*/\1/p" /etc/os-release 2>/dev/null ||
		true
}

check_machine()
{
	local id version

	id=$(os_release ID)
	version=$(os_release VERSION_ID)
	[[ $id == debian && ($version == 12 || $version == 13) ]] ||
		die "this machine runs ${id:-an unknown system} ${version}; the lab needs Debian 12 or 13"
	[[ $(dpkg --print-architecture) == amd64 ]] ||
		die "this machine is $(dpkg --print-architecture); the lab needs amd64"
}

# check_host NAME: refuse a host that lab/hosts.py does not have.
check_host()
{
	local known

	known=$(sed -n 's/^    Host("\([^"]*\)".*/\1/p' "$TOP/lab/hosts.py")
	grep -qxF -e "$1" <<<"$known" ||
		die "unknown host $1; known: ${known//$'\n'/, }"
}

# need_space MIB WHAT: refuse to start what would fill the disk.
need_space()
{
	local free

	mkdir -p "$LABDIR"
	free=$(($(stat -f -c '%a * %S' "$LABDIR") / 1024 / 1024))
	((free >= $1)) ||
		die "$2 needs $1 MiB in $LABDIR, and only $free MiB are free"
}

# need_packages PACKAGE...: install on this machine what is missing.
need_packages()
{
	local p missing=()

	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || missing+=("$p")
	done
	((${#missing[@]})) || return 0
	say "Installing ${missing[*]}"
	mkdir -p "$LABDIR"
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	if ! { apt-get install -y --no-install-recommends "${missing[@]}" ||
	       { apt-get update &&
		 apt-get install -y --no-install-recommends "${missing[@]}"; }
	     } >"$LABDIR/apt.log" 2>&1 </dev/null; then
		die "cannot install ${missing[*]} (no network?); see $LABDIR/apt.log"
	fi
}

# take_lock FILE WHAT: only one run at a time does WHAT. Held until we exit;
# children must not inherit it (run_child closes it).
take_lock()
{
	mkdir -p "$(dirname "$1")"
	exec 8>"$1"
	flock -n 8 && return
	say "Waiting for another run to finish $2"
	flock 8
}

# A signal ends us at once, through the EXIT trap.
trap_signals()
{
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
}

CHILD='' CHILD_SIGNAL='' FOLLOWER=''

# For EXIT traps: what we started goes before we go.
end_children()
{
	if [[ -n $CHILD ]]; then
		kill -"$CHILD_SIGNAL" "$CHILD" 2>/dev/null || true
		wait "$CHILD" 2>/dev/null || true
	fi
	[[ -z $FOLLOWER ]] || kill "$FOLLOWER" 2>/dev/null || true
}

# start_child SIGNAL COMMAND...: run a command that gets SIGNAL when we die,
# however we die, and during which signals reach us at once. SIGINT is default
# again in it: bash ignores that signal in what it starts in the background.
start_child()
{
	local rc=0

	CHILD_SIGNAL=$1
	shift
	env --default-signal=INT,QUIT \
		setpriv --pdeathsig "$CHILD_SIGNAL" -- "$@" <&0 8>&- &
	CHILD=$!
	wait "$CHILD" || rc=$?
	CHILD=''
	return "$rc"
}

# Another script of the lab, which cleans up after itself.
run_child()
{
	start_child TERM "$@"
}

# Any command, in PID and mount namespaces of its own: nothing it starts
# stays, and no mount of its shows outside.
run_caged()
{
	start_child KILL unshare --mount --pid --fork --kill-child=KILL \
		--mount-proc -- "$@"
}
