# shellcheck shell=sh
# For the scripts beside this folder, which source it: PostgreSQL from pinned Debian packages,
# unpacked and run in a temporary folder. Nothing is installed; what the packages depend on must be
# there (contrib/install-deps).
#
# The version is what Debian 12 serves at the time of writing. Debian drops a version when it serves
# a newer one; then, or to look at another one, after `apt-get update`:
#
#   apt-cache madison postgresql-15
#   POSTGRESQL=15.18-0+deb12u1 findings/NAME.sh
#
# The exit status of a finding: 0 it is as described, 1 it is no longer so, 2 it could not be tried.
set -u
version=${POSTGRESQL:-15.20-0+deb12u1}
major=${version%%.*}
dir=$(mktemp -d "${TMPDIR:-/tmp}/finding.XXXXXX") || exit 2
as_owner=
helpers=
# shellcheck disable=SC2034 # what sources this ends with it
changed=0

give_up() {
	echo "not tried: $1" >&2
	tail -n 20 "$dir/said" >&2
	exit 2
}

# shellcheck disable=SC2086 # lists of words, empty ones too
cleanup() {
	cd /
	[ -z "$helpers" ] || kill $helpers 2>/dev/null
	[ ! -f "$dir/data/postmaster.pid" ] ||
		$as_owner "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 2' HUP INT TERM

# PostgreSQL refuses root.
if [ "$(id -u)" -eq 0 ]; then
	as_owner="setpriv --reuid=postgres --regid=postgres --init-groups"
	chown postgres "$dir" || exit 2
fi
cd "$dir" || exit 2

for package in "libpq5" "postgresql-client-$major" "postgresql-$major"; do
	$as_owner apt-get -q download "$package=$version" >said 2>&1 ||
		give_up "apt-get download $package=$version"
	$as_owner dpkg -x "${package}_"*.deb unpacked >said 2>&1 || give_up "dpkg -x of $package"
done
bin=$dir/unpacked/usr/lib/postgresql/$major/bin
libraries=$(echo "$dir"/unpacked/usr/lib/*/libpq.so.5)
LD_LIBRARY_PATH=${libraries%/*}
PGHOST=$dir PGPORT=5432 PGUSER=owner PGDATABASE=postgres
export LD_LIBRARY_PATH PGHOST PGPORT PGUSER PGDATABASE

$as_owner "$bin/initdb" -D data -U "$PGUSER" -A trust --locale=C --no-sync >said 2>&1 ||
	give_up initdb
$as_owner "$bin/pg_ctl" -D data -w -l log -o "-c listen_addresses= -k $dir -F" start >said 2>&1 || {
	cat log >>said
	give_up "starting PostgreSQL"
}

ask() { # query; prints what is answered, bare
	"$bin/psql" -XAtq -v ON_ERROR_STOP=1 -c "$1"
}

# The server must be the one unpacked, not one that is installed.
case $(ask "SELECT version()") in
*"$version)"*) echo "PostgreSQL $version" ;;
*) give_up "PostgreSQL is not $version" ;;
esac
