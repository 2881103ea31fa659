<?php
// PHP: PDO with statements prepared at the server, which it gives back by DEALLOCATE, and the functions pg_*.
$schema = $argv[1];
$key = crc32($schema) % 1000003;

function show(...$what) {
	echo implode(' ', array_map(fn($w) => is_string($w) ? $w : json_encode($w), $what)), "\n";
}

function pdo($options = []) {
	$names = ['host' => 'PGHOST', 'port' => 'PGPORT', 'dbname' => 'PGDATABASE', 'user' => 'PGUSER'];
	$dsn = 'pgsql:' . implode(';', array_map(fn($n, $v) => "$n=" . getenv($v), array_keys($names), $names));
	return new PDO($dsn, null, null, $options + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => false]);
}

// The names of statements are made of addresses.
function failure($e) {
	$message = $e instanceof PDOException ? $e->errorInfo[0] . ' ' . $e->errorInfo[2] : $e->getMessage();
	show('error', preg_replace(['/pdo_stmt_[0-9a-f]+/', '/\n.*/s'], ['pdo_stmt_N', ''], $message));
}

function rows($s) {
	while ($s->columnCount() > 0 && ($row = $s->fetch(PDO::FETCH_NUM)) !== false)
		show('  ', array_map(fn($v) => is_resource($v) ? bin2hex(stream_get_contents($v)) : $v, $row));
	show('count', $s->rowCount());
}

function query($db, $sql, ...$values) {
	try {
		$s = $db->prepare($sql);
		$s->execute($values);
		rows($s);
	} catch (PDOException $e) {
		failure($e);
	}
}

function simple($db, $sql) {
	try {
		show($db->exec($sql));
	} catch (PDOException $e) {
		failure($e);
	}
}

function result($db, $r) {
	if ($r === false)
		return show('error', explode("\n", pg_last_error($db))[0]);
	show(pg_result_status($r), pg_result_status($r, PGSQL_STATUS_STRING), pg_fetch_all($r, PGSQL_NUM));
}

