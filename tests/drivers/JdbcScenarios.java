import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** pgjdbc: statements named after some uses or at once, fetch sizes, batches, COPY, notifications. */
public class JdbcScenarios {
	interface Scenario {
		void run(Connection c) throws Exception;
	}

	static String schema;
	static long key;

	static Connection connect(String... options) throws SQLException {
		Properties p = new Properties();
		p.setProperty("user", System.getenv("PGUSER"));
		p.setProperty("sslmode", "verify-full");
		p.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
		p.setProperty("sslcert", System.getenv("PGSSLCERT"));
		p.setProperty("sslkey", System.getenv("PGSEAL_SSLKEY_PK8"));
		for (int i = 0; i < options.length; i += 2)
			p.setProperty(options[i], options[i + 1]);
		return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" +
			System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), p);
	}

	static void show(Object... what) {
		StringBuilder line = new StringBuilder();
		for (Object w : what)
			line.append(line.length() > 0 ? " " : "").append(
				w instanceof Object[] ? Arrays.toString((Object[]) w) : w instanceof int[] ? Arrays.toString((int[]) w) :
				w instanceof byte[] ? Arrays.toString((byte[]) w) : String.valueOf(w));
		System.out.println(line);
	}

	static void showError(SQLException e) {
		ServerErrorMessage m = e instanceof PSQLException ? ((PSQLException) e).getServerErrorMessage() : null;
		show("error", e.getSQLState(), m != null ? m.getMessage() + " | " + m.getDetail() + " | " + m.getConstraint()
			: e.getMessage());
		if (e.getNextException() != null && e.getNextException() != e)
			showError(e.getNextException());
	}

	static void showWarnings(Statement s) throws SQLException {
		for (SQLWarning w = s.getWarnings(); w != null; w = w.getNextWarning())
			show("warning", w.getSQLState(), w.getMessage());
	}

	static void showResults(Statement s, boolean rows) throws SQLException {
		for (;; rows = s.getMoreResults()) {
			if (!rows) {
				if (s.getUpdateCount() == -1)
					break;
				show("count", s.getUpdateCount());
				continue;
			}
			ResultSet r = s.getResultSet();
			int n = r.getMetaData().getColumnCount();
			while (r.next()) {
				Object[] row = new Object[n];
				for (int i = 0; i < n; i++) {
					Object v = r.getObject(i + 1);
					row[i] = v instanceof byte[] ? Arrays.toString((byte[]) v) : v instanceof Timestamp ? r.getString(i + 1) : v;
				}
				show("  ", row);
			}
		}
		showWarnings(s);
	}

	static void query(Connection c, String sql, Object... values) {
		try (PreparedStatement s = c.prepareStatement(sql)) {
			for (int i = 0; i < values.length; i++)
				s.setObject(i + 1, values[i]);
			showResults(s, s.execute());
		} catch (SQLException e) {
			showError(e);
		}
	}

	static void simple(Connection c, String sql) {
		try (Statement s = c.createStatement()) {
			showResults(s, s.execute(sql));
		} catch (SQLException e) {
			showError(e);
		}
	}

	static void types(Connection c) throws Exception {
		simple(c, "create table " + schema + ".types (i int, n numeric, t text, y bytea, z timestamptz, a text[], o bool, f float8)");
		for (int i = 0; i < 8; i++)
			query(c, "insert into " + schema + ".types values (?, ?, ?, ?, ?, ?, ?, ?) returning *", i, new BigDecimal("1.50"),
				i == 3 ? null : "å'\\", new byte[] {0, 1, -1}, Timestamp.valueOf("2024-02-29 12:00:00"),
				c.createArrayOf("text", new Object[] {"x", null}), true, i / 3.0);
		for (String zone : new String[] {"Asia/Tokyo", "America/Lima"}) {
			simple(c, "set time zone '" + zone + "'");
			query(c, "select z::text, f, a from " + schema + ".types where i > ?", 6);
		}
		DatabaseMetaData meta = c.getMetaData();
		try (ResultSet r = meta.getColumns(null, schema, "types", null)) {
			while (r.next())
				show(r.getString("COLUMN_NAME"), r.getString("TYPE_NAME"), r.getInt("NULLABLE"));
		}
		show(meta.getDatabaseMajorVersion(), meta.getUserName());
	}

	static void manyTimes(Connection c) throws Exception {
		PreparedStatement[] s = new PreparedStatement[8];
		for (int k = 0; k < 8; k++)
			s[k] = c.prepareStatement("select ?::int * " + k + ", '" + k + "'");
		boolean named = false;
		for (int i = 0; i < 100; i++) {
			int k = i * 3 % 8;
			c.setAutoCommit(i % 3 != 0);
			s[k].setInt(1, i);
			try (ResultSet r = s[k].executeQuery()) {
				r.next();
				if (r.getInt(1) != i * k || r.getInt(2) != k)
					show("wrong", i, r.getInt(1), r.getString(2));
			}
			named |= s[k].unwrap(PGStatement.class).isUseServerPrepare();
			if (i % 3 == 0)
				c.commit();
		}
		show("named at last", named);
		for (PreparedStatement one : s)
			one.close();
		c.setAutoCommit(true);
		for (int i = 0; i < 12; i++)
			query(c, "select ?::int + 1", i);
	}

	/** A cache so small that statements are closed by the protocol all the time. */
	static void closing(Connection ignored) throws Exception {
		try (Connection c = connect("prepareThreshold", "1", "preparedStatementCacheQueries", "3")) {
			for (int i = 0; i < 60; i++)
				query(c, "select ?::int + " + i * 5 % 11, i);
		}
	}

	static void altered(Connection c) throws Exception {
		simple(c, "create table " + schema + ".alt (a int); insert into " + schema + ".alt values (1)");
		PreparedStatement s = c.prepareStatement("select * from " + schema + ".alt");
		for (int i = 0; i < 7; i++)
			showResults(s, s.execute());
		simple(c, "alter table " + schema + ".alt add column b text default 'new'");
		for (int i = 0; i < 2; i++)
			try {
				showResults(s, s.execute());
			} catch (SQLException e) {
				showError(e);
			}
		c.setAutoCommit(false);
		showResults(s, s.execute());
		simple(c, "alter table " + schema + ".alt drop column b");
		try {
			showResults(s, s.execute());
		} catch (SQLException e) {
			showError(e);
		}
		c.rollback();
		showResults(s, s.execute());
		c.commit();
	}

	static void discarded(Connection c) throws Exception {
		c.unwrap(PGConnection.class).setPrepareThreshold(1);
		for (String what : new String[] {"deallocate all", "discard all", "discard plans"}) {
			for (int i = 0; i < 3; i++)
				query(c, "select ?::int + 100", i);
			simple(c, what);
			for (int i = 0; i < 3; i++)
				query(c, "select ?::int + 100", i);
		}
	}

	static void errors(Connection c) throws Exception {
		simple(c, "selec");
		query(c, "select nothing");
		simple(c, "create table " + schema + ".uniq (id int primary key)");
		for (int i : new int[] {1, 2, 1})
			query(c, "insert into " + schema + ".uniq values (?)", i);
		query(c, "select 1 / ?", 0);
		c.setAutoCommit(false);
		query(c, "insert into " + schema + ".uniq values (?)", 3);
		Savepoint a = c.setSavepoint();
		query(c, "insert into " + schema + ".uniq values (?)", 3);
		query(c, "select 1");
		c.rollback(a);
		Savepoint b = c.setSavepoint("named");
		query(c, "insert into " + schema + ".uniq values (?)", 4);
		c.releaseSavepoint(b);
		c.commit();
		query(c, "select 1 / ?", 0);
		try {
			c.commit();
		} catch (SQLException e) {
			showError(e);
		}
		c.rollback();
		query(c, "select * from " + schema + ".uniq order by 1");
		c.rollback();
		c.setAutoCommit(true);
		simple(c, "select 1; select 2; select 1 / 0");
		simple(c, "select 1; insert into " + schema + ".uniq values (7), (8); select 3");
		simple(c, "");
	}

	static void autosave(Connection ignored) throws Exception {
		try (Connection c = connect("autosave", "always", "prepareThreshold", "1")) {
			c.setAutoCommit(false);
			for (int i = 0; i < 6; i++) {
				query(c, "select 10 / ?", i % 3);
				if (i == 3)
					c.commit();
			}
			c.rollback();
		}
	}

	static void batches(Connection c) throws Exception {
		simple(c, "create table " + schema + ".batch (id int primary key, t text)");
		for (int round = 0; round < 3; round++)
			try (PreparedStatement s = c.prepareStatement("insert into " + schema + ".batch values (?, ?)")) {
				c.setAutoCommit(round != 1);
				for (int i = 0; i < 300; i++) {
					s.setInt(1, (round == 2 ? 450 : round * 300) + i);
					s.setString(2, "t" + i);
					s.addBatch();
				}
				show(Arrays.stream(s.executeBatch()).sum());
				if (round == 1)
					c.commit();
			} catch (BatchUpdateException e) {
				show(e.getUpdateCounts().length);
				showError(e);
			}
		c.setAutoCommit(true);
		try (Statement s = c.createStatement()) {
			s.addBatch("delete from " + schema + ".batch where id < 10");
			s.addBatch("update " + schema + ".batch set t = 'u' where id < 20");
			show(s.executeBatch());
		}
		try (PreparedStatement s = c.prepareStatement("insert into " + schema + ".batch values (?, 'k')",
				Statement.RETURN_GENERATED_KEYS)) {
			for (int i = 0; i < 3; i++) {
				s.setInt(1, 5000 + i);
				s.addBatch();
			}
			s.executeBatch();
			ResultSet keys = s.getGeneratedKeys();
			while (keys.next())
				show(keys.getInt(1), keys.getString(2));
		}
		query(c, "select count(*), sum(id) from " + schema + ".batch");
	}

	static void fetchSizes(Connection c) throws Exception {
		c.setAutoCommit(false);
		for (int size : new int[] {1, 7, 1000})
			try (PreparedStatement s = c.prepareStatement("select g, 100 / (? - g) from generate_series(1, 300) g")) {
				s.setFetchSize(size);
				for (int limit : new int[] {1000, 120}) {
					s.setInt(1, limit);
					long sum = 0;
					try (ResultSet r = s.executeQuery()) {
						while (r.next())
							sum += r.getInt(1);
					} catch (SQLException e) {
						showError(e);
						c.rollback();
					}
					show(size, limit, sum);
				}
				c.commit();
			}
		try (Statement s = c.createStatement()) {
			s.setMaxRows(3);
			showResults(s, s.execute("select generate_series(1, 10)"));
		}
		c.commit();
	}

	static void copies(Connection c) throws Exception {
		simple(c, "create table " + schema + ".c (id int, t text)");
		CopyManager m = c.unwrap(PGConnection.class).getCopyAPI();
		show(m.copyIn("copy " + schema + ".c from stdin", new StringReader("1\tone\n".repeat(5000))));
		for (String bad : new String[] {"1\n", "x\ty\n"})
			try {
				m.copyIn("copy " + schema + ".c from stdin", new StringReader(bad.repeat(9000)));
			} catch (SQLException e) {
				showError(e);
			}
		StringWriter out = new StringWriter();
		show(m.copyOut("copy " + schema + ".c to stdout", out), out.toString().length());
		try {
			m.copyOut("copy (select 1 / (3000 - g) from generate_series(1, 9000) g) to stdout", new StringWriter());
		} catch (SQLException e) {
			showError(e);
		}
		m.copyIn("copy " + schema + ".c from stdin").cancelCopy();
		query(c, "select count(*) from " + schema + ".c");
	}

	static void cancel(Connection c) throws Exception {
		String active = "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()" +
			" and query like '%" + schema + "-sleeps%'";
		for (int i = 0; i < 3; i++)
			try (Statement s = c.createStatement(); Connection other = connect()) {
				Thread t = new Thread(() -> {
					try (Statement o = other.createStatement()) {
						for (;;) {
							ResultSet r = o.executeQuery(active);
							r.next();
							if (r.getInt(1) > 0)
								break;
						}
						s.cancel();
					} catch (SQLException e) {
						showError(e);
					}
				});
				t.start();
				try {
					s.execute("select /* " + schema + "-sleeps */ pg_sleep(10)");
				} catch (SQLException e) {
					showError(e);
				}
				t.join();
				query(c, "select ?::int", i);
			}
		try (Statement s = c.createStatement()) {
			s.setQueryTimeout(1);
			s.execute("select pg_sleep(20)");
		} catch (SQLException e) {
			showError(e);
		}
		query(c, "select 'goes on'");
	}

	static void sessionState(Connection c) throws Exception {
		simple(c, "set statement_timeout = 50");
		for (int i = 0; i < 3; i++)
			query(c, "select pg_sleep(?)", 5.0);
		simple(c, "reset statement_timeout");
		c.setSchema(schema);
		show(c.getSchema());
		simple(c, "create table here (id int)");
		simple(c, "create temporary table mine (id int)");
		for (int i = 0; i < 8; i++) {
			query(c, "insert into mine values (?)", i);
			query(c, "insert into here values (?)", i);
		}
		query(c, "select count(*), (select count(*) from here) from mine");
		query(c, "select set_config('app.x', ?, false)", "it's");
		query(c, "select pg_advisory_lock(?)", key);
		for (int i = 0; i < 3; i++) {
			query(c, "show app.x");
			query(c, "select count(*) from pg_locks where locktype = 'advisory' and objid::bigint = ?", key);
		}
		query(c, "select pg_advisory_unlock(?)", key);
		c.setClientInfo("ApplicationName", "renamed");
		for (int i = 0; i < 2; i++)
			query(c, "show application_name");
	}

	static void listenNotify(Connection c) throws Exception {
		simple(c, "listen " + schema);
		try (Connection other = connect()) {
			for (int i = 0; i < 3; i++)
				query(other, "select pg_notify(?, ?)", schema, "n" + i);
		}
		List<String> heard = new ArrayList<>();
		for (int i = 0; i < 10 && heard.size() < 3; i++) {
			PGNotification[] some = c.unwrap(PGConnection.class).getNotifications(500);
			if (some != null)
				for (PGNotification n : some)
					heard.add(n.getName() + " " + n.getParameter());
		}
		show(heard);
		simple(c, "unlisten *");
		query(c, "select count(*) from pg_listening_channels()");
	}

	static void isolation(Connection c) throws Exception {
		for (int level : new int[] {Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_REPEATABLE_READ,
				Connection.TRANSACTION_READ_COMMITTED}) {
			c.setTransactionIsolation(level);
			c.setReadOnly(level == Connection.TRANSACTION_REPEATABLE_READ);
			c.setAutoCommit(false);
			for (int i = 0; i < 2; i++) {
				query(c, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')");
				c.commit();
			}
			show(c.getTransactionIsolation());
			c.setAutoCommit(true);
		}
		try (Statement s = c.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY,
				ResultSet.HOLD_CURSORS_OVER_COMMIT)) {
			c.setAutoCommit(false);
			s.setFetchSize(5);
			ResultSet r = s.executeQuery("select generate_series(1, 12)");
			r.next();
			c.commit();
			int n = 1;
			while (r.next())
				n++;
			show("after the commit", n);
		}
	}

	static void notices(Connection c) throws Exception {
		simple(c, "do $$ begin raise notice 'first'; raise warning 'second'; end $$");
		simple(c, "drop table if exists " + schema + ".nothing");
		query(c, "drop table if exists " + schema + ".nothing");
		try (CallableStatement s = c.prepareCall("{? = call upper(?)}")) {
			s.registerOutParameter(1, Types.VARCHAR);
			s.setString(2, "called");
			s.execute();
			show(s.getString(1));
		}
	}

	static void queryModes(Connection ignored) throws Exception {
		for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"})
			try (Connection c = connect("preferQueryMode", mode, "prepareThreshold", "2")) {
				for (int i = 0; i < 5; i++) {
					query(c, "select ?::int + 1, ?::text", i, mode);
					simple(c, "select " + i % 2);
				}
				query(c, "select 1 / ?", 0);
			}
	}

	static void startupParameters(Connection ignored) throws Exception {
		try (Connection c = connect("ApplicationName", "me too", "options", "-c work_mem=7MB -c geqo=off",
				"currentSchema", schema, "readOnly", "true", "assumeMinServerVersion", "12")) {
			for (int i = 0; i < 3; i++)
				query(c, "select current_setting('work_mem'), current_setting('geqo'), current_setting('application_name')," +
					" current_setting('search_path'), current_setting('extra_float_digits')");
			query(c, "create table never (id int)");
			show(c.unwrap(PGConnection.class).getParameterStatus("application_name"),
				c.unwrap(PGConnection.class).getParameterStatus("TimeZone"));
		}
	}

	/* What it is told when it connects decides whether it stays. */
	static void chosenServers(Connection ignored) {
		for (String type : new String[] {"any", "primary", "secondary", "preferSecondary", "preferPrimary"})
			try (Connection c = connect("targetServerType", type)) {
				query(c, "select pg_is_in_recovery(), ?::text", type);
			} catch (SQLException e) {
				showError(e);
			}
	}

	static void large(Connection c) throws Exception {
		try (PreparedStatement s = c.prepareStatement("select ?::text, repeat('y', 1000000), ?::bytea")) {
			s.setString(1, "x".repeat(1000000));
			s.setBytes(2, new byte[1000000]);
			for (int i = 0; i < 7; i++) {
				ResultSet r = s.executeQuery();
				r.next();
				show(r.getString(1).length(), r.getString(2).length(), r.getBytes(3).length);
			}
		}
		try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("select g, md5(g::text) from generate_series(1, 10000) g")) {
			long sum = 0;
			while (r.next())
				sum += r.getInt(1) + r.getString(2).length();
			show(sum);
		}
	}

	static void all(String kind, String... options) {
		String[] names = {"types", "manyTimes", "closing", "altered", "discarded", "errors", "autosave", "batches", "fetchSizes",
			"copies", "cancel", "sessionState", "listenNotify", "isolation", "notices", "queryModes", "startupParameters",
			"chosenServers", "large"};
		Scenario[] scenarios = {JdbcScenarios::types, JdbcScenarios::manyTimes, JdbcScenarios::closing, JdbcScenarios::altered,
			JdbcScenarios::discarded, JdbcScenarios::errors, JdbcScenarios::autosave, JdbcScenarios::batches,
			JdbcScenarios::fetchSizes, JdbcScenarios::copies, JdbcScenarios::cancel, JdbcScenarios::sessionState,
			JdbcScenarios::listenNotify, JdbcScenarios::isolation, JdbcScenarios::notices, JdbcScenarios::queryModes,
			JdbcScenarios::startupParameters, JdbcScenarios::chosenServers, JdbcScenarios::large};
		for (int i = 0; i < names.length; i++) {
			show("==", names[i] + kind);
			try (Connection c = connect(options)) {
				try (Statement s = c.createStatement()) {
					s.execute("do $$ declare t text; begin for t in select tablename from pg_tables where schemaname = '" +
						schema + "' loop execute format('drop table " + schema + ".%I', t); end loop; end $$");
				}
				scenarios[i].run(c);
			} catch (Exception e) {
				show("!!", e);
			}
		}
	}

	public static void main(String[] args) {
		System.setOut(new java.io.PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true, StandardCharsets.UTF_8));
		schema = args[0];
		key = Math.floorMod(schema.hashCode(), 1000003);
		all("");
		all("_prepared_at_once", "prepareThreshold", "1");
	}
}
