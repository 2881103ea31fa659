'use strict';
// node-postgres: named statements, pools, cursors, streams, COPY, notifications.

const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');
const QueryStream = require('pg-query-stream');
const copy = require('pg-copy-streams');
const { pipeline } = require('stream/promises');
const { Readable, Writable } = require('stream');
const { schema, show, run, key, tls, countLocks, sleep, sleeping, raise } = require('./scenario.js');

async function connect(options = {}) {
	const client = new Client({ ssl: tls(), ...options });
	client.on('notice', (n) => show('notice', n.severity, n.code, n.message, n.hint || ''));
	await client.connect();
	return client;
}

function showError(e) {
	show('error', e.severity || '', e.code || '', e.message, e.detail || '', e.constraint || '', e.position || '');
}

async function query(client, sql, values) {
	try {
		for (const r of [].concat(await client.query(sql, values)))
			show(r.command || '', r.rowCount === undefined ? '' : r.rowCount,
				r.fields.map((f) => f.name + ':' + (f.dataTypeID < 16384 ? f.dataTypeID : 'own')), r.rows);
	} catch (e) {
		showError(e);
	}
}

const scenarios = {
	async types(c) {
		await query(c, `create table ${schema}.types (i int, b bigint, n numeric, t text, y bytea, z timestamptz,
			j jsonb, a int[])`);
		const row = [1, '4611686018427387904', '1.50', "å'\\", Buffer.from([0, 1, 255]), '2024-02-29T12:00:00Z',
			{ a: null }, [1, null]];
		for (let i = 0; i < 3; i++)
			await query(c, `insert into ${schema}.types values ($1, $2, $3, $4, $5, $6, $7, $8) returning *`,
				i === 1 ? row.map(() => null) : row);
		for (const zone of ['Asia/Tokyo', 'America/Lima']) {
			await query(c, `set time zone '${zone}'`);
			await query(c, `select z, z::text from ${schema}.types`);
		}
		await query(c, { text: 'select $1::int, $2::bool', values: [7, true], binary: true });
		await query(c, { text: 'select 1, 2', rowMode: 'array' });
	},
	async namedStatements(c) {
		for (let i = 0; i < 40; i++) {
			const k = (i * 3) % 8;
			const r = await c.query({ name: `s${k}`, text: `select $1::int * ${k} as x, '${k}' as k`, values: [i] });
			show(r.rows[0].x === i * k && r.rows[0].k === String(k));
		}
		await query(c, { name: 's1', text: 'select 1', values: [] });
		await query(c, 'deallocate s2');
		await query(c, { name: 's2', text: "select $1::int * 2 as x, '2' as k", values: [1] });
		await query(c, 'begin');
		await query(c, { name: 'inside', text: 'select 1 / $1::int', values: [0] });
		await query(c, { name: 'inside', text: 'select 1 / $1::int', values: [1] });
		await query(c, 'rollback');
		await query(c, { name: 'inside', text: 'select 1 / $1::int', values: [1] });
		await query(c, { name: 'bad', text: 'select nothing' });
		await query(c, { name: 'bad', text: 'select nothing' });
	},
	async altered(c) {
		await query(c, `create table ${schema}.alt (a int); insert into ${schema}.alt values (1)`);
		const star = { name: 'star', text: `select * from ${schema}.alt` };
		await query(c, star);
		await query(c, `alter table ${schema}.alt add column b text default 'new'`);
		await query(c, star);
		await query(c, star);
		await query(c, `drop table ${schema}.alt`);
		await query(c, star);
	},
	async discarded(c) {
		for (const what of ['deallocate all', 'discard all', 'discard plans']) {
			await query(c, { name: 'n' + what, text: 'select $1::int + 1', values: [1] });
			await query(c, what);
			await query(c, { name: 'n' + what, text: 'select $1::int + 1', values: [2] });
			await query(c, 'select $1::int + 1', [3]);
		}
	},
	async errors(c) {
		await query(c, 'selec');
		await query(c, 'select $1::int', ['x']);
		await query(c, `create table ${schema}.uniq (id int primary key)`);
		for (const i of [1, 2, 1])
			await query(c, `insert into ${schema}.uniq values ($1)`, [i]);
		await query(c, 'begin');
		await query(c, 'savepoint a');
		await query(c, `insert into ${schema}.uniq values ($1)`, [1]);
		await query(c, 'select 1');
		await query(c, 'rollback to a');
		await query(c, `insert into ${schema}.uniq values ($1)`, [3]);
		await query(c, 'commit');
		await query(c, `select * from ${schema}.uniq order by 1`);
		await query(c, 'select 1; select 2 as b; select 1 / 0');
		await query(c, 'select 1; select 2 as b; ; select 3');
		await query(c, '');
	},
	async queued(c) {
		// sent one behind the other without waiting for what comes of each
		const all = [];
		for (let i = 0; i < 30; i++)
			all.push(c.query(i % 7 === 3 ? 'select 1 / $1::int' : 'select 10 + $1::int as x', [i % 7 === 3 ? 0 : i])
				.then((r) => r.rows[0], (e) => e.code));
		show(await Promise.all(all));
	},
	async cursors(c) {
		await query(c, 'begin');
		const cursor = c.query(new Cursor('select generate_series(1, $1::int) as g', [20]));
		show(await cursor.read(7), await cursor.read(7), await cursor.read(100), await cursor.read(1));
		await cursor.close();
		const half = c.query(new Cursor('select g from generate_series(1, 1000) g'));
		show(await half.read(3));
		await half.close();
		await query(c, 'commit');
		const bad = c.query(new Cursor('select 10 / (10 - g) from generate_series(1, 20) g'));
		show(await bad.read(5));
		await bad.read(9).catch(showError);
		await bad.close().catch(showError);
		await query(c, "select 'goes on'");
		let sum = 0;
		for await (const row of c.query(new QueryStream('select g from generate_series(1, 5000) g', [], { batchSize: 77 })))
			sum += row.g;
		show(sum);
	},
	async copies(c) {
		await query(c, `create table ${schema}.c (id int, t text)`);
		const lines = function* (line, n) {
			for (let i = 0; i < n; i++)
				yield line;
		};
		const copyIn = (source) => pipeline(Readable.from(source), c.query(copy.from(`copy ${schema}.c from stdin`)));
		await copyIn(lines('1\tone\n', 5000));
		for (const bad of ['1\n', 'x\ty\n']) {
			await copyIn(lines(bad, 3000)).catch(showError);
			await query(c, 'select 1');
		}
		let size = 0;
		const count = () => new Writable({ write: (chunk, _, done) => { size += chunk.length; done(); } });
		await pipeline(c.query(copy.to(`copy ${schema}.c to stdout`)), count());
		show(size);
		await pipeline(c.query(copy.to('copy (select 1 / (3000 - g) from generate_series(1, 9000) g) to stdout')), count())
			.catch(showError);
		await query(c, `select count(*) from ${schema}.c`);
	},
	async cancel(c) {
		const other = await connect();
		for (let i = 0; i < 3; i++) {
			const slept = query(c, sleep);
			while ((await other.query(sleeping)).rows[0].n === 0)
				;
			await other.query(`select pg_cancel_backend(pid) from pg_stat_activity where state = 'active'
				and pid <> pg_backend_pid() and query like '%${schema}-sleeps%'`);
			await slept;
			await query(c, 'select $1::int', [1]);
		}
		await other.end();
	},
	async sessionState(c) {
		await query(c, 'set statement_timeout = 50');
		for (let i = 0; i < 3; i++)
			await query(c, 'select pg_sleep($1)', [5]);
		await query(c, 'reset statement_timeout');
		await query(c, `set search_path = ${schema}`);
		await query(c, 'create table here (id int)');
		await query(c, 'create temporary table mine (id int)');
		for (let i = 0; i < 6; i++) {
			await query(c, 'insert into mine values ($1)', [i]);
			await query(c, 'insert into here values ($1)', [i]);
		}
		await query(c, 'select count(*), (select count(*) from here) from mine');
		await query(c, "select set_config('app.x', $1, false)", ["it's"]);
		await query(c, 'select pg_advisory_lock($1)', [key]);
		for (let i = 0; i < 3; i++) {
			await query(c, 'show app.x');
			await query(c, countLocks);
		}
		await query(c, 'discard all');
		await query(c, countLocks);
		await query(c, "select nullif(current_setting('app.x', true), '')");
		await query(c, 'select count(*) from mine');
	},
	async listenNotify(c) {
		const heard = [];
		c.on('notification', (n) => heard.push([n.channel, n.payload]));
		await query(c, `listen ${schema}`);
		const other = await connect();
		for (let i = 0; i < 3; i++)
			await query(other, 'select pg_notify($1, $2)', [schema, 'n' + i]);
		await other.end();
		for (let i = 0; i < 200 && heard.length < 3; i++)
			await new Promise((go) => setTimeout(go, 20));
		show(heard);
		await query(c, 'unlisten *');
		await query(c, 'select count(*) from pg_listening_channels()');
	},
	async notices(c) {
		await query(c, raise);
		await query(c, `drop table if exists ${schema}.nothing`);
		await query(c, 'commit');
	},
	async isolation(c) {
		for (const level of ['serializable', 'repeatable read read only', 'read committed']) {
			await query(c, 'begin isolation level ' + level);
			await query(c, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')");
			await query(c, `create table ${schema}.never (id int)`);
			await query(c, 'rollback');
		}
	},
	async startupParameters() {
		const c = await connect({ application_name: 'me too', options: '-c work_mem=7MB', statement_timeout: 60,
			idle_in_transaction_session_timeout: 50000, lock_timeout: 3000 });
		for (let i = 0; i < 3; i++)
			await query(c, `select current_setting('work_mem'), current_setting('application_name'),
				current_setting('statement_timeout'), current_setting('lock_timeout')`);
		await query(c, 'select pg_sleep(5)');
		await c.end();
	},
	async pooled() {
		const pool = new Pool({ ssl: tls(), max: 4 });
		const all = [];
		for (let i = 0; i < 40; i++)
			all.push(pool.query({ name: 'p' + (i % 5), text: `select $1::int + ${i % 5} as x`, values: [i] })
				.then((r) => r.rows[0].x === i + (i % 5)));
		show((await Promise.all(all)).every((ok) => ok));
		await pool.end();
	},
	async large(c) {
		const r = await c.query("select $1::text as x, repeat('y', 1000000) as y", ['x'.repeat(1000000)]);
		show(r.rows[0].x.length, r.rows[0].y.length);
		const rows = (await c.query('select g, md5(g::text) from generate_series(1, $1::int) g', [10000])).rows;
		show(rows.length, rows[9999]);
		const bytes = Buffer.alloc(1000000, 7);
		show((await c.query('select $1::bytea as y', [bytes])).rows[0].y.equals(bytes));
	},
};

run(scenarios, connect, (c) => c.end());
