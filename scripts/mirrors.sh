# Sourced by what fetches Debian packages: mirrors prints where this machine
# gets Debian from, and the mirror for everybody.
mirrors() {
	(
		[ -r /etc/os-release ] && . /etc/os-release
		if [ "${ID:-}" = debian ]; then
			apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 2>/dev/null |
				awk -v release="${VERSION_CODENAME:-}" '$2 == release && $3 == "main" { print $1 }'
		fi
		echo http://deb.debian.org/debian
	) | sed 's:/*$::' | awk '!seen[$0]++'
}
