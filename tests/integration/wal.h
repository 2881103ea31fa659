/* Replication clients: for them there are slots, publications and roles with REPLICATION. */
#ifndef PGSEAL_TESTS_WAL_H
#define PGSEAL_TESTS_WAL_H

#include "tests/integration/rig.h"

/* Rules that let alice replicate, bob not; alice has the attribute at the server. carol may by her rule, and
 * has none. */
#define WAL_IDENTITIES                                      \
	"streamer = cn:alice roles=alice replication=yes\n" \
	"plain = cn:bob roles=bob replication=no\n"         \
	"hopeful = cn:carol roles=carol replication=yes\n"  \
	"operator = cn:operator roles=operator console=admin\n"
/* Beside app and other the entry that tools for physical replication ask for. */
#define WAL_DATABASES                               \
	"app = @postgres@ dbname=app pool_size=1\n" \
	"other = @postgres@ dbname=other\n"         \
	"replication = @postgres@\n"

/* Start one on these, with more settings. */
struct rig *wal_rig(const char *settings);
/* alice, streaming what is inserted into the table `wal_NAME`(line text), made by this, by way of a
 * temporary slot. */
PGconn *wal_stream(const struct rig *rig, const char *name, const char *extra);
/* Stream on a connection that has replication=database already. */
void wal_begin(PGconn *conn, const char *name);
void wal_begin_physical(PGconn *conn);
void wal_table(const char *name);
/* Insert this line, straight at the server, and wait until the stream brings it. */
void wal_expect(PGconn *stream, const char *name, const char *line);
/* The client ends the stream; the connection is ready for the next command behind it. */
void wal_end(PGconn *stream);
/* alice, streaming WAL as a standby does. */
PGconn *wal_physical(const struct rig *rig, const char *extra);
/* Wait for pieces of a stream until it ends: SQLSTATE, as rig_last_words. */
struct rig_text wal_last_words(PGconn *stream);
/* The process at the server that serves the client of this application_name; 0: none. */
int wal_backend(const char *application_name);
bool wal_backend_gone(int pid);
/* It is not let in, with these words. */
void wal_expect_refused(const struct rig *rig, const char *name, const char *extra,
                        const char *words);
/* A column of the first row of what a command answers; "(null)". */
struct rig_text wal_column(PGconn *conn, const char *command, int column);

#endif
