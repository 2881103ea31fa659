# ruby-pg: parameters, statements, pipelines, COPY, asynchronous queries, notifications.
require 'pg'
require 'zlib'

$stdout.sync = true
SCHEMA = ARGV.fetch(0)
KEY = Zlib.crc32(SCHEMA)
SLEEP = "select /* #{SCHEMA}-sleeps */ pg_sleep(10)"
SLEEPING = "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() " \
	"and query like '%#{SCHEMA}-sleeps%'"

def show(*what) = puts(what.map { |w| w.is_a?(String) ? w : w.inspect }.join(' '))

def connect(options = '')
	# without a host it looks for a socket of its own accord
	conn = PG.connect("host=#{ENV['PGHOST']} #{options}")
	conn.set_notice_receiver do |r|
		show('notice', r.error_field(PG::PG_DIAG_SEVERITY), r.error_field(PG::PG_DIAG_MESSAGE_PRIMARY))
	end
	conn
end

def failure(e)
	r = e.respond_to?(:result) ? e.result : nil
	return show('error', e.class, e.message) unless r
	show('error', e.class, *[PG::PG_DIAG_SQLSTATE, PG::PG_DIAG_MESSAGE_PRIMARY, PG::PG_DIAG_MESSAGE_DETAIL].map { |f| r.error_field(f) })
end

def rows(r)
	show(r.res_status(r.result_status), r.cmd_status, r.fields)
	r.each_row { |row| show('  ', row) }
end

def try
	rows(yield)
rescue PG::Error => e
	failure(e)
end

def query(conn, sql, *values) = try { values.empty? ? conn.exec(sql) : conn.exec_params(sql, values) }

