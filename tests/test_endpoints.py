"""Addresses of services that a team runs: what is read of them, and what is refused."""

import pytest

from tradewind.endpoints import (
    PostgresServer,
    RedisServer,
    Sentinels,
    read_objects_url,
    read_postgres_url,
    read_redis_url,
)

CA = "/etc/ssl/desk.pem"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://db", PostgresServer("db", 5432, theirs=True)),
        ("postgres://[::1]:6000/", PostgresServer("::1", 6000, theirs=True)),
        (
            f"postgresql://db/?sslmode=verify-full&sslrootcert={CA}&prefix=desk_",
            PostgresServer("db", 5432, "verify-full", CA, "desk_", theirs=True),
        ),
    ],
)
def test_an_address_of_postgresql(text: str, expected: PostgresServer) -> None:
    assert read_postgres_url(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be an address such as postgresql://db.example.com:5432/"),
        ("db.example.com:5432", "must be an address such as"),
        ("mysql://db", "must be an address such as"),
        ("postgresql://db:99999/", "must be an address such as"),
        ("postgresql://db:0/", "must be an address such as"),
        ("postgresql:///", "must be an address such as"),
        ("postgresql://user:a-secret@db/", "must have no login in it"),
        ("postgresql://user@db/", "must have no login in it"),
        ("postgresql://db/airflow", "must name no database (airflow)"),
        ("postgresql://db/?sslmode=full", "must have one of disable, allow"),
        (f"postgresql://db/?sslrootcert={CA}", "must have sslmode=verify-full beside sslrootcert"),
        ("postgresql://db/?sslmode=verify-full", "must have sslrootcert=FILE beside"),
        ("postgresql://db/?sslmode=verify-full&sslrootcert=a.pem", "must name a whole path"),
        ("postgresql://db/?prefix=Desk-", "must have a prefix of at most 32 small letters"),
        ("postgresql://db/?prefix=1_", "must have a prefix of at most 32 small letters"),
        ("postgresql://db/?sslmod=require", "must have nothing but sslmode, sslrootcert, prefix"),
        ("postgresql://db/#x", "must be an address such as"),
    ],
)
def test_what_is_no_address_of_postgresql_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message is looked at
        read_postgres_url(text)
    assert str(refused.value).startswith("must ")
    assert said in str(refused.value)
    assert "a-secret" not in str(refused.value)


def test_an_address_of_redis() -> None:
    assert read_redis_url("redis://cache/2") == RedisServer("cache", 6379, 2, theirs=True)
    read = read_redis_url(f"rediss://cache:6380/7?ssl_ca_certs={CA}")
    assert read == RedisServer("cache", 6380, 7, tls=True, ca_certs=CA, theirs=True)


def test_an_address_of_sentinels() -> None:
    read = read_redis_url(f"sentinels://s1:7000,[::1],s3/4?master=desk&ssl_ca_certs={CA}")
    addresses = (("s1", 7000), ("::1", 26379), ("s3", 26379))
    assert read.sentinels == Sentinels(addresses, "desk", tls=True, ca_certs=CA)
    assert (read.first, read.theirs, read.tls) == (4, True, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis://cache", "must end in the number of the first of two free databases"),
        ("redis://cache/first", "must end in the number"),
        ("redis://cache/-1", "must end in the number"),
        ("redis://cache/99999", "must end in the number"),
        ("redis://:a-secret@cache/2", "must have no login in it"),
        (f"redis://cache/2?ssl_ca_certs={CA}", "must begin with rediss:// where it names a CA"),
        ("rediss://cache/2?ssl_cert_reqs=none", "must have nothing but ssl_ca_certs after the ?"),
        ("unix:///run/redis.sock/2", "must be an address such as rediss://"),
        ("sentinel://s1,s2/2", "must say which master it is"),
        ("sentinel://s1,s2?master=desk", "must end in the number"),
        ("sentinel://s1,:a-secret@s2/2?master=desk", "must have no login in it"),
        ("sentinel://s1,s2:x/2?master=desk", "must be an address such as sentinel://"),
        ("sentinel://s1,,s2/2?master=desk", "must be an address such as sentinel://"),
        (f"sentinel://s1/2?master=desk&ssl_ca_certs={CA}", "must begin with sentinels://"),
        ("sentinel://s1/2?master=desk&quorum=2", "must have nothing but master, ssl_ca_certs"),
    ],
)
def test_what_is_no_address_of_redis_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message is looked at
        read_redis_url(text)
    assert said in str(refused.value)
    assert "a-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://s3.example.com", "must name a bucket"),
        ("https://key:a-secret@s3.example.com/b", "must have no login in it"),
        (f"http://s3/b?ca_bundle={CA}", "must begin with https:// where it names a CA"),
        ("http://team_minio_1:9000/b", "must have a host without _"),
        ("s3://bucket", "must be an address such as https://minio.example.com:9000/mlflow"),
    ],
)
def test_what_is_no_address_of_a_bucket_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the message is looked at
        read_objects_url(text)
    assert said in str(refused.value)
    assert "a-secret" not in str(refused.value)


def test_an_address_of_a_bucket() -> None:
    store = read_objects_url(f"https://s3:9000/desk/a%20b/?region=eu-west-1&ca_bundle={CA}")
    assert store.destination == "s3://desk/a b"
    assert store.environment("key", "secret") == {
        "MLFLOW_S3_ENDPOINT_URL": "https://s3:9000", "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_CA_BUNDLE": CA,
    }  # fmt: skip


def test_logins_are_put_in_as_each_library_reads_them() -> None:
    server = PostgresServer("::1", 5432, "verify-full", CA, "desk_", theirs=True)
    assert server.url("mlflow", "a/b?") == (
        "postgresql+psycopg2://desk_mlflow:a%2Fb%3F@[::1]:5432/desk_mlflow"
        "?sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fdesk.pem"
    )
    redis = read_redis_url(f"rediss://cache/2?ssl_ca_certs={CA}")
    assert redis.url("trading", "p@w").startswith("rediss://trading:p%40w@cache:6379/3?ssl_cert")
    shared = redis.sharing("desk:p:w")
    assert (shared.login, shared.user("airflow", "own")) == (("desk", "p:w"), ("desk", "p:w"))
