# What tests/drivers/run knows of each driver: how to find it, how to build its program, how to run it.
#
# prepare_NAME sets $command, which takes the schema to work in as its last argument, or fails; if it
# says why in $absent, the driver is not there and is skipped. New: one function and one word here.

all_drivers="libpq psycopg2 psycopg asyncpg sqlalchemy node_pg postgresjs jdbc dbd_pg pgx pq ruby_pg php odbc"

# Debian's own, where Debian's packages are; not one from elsewhere in the PATH.
python=/usr/bin/python3

is_absent() { # package
	absent="$1 is not installed"
	return 1
}

prepare_libpq() {
	command=$build/tests/drivers/libpq_scenarios
}

python_program() { # module, package
	command="$python -B $here/${driver}_scenarios.py"
	"$python" -c "import $1" || is_absent "$2"
}

prepare_psycopg2() { python_program psycopg2 python3-psycopg2; }
prepare_psycopg() { python_program psycopg python3-psycopg; }
prepare_asyncpg() { python_program asyncpg python3-asyncpg; }
prepare_sqlalchemy() {
	python_program psycopg2 python3-psycopg2 && python_program asyncpg python3-asyncpg &&
		python_program sqlalchemy python3-sqlalchemy
}

# From npm, by the versions of the lock file, once; away from the source tree.
node_program() {
	command -v npm >/dev/null && command -v node >/dev/null || is_absent npm || return
	mkdir -p "$workshop/npm"
	if ! cmp -s "$here/npm/package-lock.json" "$workshop/npm/installed"; then
		cp "$here/npm/package.json" "$here/npm/package-lock.json" "$workshop/npm"
		(cd "$workshop/npm" && npm ci --no-audit --no-fund) || is_absent "what npm has" || return
		cp "$here/npm/package-lock.json" "$workshop/npm/installed"
	fi
	command="env NODE_PATH=$workshop/npm/node_modules node $here/${driver}_scenarios.js"
}

prepare_node_pg() { node_program; }
prepare_postgresjs() { node_program; }

prepare_jdbc() {
	jar=/usr/share/java/postgresql.jar
	[ -e "$jar" ] || is_absent libpostgresql-jdbc-java || return
	command -v javac >/dev/null || is_absent default-jdk-headless || return
	javac -encoding UTF-8 -cp "$jar" -d "$workshop/java" "$here/JdbcScenarios.java" || return
	command="java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -cp $workshop/java:$jar:/usr/share/java/scram-client.jar:/usr/share/java/scram-common.jar JdbcScenarios"
}

prepare_dbd_pg() {
	command="/usr/bin/perl $here/dbd_pg_scenarios.pl"
	/usr/bin/perl -MDBD::Pg -e 1 || is_absent libdbd-pg-perl
}

go_program() { # directory below Debian's Go sources, package
	command -v go >/dev/null || is_absent golang-go || return
	[ -d "/usr/share/gocode/src/$1" ] || is_absent "$2" || return
	command=$workshop/with_$driver
	env GOPATH=/usr/share/gocode GO111MODULE=off GOFLAGS= GOCACHE="$workshop/go-cache" \
		go build -o "$command" "$here/with_$driver.go"
}

prepare_pgx() { go_program github.com/jackc/pgx/v4 golang-github-jackc-pgx-v4-dev; }
prepare_pq() { go_program github.com/lib/pq golang-github-lib-pq-dev; }

prepare_ruby_pg() {
	command="/usr/bin/ruby $here/ruby_pg_scenarios.rb"
	/usr/bin/ruby -rpg -e 1 || is_absent ruby-pg
}

prepare_php() {
	command="/usr/bin/php $here/php_scenarios.php"
	/usr/bin/php -r 'exit(extension_loaded("pdo_pgsql") && extension_loaded("pgsql") ? 0 : 1);' || is_absent php-pgsql
}

prepare_odbc() {
	library=$(ls /usr/lib/*/odbc/psqlodbcw.so) || is_absent odbc-postgresql || return
	python_program pyodbc python3-pyodbc || return
	command="env PSQLODBC=$library $command"
}
