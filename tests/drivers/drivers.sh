# What tests/drivers/run knows of each driver: how to find it, how to build its program, how to run it.
#
# prepare_NAME sets $command, which takes the schema to work in as its last argument, or fails; if it
# says why in $absent, the driver is not there and is skipped. New: one function and one word here.

all_drivers="libpq psycopg2"

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
