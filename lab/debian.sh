# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Making Debian trees: where packages come from, and mmdebstrap. Sourced after
# lib.sh, never run.

# Find the address this machine itself uses for a suite of its own.
# A "mirror+file:" source names a file that lists addresses.
own_mirror()
{
	local site

	# shellcheck disable=SC2016 # apt expands these
	site=$(apt-get indextargets --format \
		'$(CREATED_BY) $(RELEASE) $(COMPONENT) $(SITE)' |
		awk -v a="$1" -v b="$2" '$1 == "Packages" && $3 == "main" &&
			($2 == a || $2 == b) { print $4; exit }')
	if [[ $site == mirror+file:* ]]; then
		site=$(grep -m1 -o '^[a-z]*:[^[:space:]]*' \
			"/${site#mirror+file:}" || true)
	fi
	echo "${site%/}"
}

sources()
{
	local suite main security name

	suite=$(meta SUITE)
	name=$(os_release VERSION_CODENAME)
	main=$(own_mirror "$name" stable)
	security=$(own_mirror "$name-security" stable-security)
	[[ -n $main ]] ||
		die "this machine's apt sources name no mirror for $name main, so there is nowhere to take $suite from"
	echo "deb $main $suite main"
	echo "deb $main $suite-updates main"
	if [[ -n $security ]]; then
		echo "deb $security $suite-security main"
	else
		warn "this machine's apt sources have no security suite; going on without $suite-security"
	fi
}

# Proxy and certificate settings of this machine's apt, for the tree's apt.
apt_settings()
{
	apt-config dump |
		grep -E '^Acquire::https?::.*(Proxy|CaInfo|Verify-Peer)' || true
}

# Pick mmdebstrap's own stages out of its log.
log_stages()
{
	local line

	while read -r line; do
		[[ $line == "I: "[a-z]*" "*... && $line != *"main()"* ]] &&
			say "  ${line#I: }"
	done
}

# Show them while it runs, in the background. This becomes tail itself, so that
# killing it leaves nobody who holds our output open.
follow_log()
{
	exec tail -n +1 -F "$1" --pid=$$ 2>/dev/null > >(log_stages)
}

# Why did mmdebstrap fail, from its log, in one sentence.
blame_log()
{
	local reason

	if grep -qE 'Could not (resolve|connect)|Failed to fetch|Temporary failure|Unable to connect' "$1"; then
		die "the package mirror cannot be reached (is there a network?); see $1"
	fi
	reason=$(grep -m1 -E '^(E|Err)[: ]' "$1" || true)
	die "making the Debian tree failed (${reason:-no reason given}); see $1"
}

# debian_tree TARGET LOG PACKAGE,PACKAGE... [MMDEBSTRAP OPTION...]
debian_tree()
{
	local target=$1 log=$2 include=$3 line opts=()

	shift 3
	need_packages mmdebstrap debian-archive-keyring
	rm -rf --one-file-system "$target"
	sources >"$LABDIR/sources.list"
	while read -r line; do
		opts+=(--aptopt="$line")
	done < <(apt_settings)

	: >"$log"
	follow_log "$log" 8>&- &
	FOLLOWER=$!
	run_caged mmdebstrap --mode=root --variant=apt \
		--architectures=amd64 --include="$include" \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Languages "none"' \
		--aptopt='Acquire::Retries "3"' "${opts[@]}" \
		--dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' "$@" \
		"$(meta SUITE)" "$target" "$LABDIR/sources.list" \
		>>"$log" 2>&1 </dev/null || blame_log "$log"
	kill "$FOLLOWER" 2>/dev/null || true
	FOLLOWER=''
}
