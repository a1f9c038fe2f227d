#!/bin/sh
# After the files are in place. dpkg says "configure" and the version that was
# there before ("" the first time), or "abort-...", where a removal that failed
# is taken back; rpm says how many versions are installed now.
#
# Nothing is enabled or started here: without a queue and a plan the worker
# could only fail. A worker that runs is restarted, which waits until its
# request in hand is safe.
set -e

first=no
case "$1" in
configure) [ -n "$2" ] || first=yes ;;
1) first=yes ;;
esac

if command -v systemd-tmpfiles >/dev/null 2>&1; then
	systemd-tmpfiles --create stillpoint.conf || true
else
	install -d -m 0700 /run/stillpoint /var/lib/stillpoint
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	if [ $first = no ] && ! systemctl try-restart stillpoint.service; then
		# Not an error of the installation: the file may want what the new version no longer takes.
		echo "stillpoint: the worker could not be restarted: see systemctl status stillpoint" >&2
	fi
fi

if [ $first = yes ]; then
	cat <<'END'
stillpoint is installed, and neither enabled nor started. Next:
  1. a user of the database's, with its credentials in /etc/stillpoint/my.cnf, mode 0600
  2. write /etc/stillpoint/stillpoint.yaml: queue_url, topic_arn and a plan (man stillpoint.yaml;
     every key: /usr/share/doc/stillpoint/stillpoint.yaml)
  3. ask what could go wrong, with nothing held: stillpoint doctor
  4. take the first set: stillpoint snapshot PLAN --wait
  5. systemctl enable --now stillpoint
END
fi