$scenarios = [
	'types' => function ($db) use ($schema) {
		simple($db, "create table $schema.types (i int, n numeric, t text, y bytea, z timestamptz, o bool)");
		$s = $db->prepare("insert into $schema.types values (?, ?, ?, ?, ?, ?) returning *");
		for ($i = 0; $i < 3; $i++) {
			foreach ([$i, '1.50', "å'\\", "\0\1\xff", '2024-02-29 12:00+00', $i === 1] as $k => $v)
				$s->bindValue($k + 1, $v, $k === 3 ? PDO::PARAM_LOB : ($k === 5 ? PDO::PARAM_BOOL : PDO::PARAM_STR));
			$s->execute();
			rows($s);
		}
		foreach (['Asia/Tokyo', 'America/Lima'] as $zone) {
			simple($db, "set time zone '$zone'");
			query($db, "select z, n from $schema.types where i = ?", 1);
		}
	},
	'statements' => function ($db) {
		for ($k = 0; $k < 6; $k++)
			$s[$k] = $db->prepare("select ?::int * $k");
		for ($i = 0; $i < 60; $i++) {
			$k = $i * 5 % 6;
			if ($i % 3 === 0)
				$db->beginTransaction();
			$s[$k]->execute([$i]);
			if ((int)$s[$k]->fetchColumn() !== $i * $k)
				show('wrong', $i);
			if ($i % 3 === 0)
				$db->commit();
			if ($i % 7 === 0)
				query($db, "select ?::text || 'made and given back'", (string)$i);
		}
		unset($s[2]);
		query($db, 'select 1 / ?::int', 0);
		query($db, 'select 1 / ?::int', 1);
	},
	'altered' => function ($db) use ($schema) {
		simple($db, "create table $schema.alt (a int); insert into $schema.alt values (1)");
		$s = $db->prepare("select * from $schema.alt");
		for ($i = 0; $i < 4; $i++) {
			try {
				$s->execute();
				rows($s);
			} catch (PDOException $e) {
				failure($e);
			}
			if ($i === 1)
				simple($db, "alter table $schema.alt add column b text default 'new'");
		}
	},
	'discarded' => function ($db) {
		foreach (['deallocate all', 'discard all', 'discard plans'] as $what) {
			$s = $db->prepare('select ?::int + 100');
			$s->execute([1]);
			rows($s);
			simple($db, $what);
			try {
				$s->execute([2]);
				rows($s);
			} catch (PDOException $e) {
				failure($e);
			}
			query($db, 'select ?::int + 100', 3);
		}
	},
	'transactions' => function ($db) use ($schema) {
		simple($db, "create table $schema.uniq (id int primary key)");
		foreach ([1, 2, 1] as $i)
			query($db, "insert into $schema.uniq values (?)", $i);
		$db->beginTransaction();
		query($db, "insert into $schema.uniq values (?)", 3);
		simple($db, 'savepoint a');
		query($db, "insert into $schema.uniq values (?)", 3);
		query($db, 'select ?::int', 1);
		simple($db, 'rollback to a');
		show($db->inTransaction());
		$db->commit();
		query($db, "select * from $schema.uniq order by 1");
		simple($db, 'select 1; select 2');
		simple($db, 'selec');
	},
	'copies' => function ($db) use ($schema) {
		simple($db, "create table $schema.c (id int, t text)");
		foreach (["1\tone", '1', "x\ty"] as $line)
			try {
				show($db->pgsqlCopyFromArray("$schema.c", array_fill(0, 2000, $line)));
			} catch (PDOException $e) {
				failure($e);
			}
		show(count($db->pgsqlCopyToArray("$schema.c")));
	},
	'emulated' => function ($_) {
		$db = pdo([PDO::ATTR_EMULATE_PREPARES => true]);
		for ($i = 0; $i < 4; $i++)
			query($db, 'select ?::int + 1', $i);
		$db = pdo([PDO::PGSQL_ATTR_DISABLE_PREPARES => true]);
		for ($i = 0; $i < 4; $i++)
			query($db, 'select ?::int + 1', $i);
	},
	'scrolling' => function ($db) {
		$db->beginTransaction();
		$s = $db->prepare('select generate_series(1, ?::int)', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
		$s->execute([9]);
		show($s->fetchColumn(), $s->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_LAST), $s->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_PRIOR));
		$s = null;
		$db->commit();
	},
	'session_state' => function ($db) use ($schema, $key) {
		simple($db, 'set statement_timeout = 50');
		for ($i = 0; $i < 3; $i++)
			query($db, 'select pg_sleep(?)', 5);
		simple($db, 'reset statement_timeout');
		simple($db, "set search_path = $schema");
		simple($db, 'create table here (id int)');
		simple($db, 'create temporary table mine (id int)');
		for ($i = 0; $i < 6; $i++) {
			query($db, 'insert into mine values (?)', $i);
			query($db, 'insert into here values (?)', $i);
		}
		query($db, 'select count(*), (select count(*) from here) from mine');
		query($db, "select set_config('app.x', ?, false)", "it's");
		query($db, "select pg_advisory_lock($key)");
		for ($i = 0; $i < 3; $i++) {
			query($db, 'show app.x');
			query($db, "select count(*) from pg_locks where locktype = 'advisory' and objid = $key");
		}
		query($db, "select pg_advisory_unlock($key)");
	},
	'listen_notify' => function ($db) use ($schema) {
		simple($db, "listen $schema");
		$other = pdo();
		for ($i = 0; $i < 3; $i++)
			query($other, 'select pg_notify(?, ?)', $schema, "n$i");
		for ($i = 0; $i < 3; $i++) {
			$n = $db->pgsqlGetNotify(PDO::FETCH_ASSOC, 5000);
			show($n ? $n['message'] . ' ' . $n['payload'] : 'nothing came');
		}
		simple($db, 'unlisten *');
	},
	'pg_functions' => function ($_) use ($schema) {
		$db = pg_connect("application_name=me options='-c work_mem=7MB'");
		result($db, pg_query($db, "create table $schema.f (id int primary key, t text)"));
		result($db, @pg_prepare($db, 'ins', "insert into $schema.f values (\$1, \$2) returning *"));
		foreach ([1, 2, 1, 3] as $i)
			result($db, @pg_execute($db, 'ins', [$i, "t$i"]));
		result($db, @pg_prepare($db, 'ins', 'select 1'));
		result($db, @pg_query_params($db, 'select $1::int, current_setting($2)', [7, 'work_mem']));
		result($db, @pg_query($db, 'select 1; select 2'));
		result($db, @pg_query($db, ''));
		show(@pg_copy_from($db, "$schema.f", ["10\tx\n", "11\t\\\\N\n"]));
		show(@pg_copy_from($db, "$schema.f", ["10\tx\n"]), explode("\n", pg_last_error($db))[0]);
		show(pg_copy_to($db, "$schema.f"));
		show(pg_insert($db, "$schema.f", ['id' => 20, 't' => 'inserted']) !== false);
		show(pg_select($db, "$schema.f", ['id' => 20]));
		pg_send_query($db, "do $$ begin raise notice 'noticed'; end $$");
		result($db, pg_get_result($db));
		show(pg_last_notice($db));
		pg_send_execute($db, 'ins', [30, 'sent']);
		result($db, pg_get_result($db));
		pg_send_query($db, 'select pg_sleep(10)');
		show(pg_cancel_query($db));
		for ($i = 0; $i < 3; $i++)
			result($db, pg_query_params($db, "select current_setting('work_mem'), current_setting('application_name'), $1::int", [$i]));
		show(pg_parameter_status($db, 'application_name'), pg_transaction_status($db));
		pg_close($db);
	},
	'large' => function ($db) {
		$s = $db->prepare("select ?::text, repeat('y', 1000000)");
		$s->execute([str_repeat('x', 1000000)]);
		show(array_map('strlen', $s->fetch(PDO::FETCH_NUM)));
		show(count($db->query('select g, md5(g::text) from generate_series(1, 10000) g')->fetchAll()));
	},
];
foreach ($scenarios as $name => $scenario) {
	show('==', $name);
	try {
		$scenario(pdo());
	} catch (Throwable $e) {
		show('!!', get_class($e), $e->getMessage());
	}
}
