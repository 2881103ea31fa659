#!/usr/bin/perl
# DBD::Pg: statements prepared at the server and given back by DEALLOCATE, COPY, asynchronous queries, cancel.
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:pg_types :async);
use Time::HiRes qw(sleep);

my $schema = shift or die "usage: dbd_pg_scenarios.pl SCHEMA\n";
my $key = unpack('%24C*', $schema) * 7919;
my $sleep = "select /* $schema-sleeps */ pg_sleep(10)";
my $sleeping = "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()"
	. " and query like '%$schema-sleeps%'";
$| = 1;
binmode STDOUT, ':utf8';

sub show { print join(' ', map { !defined $_ ? 'null' : ref $_ ? '[' . join(', ', map { $_ // 'null' } @$_) . ']' : $_ } @_), "\n" }

sub connection {
	my %options = @_;
	local $SIG{__WARN__} = sub { };
	my $db = DBI->connect('dbi:Pg:' . ($options{dsn} // ''), '', '',
		{ AutoCommit => 1, RaiseError => 0, PrintError => 0, PrintWarn => 1, pg_enable_utf8 => 1, %options }) or die $DBI::errstr;
	return $db;
}

# DBD::Pg names its statements after its process.
sub failure {
	my $h = shift;
	my ($line) = split /\n/, $h->errstr // '';
	$line =~ s/dbdpg_p\d+/dbdpg_pN/g;
	show('error', $h->state, $line);
}

sub rows {
	my ($h) = @_;
	return show('count', $h->rows) unless $h->{NUM_OF_FIELDS};
	show($h->rows, join ',', @{ $h->{NAME} });
	while (my $row = $h->fetchrow_arrayref) { show('  ', [map { ref $_ ? '{' . join(',', map { $_ // 'null' } @$_) . '}' : $_ } @$row]) }
}

sub query {
	my ($db, $sql, @values) = @_;
	my $h = eval { $db->prepare($sql) } or return failure($db);
	$h->execute(@values) or return failure($h);
	rows($h);
}

my @scenarios = (
	types => sub {
		my $db = shift;
		query($db, "create table $schema.types (i int, n numeric, t text, y bytea, z timestamptz, a text[], o bool)");
		my $h = $db->prepare("insert into $schema.types values (?, ?, ?, ?, ?, ?, ?) returning *");
		$h->bind_param(4, undef, { pg_type => PG_BYTEA });
		for my $i (1 .. 3) {
			$h->execute($i, '1.50', "\x{e5}'\\", "\0\1\xff", '2024-02-29 12:00+00', ['x', undef], $i % 2) or failure($h);
			my $row = $h->fetchrow_arrayref;
			show(@$row[0 .. 2], length $row->[3], @$row[4 .. 6]);
		}
		for my $zone ('Asia/Tokyo', 'America/Lima') {
			query($db, "set time zone '$zone'");
			query($db, "select z, z::text from $schema.types where i < ?", 3);
		}
		show(map { $_->{COLUMN_NAME} . ' ' . $_->{TYPE_NAME} } @{ $db->column_info(undef, $schema, 'types', '%')->fetchall_arrayref({}) });
	},
	statements => sub {
		my $db = shift;
		my @h = map { $db->prepare("select ?::int * $_, '$_'") } 0 .. 7;
		for my $i (0 .. 59) {
			my $k = $i * 3 % 8;
			$db->begin_work if $i % 3 == 0;
			$h[$k]->execute($i) or failure($h[$k]);
			my ($x, $what) = $h[$k]->fetchrow_array;
			show("wrong $i $x") if $x != $i * $k || $what != $k;
			$db->commit if $i % 3 == 0;
		}
		undef $h[3];
		query($db, "select 'after a DEALLOCATE'");
		$h[3] = $db->prepare("select ?::text || '!'");
		for my $i (1 .. 4) { $h[3]->execute($i); rows($h[3]) }
		query($db, "select 1 / ?::int", $_) for 1, 0, 2;
	},
	prepared_now => sub {
		my $db = shift;
		$db->{pg_prepare_now} = 1;
		for my $i (1 .. 4) {
			query($db, "select ?::int + $i", $i);
			query($db, 'select nothing');
		}
		$db->{pg_prepare_now} = 0;
		$db->{pg_server_prepare} = 0;
		query($db, 'select ?::int', $_) for 1 .. 3;
	},
	altered => sub {
		my $db = shift;
		query($db, "create table $schema.alt (a int)");
		query($db, "insert into $schema.alt values (?)", 1);
		my $h = $db->prepare("select * from $schema.alt where a = ?");
		$h->execute(1), rows($h) for 1 .. 2;
		query($db, "alter table $schema.alt add column b text default 'new'");
		$h->execute(1) ? rows($h) : failure($h) for 1 .. 2;
	},
	discarded => sub {
		my $db = shift;
		for my $what ('deallocate all', 'discard all', 'discard plans') {
			my $h = $db->prepare('select ?::int + 100');
			$h->execute($_), rows($h) for 1 .. 2;
			query($db, $what);
			$h->execute(3) ? rows($h) : failure($h);
			query($db, 'select ?::int + 100', 4);
		}
	},
	transactions => sub {
		my $db = shift;
		query($db, "create table $schema.uniq (id int primary key)");
		query($db, "insert into $schema.uniq values (?)", $_) for 1, 2, 1;
		$db->begin_work;
		query($db, "insert into $schema.uniq values (?)", 3);
		$db->pg_savepoint('a');
		query($db, "insert into $schema.uniq values (?)", 3);
		query($db, 'select 1');
		$db->pg_rollback_to('a');
		query($db, "insert into $schema.uniq values (?)", 4);
		$db->pg_release('a');
		$db->commit;
		$db->begin_work;
		query($db, 'select 1 / 0');
		show($db->ping, $db->{pg_INV_READ} // '', $db->state);
		$db->rollback;
		show($db->ping);
		query($db, "select * from $schema.uniq order by 1");
		show($db->do('select 1; select 2'), $db->do('') // 'undef');
	},
	batches => sub {
		my $db = shift;
		query($db, "create table $schema.many (id int primary key, t text)");
		my $h = $db->prepare("insert into $schema.many values (?, ?)");
		for my $first (0, 150) {
			my @status;
			my $n = $h->execute_array({ ArrayTupleStatus => \@status }, [$first .. $first + 199], 'x');
			show($n // 'failed', scalar(grep { ref } @status));
		}
		query($db, "select count(*), sum(id) from $schema.many");
	},
	copies => sub {
		my $db = shift;
		query($db, "create table $schema.c (id int, t text)");
		for my $line ("1\tone\n", "1\n", "x\ty\n") {
			$db->do("copy $schema.c from stdin");
			for (1 .. 2000) { $db->pg_putcopydata($line) or last }
			$db->pg_putcopyend or failure($db);
			query($db, 'select 1');
		}
		my ($n, $line) = (0, '');
		$db->do("copy $schema.c to stdout");
		$n += length $line while $db->pg_getcopydata($line) >= 0;
		show($n);
		query($db, "select count(*) from $schema.c");
	},
	asynchronous => sub {
		my $db = shift;
		my $other = connection();
		for my $i (1 .. 3) {
			$db->do($sleep, { pg_async => PG_ASYNC });
			1 until ($other->selectrow_array($sleeping))[0] > 0;
			show('ready', $db->pg_ready ? 1 : 0, 'cancelled', $db->pg_cancel ? 1 : 0);
			query($db, 'select ?::int', $i);
			my $h = $db->prepare('select generate_series(1, ?::int)', { pg_async => PG_ASYNC });
			$h->execute(3);
			sleep 0.01 until $h->pg_ready;
			show($h->pg_result);
			rows($h);
		}
		$other->disconnect;
	},
	session_state => sub {
		my $db = shift;
		query($db, 'set statement_timeout = 50');
		query($db, 'select pg_sleep(?)', 5) for 1 .. 3;
		query($db, 'reset statement_timeout');
		query($db, "set search_path = $schema");
		query($db, 'create table here (id int)');
		query($db, 'create temporary table mine (id int)');
		query($db, 'insert into mine values (1)'), query($db, 'insert into here values (?)', $_) for 1 .. 6;
		query($db, 'select count(*), (select count(*) from here) from mine');
		query($db, "select set_config('app.x', ?, false)", "it's");
		query($db, "select pg_advisory_lock($key)");
		query($db, 'show app.x'), query($db, "select count(*) from pg_locks where locktype = 'advisory' and objid = $key") for 1 .. 3;
		query($db, "select pg_advisory_unlock($key)");
		query($db, "declare kept cursor with hold for select generate_series(1, 6)");
		query($db, 'fetch 2 from kept') for 1 .. 3;
		query($db, 'discard all');
		query($db, 'fetch 2 from kept');
		query($db, 'select count(*) from mine');
	},
	listen_notify => sub {
		my $db = shift;
		query($db, "listen $schema");
		my $other = connection();
		query($other, 'select pg_notify(?, ?)', $schema, "n$_") for 1 .. 3;
		$other->disconnect;
		my @heard;
		for (1 .. 200) {
			while (my $n = $db->pg_notifies) { push @heard, "$n->[0] $n->[2]" }
			last if @heard >= 3;
			sleep 0.02;
		}
		show(\@heard);
		query($db, 'unlisten *');
	},
	notices => sub {
		my $db = shift;
		local $SIG{__WARN__} = sub { my $text = shift; $text =~ s/ at \S+ line.*//s; show('warning', $text) };
		query($db, "do \$\$ begin raise notice 'first'; raise warning 'second'; end \$\$");
		query($db, "drop table if exists $schema.nothing");
	},
	startup_parameters => sub {
		my $db = connection(dsn => "application_name=me;options='-c work_mem=7MB -c geqo=off'");
		query($db, "select current_setting('work_mem'), current_setting('geqo'), current_setting('application_name')") for 1 .. 3;
		show($db->{pg_default_port} ? 'port' : '', $db->{pg_protocol}, $db->{pg_server_version}, $db->{pg_user}, $db->{pg_errorlevel});
		$db->disconnect;
	},
	large => sub {
		my $db = shift;
		my $h = $db->prepare('select ?::text, repeat(?, 1000000)');
		for (1 .. 3) { $h->execute('x' x 1000000, 'y'); show(map { length } $h->fetchrow_array) }
		my $all = $db->selectall_arrayref('select g, md5(g::text) from generate_series(1, ?::int) g', undef, 10000);
		show(scalar @$all, $all->[-1]);
	},
);

while (my ($name, $scenario) = splice @scenarios, 0, 2) {
	show('==', $name);
	my $db = connection();
	eval { $scenario->($db); 1 } or show('!!', $@);
	$db->disconnect;
}