SCENARIOS = {
	types: lambda do |c|
		query(c, "create table #{SCHEMA}.types (i int, n numeric, t text, y bytea, z timestamptz, a int[])")
		c.type_map_for_results = PG::BasicTypeMapForResults.new(c)
		3.times do |i|
			query(c, "insert into #{SCHEMA}.types values ($1, $2, $3, $4, $5, $6) returning *", i, '1.50', "å'\\",
				{ value: "\0\1\xff".b, format: 1, type: 17 }, '2024-02-29 12:00+00', '{1,NULL}')
		end
		%w[Asia/Tokyo America/Lima].each do |zone|
			query(c, "set time zone '#{zone}'")
			query(c, "select z::text, n, t, a from #{SCHEMA}.types where i > $1", 1)
		end
		try { c.exec_params('select $1::int, $2::bytea', [7, "x"], 1) }
	end,
	statements: lambda do |c|
		8.times { |k| c.prepare("s#{k}", "select $1::int * #{k}, '#{k}'") }
		60.times do |i|
			k = i * 3 % 8
			c.exec('begin') if i % 3 == 0
			show(c.exec_prepared("s#{k}", [i]).values == [[(i * k).to_s, k.to_s]])
			c.exec('commit') if i % 3 == 0
		end
		try { c.prepare('s1', 'select 1') }
		query(c, 'deallocate s1')
		try { c.exec_prepared('s1', [1]) }
		try { c.prepare('s1', "select $1::text || '!'") }
		try { c.exec_prepared('s1', ['again']) }
		show(c.describe_prepared('s2').nfields, c.describe_prepared('s2').paramtype(0))
		try { c.describe_prepared('none') }
		query(c, 'discard all')
		try { c.exec_prepared('s2', [1]) }
		try { c.prepare('', 'select $1::int + 1') }
		3.times { |i| try { c.exec_prepared('', [i]) } }
	end,
	altered: lambda do |c|
		query(c, "create table #{SCHEMA}.alt (a int); insert into #{SCHEMA}.alt values (1)")
		c.prepare('star', "select * from #{SCHEMA}.alt")
		2.times { try { c.exec_prepared('star') } }
		query(c, "alter table #{SCHEMA}.alt add column b text default 'new'")
		2.times { try { c.exec_prepared('star') } }
	end,
	errors: lambda do |c|
		query(c, 'selec')
		query(c, 'select $1::int', 'x')
		query(c, "create table #{SCHEMA}.uniq (id int primary key)")
		[1, 2, 1].each { |i| query(c, "insert into #{SCHEMA}.uniq values ($1)", i) }
		begin
			c.transaction do
				query(c, "insert into #{SCHEMA}.uniq values ($1)", 3)
				query(c, 'savepoint a')
				query(c, "insert into #{SCHEMA}.uniq values ($1)", 3)
				query(c, 'select 1')
				query(c, 'rollback to a')
				raise 'own'
			end
		rescue StandardError => e
			show(e.message)
		end
		query(c, "select * from #{SCHEMA}.uniq order by 1")
		query(c, 'select 1; select 2')
		query(c, 'select 1; select 1 / 0; select 2')
		query(c, '')
		show(c.transaction_status)
	end,
	pipelines: lambda do |c|
		c.prepare('p', 'select 100 / $1::int')
		c.enter_pipeline_mode
		4.times do |round|
			5.times { |i| c.send_query_prepared('p', [round == 2 ? 2 - i : i + 1]) }
			c.pipeline_sync
		end
		syncs = 0
		while syncs < 4
			r = c.get_result or next
			begin
				r.check
			rescue PG::Error => e
				failure(e)
			end
			show(r.res_status(r.result_status), r.ntuples > 0 ? r.values : '')
			syncs += 1 if r.result_status == PG::PGRES_PIPELINE_SYNC
		end
		c.exit_pipeline_mode
		query(c, "select 'goes on'")
	end,
	copies: lambda do |c|
		query(c, "create table #{SCHEMA}.c (id int, t text)")
		["1\tone\n", "1\n", "x\ty\n"].each do |line|
			show(c.copy_data("copy #{SCHEMA}.c from stdin") { 2000.times { c.put_copy_data(line) } }.cmd_tuples)
		rescue PG::Error => e
			failure(e)
		end
		begin
			c.copy_data("copy #{SCHEMA}.c from stdin") { c.put_copy_data("2\tx\n"); raise 'own' }
		rescue StandardError => e
			show(e.class)
		end
		size = 0
		c.copy_data("copy #{SCHEMA}.c to stdout") { while (row = c.get_copy_data); size += row.size; end }
		show(size)
		begin
			c.copy_data('copy (select generate_series(1, 100000)) to stdout') { c.get_copy_data; raise 'enough' }
		rescue StandardError => e
			show(e.class)
		end
		query(c, "select count(*) from #{SCHEMA}.c")
	end,
	rows_one_by_one: lambda do |c|
		c.send_query('select g, 100 / (3000 - g) from generate_series(1, 5000) g')
		c.set_single_row_mode
		sum = 0
		begin
			c.get_result.stream_each_row { |row| sum += row[0].to_i }
		rescue PG::Error => e
			failure(e)
		end
		show(sum)
		c.get_last_result
		query(c, "select 'goes on'")
		c.exec('begin; declare w cursor for select generate_series(1, 20)')
		3.times { query(c, 'fetch 3 from w') }
		query(c, 'commit')
	end,
	cancel: lambda do |c|
		other = connect
		3.times do |i|
			c.send_query(SLEEP)
			nil until other.exec(SLEEPING).getvalue(0, 0).to_i > 0
			show(c.cancel)
			try { c.get_last_result }
			query(c, 'select $1::int', i)
		end
		other.close
	end,
	session_state: lambda do |c|
		query(c, 'set statement_timeout = 50')
		3.times { query(c, 'select pg_sleep($1)', 5) }
		query(c, 'reset statement_timeout')
		query(c, "set search_path = #{SCHEMA}")
		query(c, 'create table here (id int)')
		query(c, 'create temporary table mine (id int)')
		6.times { |i| query(c, 'insert into mine values ($1)', i); query(c, 'insert into here values ($1)', i) }
		query(c, 'select count(*), (select count(*) from here) from mine')
		query(c, "select set_config('app.x', $1, false)", "it's")
		query(c, 'select pg_advisory_lock($1)', KEY)
		3.times { query(c, 'show app.x'); query(c, "select count(*) from pg_locks where locktype = 'advisory' and objid::bigint = #{KEY}") }
		query(c, 'select pg_advisory_unlock($1)', KEY)
		c.reset
		query(c, "select nullif(current_setting('app.x', true), '')")
	end,
	listen_notify: lambda do |c|
		query(c, "listen #{SCHEMA}")
		other = connect
		3.times { |i| query(other, 'select pg_notify($1, $2)', SCHEMA, "n#{i}") }
		other.close
		3.times { c.wait_for_notify(5) { |channel, _, payload| show(channel, payload) } or show('nothing came') }
		query(c, 'unlisten *')
	end,
	notices: lambda do |c|
		query(c, "do $$ begin raise notice 'first'; raise warning 'second'; end $$")
		query(c, "drop table if exists #{SCHEMA}.nothing")
	end,
	startup_parameters: lambda do |_|
		c = connect("application_name=me options='-c work_mem=7MB -c geqo=off'")
		3.times { query(c, "select current_setting('work_mem'), current_setting('geqo'), current_setting('application_name')") }
		c.set_client_encoding('LATIN1')
		3.times { query(c, 'show client_encoding') }
		show(c.parameter_status('application_name'), c.parameter_status('client_encoding'), c.server_version, c.ssl_in_use?)
		c.close
	end,
	large: lambda do |c|
		r = c.exec_params("select $1::text, repeat('y', 1000000)", ['x' * 1_000_000])
		show(r.getvalue(0, 0).size, r.getvalue(0, 1).size)
		r = c.exec('select g, md5(g::text) from generate_series(1, 10000) g')
		show(r.ntuples, r.column_values(0).sum(&:to_i))
	end
}.freeze

SCENARIOS.each do |name, scenario|
	show('==', name.to_s)
	conn = connect
	begin
		scenario.call(conn)
	rescue StandardError => e
		show('!!', e.class, e.message)
	end
	conn.close
end
