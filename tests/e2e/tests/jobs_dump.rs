//! A database of a real PostgreSQL in a job: `pg_dump` into a snapshot, back into a second database, and a dump that fails in its midst.

use std::fs;

use anyhow::{Result, ensure};
use credenza_e2e::servers::PostgresServer;
use credenza_e2e::{Outcome, Report, Setup};

/// What the first database holds: rows that compress, bytes that do not, and what dumps get wrong.
const FILL: &str = "
    create table letters (id int primary key, words text, bytes bytea, written timestamptz default '2026-11-30 02:30+01');
    insert into letters (id, words, bytes)
        select n, repeat('dear reader ' || n || E'\\n\\t\\\\', 5), decode(md5(n::text) || md5((n + 1)::text), 'hex')
        from generate_series(1, 20000) n;
    create index on letters (words);
    create view short as select id from letters where id < 10;
    create sequence numbers start 42;
";
/// Each row of the table and what else there is, as one digest.
const DIGEST: &str = "select md5(string_agg(l::text, '|' order by id)) || (select count(*) from short) || (select last_value from numbers) from letters l";
/// A table that its reader may not read without a filter: `pg_dump` meets it after the letters are written.
const FORBID: &str = "
    create role reader login;
    create table z_private (id int);
    insert into z_private values (1);
    alter table z_private enable row level security;
    grant select on all tables in schema public to reader;
    grant select on all sequences in schema public to reader;
";

fn with_dump(setup: &Setup, command: &[&str]) -> Result<()> {
    let repository = setup.path("repository").display().to_string();
    let text = format!(
        "version = 1\n[job.a]\nto = \"{repository}\"\nat = \"02:30\"\nhooks = [ {{ run = {command:?}, stdin_of = \"shop.dump\" }} ]\n"
    );
    Ok(fs::write(setup.path("jobs.toml"), text)?)
}

fn run(setup: &Setup) -> Result<Outcome> {
    let file = setup.path("jobs.toml").display().to_string();
    setup.credenza.run(["--json", "jobs", "run", "a", "--jobs", &file])
}

#[test]
fn a_database_comes_back_from_a_snapshot_of_its_dump() {
    let mut report = Report::default();
    report.scenario("pg_dump into a snapshot, restored into a second database, compared", || {
        let server = PostgresServer::start()?;
        server.sql("postgres", "create database shop")?;
        server.sql("postgres", "create database again")?;
        server.sql("shop", FILL)?;
        let setup = Setup::with_local_repository()?;
        let socket = server.socket.as_str();
        with_dump(&setup, &["pg_dump", "-Fc", "-h", socket, "-U", "postgres", "shop"])?;
        let steps = run(&setup)?.expect_code(0)?.lines_of("step")?;
        ensure!(steps[0]["source"] == "stream:shop.dump" && steps[0]["errors"] == 0, "{steps:?}");
        setup.credenza.ok(["restore", "latest", "--to", &setup.path("restored").display().to_string()])?;
        let dump = setup.path("restored/shop.dump").display().to_string();
        server.client("pg_restore", &["--exit-on-error", "-d", "again", &dump])?;
        let (one, other) = (server.sql("shop", DIGEST)?, server.sql("again", DIGEST)?);
        ensure!(one == other && one.trim().len() > 32, "{one} {other}");

        server.sql("shop", FORBID)?;
        let half = ["pg_dump", "-Fp", "-h", socket, "-U", "reader", "shop"];
        let broken = server.client_output("pg_dump", &["-Fp", "-U", "reader", "shop"])?;
        ensure!(!broken.status.success() && broken.stdout.len() > 1_000_000, "it fails after the letters are written");
        with_dump(&setup, &half)?;
        let said = run(&setup)?.expect_code(1)?;
        said.expect_message(&["stream:shop.dump", "`pg_dump` failed (exit status: 1)"])?;
        let listed = setup.credenza.ok(["--json", "ls"])?.lines_of("snapshot")?;
        ensure!(listed.len() == 1, "what broke off is no snapshot: {listed:?}");
        Ok(())
    });
    report.scenario("a command whose output is backed up is told the facts of the run", || {
        let setup = Setup::with_local_repository()?;
        let script = "echo $CREDENZA_JOB $CREDENZA_MOMENT $CREDENZA_RUN; test \"$CREDENZA_REPOSITORY\" = \"$1\"";
        let repository = setup.path("repository").display().to_string();
        with_dump(&setup, &["sh", "-c", script, "sh", &repository])?;
        run(&setup)?.expect_code(0)?;
        setup.credenza.ok(["restore", "latest", "--to", &setup.path("restored").display().to_string()])?;
        let told = fs::read_to_string(setup.path("restored/shop.dump"))?;
        ensure!(told.starts_with("a during a@"), "{told}");
        Ok(())
    });
    report.finish();
}
