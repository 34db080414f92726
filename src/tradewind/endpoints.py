"""Where PostgreSQL, Redis and the object store of a team are, as a setting says it.

An address holds no login: every task can read the settings. Logins are secrets (`tradewind adopt`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

__all__ = [
    "APPLICATIONS",
    "DATABASES",
    "MAKERS",
    "ROLES",
    "SEARCH_PATHS",
    "ObjectStore",
    "PostgresServer",
    "RedisServer",
    "Sentinels",
    "read_objects_url",
    "read_postgres_url",
    "read_redis_url",
]

DATABASES: Final = ("airflow", "mlflow", "tradewind")
"""What is kept in PostgreSQL: each has a database, and a role of its name that owns it."""

ROLES: Final = {
    "airflow": "airflow",
    "airflow_dags": "airflow",
    "airflow_results": "airflow",
    "desk": "tradewind",
    "mlflow": "mlflow",
    "research": "tradewind",
    "tradewind": "tradewind",
    "trading": "tradewind",
}
"""The one database that each role is let into; the owner of each has its name."""

SEARCH_PATHS: Final = {"airflow_results": "celery", "research": "studies, public"}
"""Where in its database a role makes and finds tables, if not in `public`."""

MAKERS: Final = ("research",)
"""Roles that make tables of their own; the owner of the database may use them, for its backups."""

APPLICATIONS: Final = ("airflow", "trading")
"""What shares Redis: each has a database of its own, in this order from the first."""

HERE: Final = "127.0.0.1"
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_VERIFIED: Final = ("verify-ca", "verify-full")
_LONGEST_PREFIX: Final = 32


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server, with names for what is ours on it.

    Attributes
    ----------
    host, port
    sslmode, sslrootcert : str
        As libpq has them; empty for its defaults.
    prefix : str
        Stands before the name of each of our databases and roles.
    theirs : bool
        Whether the team runs it, and not the stack.
    """

    host: str = HERE
    port: int = 5432
    sslmode: str = ""
    sslrootcert: str = ""
    prefix: str = ""
    theirs: bool = False

    def name(self, role: str) -> str:
        """Return how one of `ROLES`, or of `DATABASES`, is called here."""
        return self.prefix + role

    @property
    def tls(self) -> dict[str, str]:
        """What libpq and psycopg2 are told of TLS."""
        told = {"sslmode": self.sslmode, "sslrootcert": self.sslrootcert}
        return {key: value for key, value in told.items() if value}

    def url(self, role: str, password: str) -> str:
        """Return the address at which a role reaches its database, for SQLAlchemy."""
        return self._url("postgresql+psycopg2", role, password, self.tls)

    def for_asyncpg(self, role: str, password: str) -> dict[str, str]:
        """Return what Airflow's asynchronous engine is told: its driver has other words for TLS.

        The file of the CA it takes from libpq's variable alone.
        """
        if not self.tls:
            return {}
        address = self._url("postgresql+asyncpg", role, password, {"ssl": self.sslmode})
        told = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": address}
        return told | ({"PGSSLROOTCERT": self.sslrootcert} if self.sslrootcert else {})

    def environment(self) -> dict[str, str]:
        """Return libpq's variables of the address, without user and password."""
        told = {"PGHOST": self.host, "PGPORT": str(self.port)}
        return told | {f"PG{key.upper()}": value for key, value in self.tls.items()}

    def _url(self, driver: str, role: str, password: str, told: dict[str, str]) -> str:
        user, database = self.name(role), self.name(ROLES[role])
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?{urlencode(told)}" if told else ""
        return f"{driver}://{user}:{quote(password, safe='')}@{host}:{self.port}/{database}{query}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Sentinels:
    """Redis Sentinel: who says which Redis is the master now.

    Attributes
    ----------
    addresses : tuple of (str, int)
    master : str
        How they call it.
    tls : bool
        Whether they, and the Redis that they watch, speak TLS.
    ca_certs : str
        File of the CA that signed their certificates; empty for the system's.
    login : str
        ``user:password`` of the sentinels themselves; empty if they ask for none.
    """

    addresses: tuple[tuple[str, int], ...]
    master: str
    tls: bool = False
    ca_certs: str = ""
    login: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.master} of {', '.join(f'{host}:{port}' for host, port in self.addresses)}"


@dataclass(frozen=True)
class RedisServer:
    """A Redis server, with the databases that are ours on it.

    Attributes
    ----------
    host, port
    first : int
        Number of Airflow's database; the trading application's is the next.
    tls : bool
    ca_certs : str
        File of the CA that signed its certificate; empty for the system's.
    login : tuple of str, or None
        User and password that all applications share, where they have no users of their own.
    theirs : bool
    sentinels : Sentinels or None
        Who names the server. Host and port are then those of ours that follows it
        (`tradewind.stack.redis_follower`), without TLS.
    """

    host: str = HERE
    port: int = 6379
    first: int = 0
    tls: bool = False
    ca_certs: str = ""
    login: tuple[str, str] | None = None
    theirs: bool = False
    sentinels: Sentinels | None = None

    def number(self, application: str) -> int:
        """Return the number of an application's database."""
        return self.first + APPLICATIONS.index(application)

    def sharing(self, login: str) -> "RedisServer":
        """Return the same server with one login for all, given as ``user:password``."""
        user, _, password = login.partition(":")
        return replace(self, login=(user, password))

    def user(self, application: str, password: str) -> tuple[str, str]:
        """Return the user and password with which an application logs in."""
        return self.login or (application, password)

    def url(self, application: str, password: str) -> str:
        """Return where an application finds its database, with its login, for Celery."""
        user, secret = self.user(application, password)
        host = f"[{self.host}]" if ":" in self.host else self.host
        login = f"{quote(user, safe='')}:{quote(secret, safe='')}@" if secret else ""
        number = self.number(application)
        return f"{self.scheme}://{login}{host}:{self.port}/{number}{self._query}"

    @property
    def scheme(self) -> str:
        """``redis``, or ``rediss`` with TLS."""
        return "rediss" if self.tls else "redis"

    @property
    def _query(self) -> str:
        if not self.tls:
            return ""
        told = {"ssl_cert_reqs": "required"}  # spelled as Celery, kombu and redis-py all read it
        if self.ca_certs:
            told["ssl_ca_certs"] = self.ca_certs
        return f"?{urlencode(told)}"

    def __str__(self) -> str:
        return str(self.sentinels) if self.sentinels else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ObjectStore:
    """A bucket of an S3 service.

    Attributes
    ----------
    endpoint : str
        Address of the service.
    bucket : str
    prefix : str
        Folder in the bucket; empty for all of it.
    region : str
    ca_bundle : str
        File of the CA that signed its certificate; empty for the system's.
    """

    endpoint: str
    bucket: str = "mlflow"
    prefix: str = ""
    region: str = "us-east-1"
    ca_bundle: str = ""

    @property
    def destination(self) -> str:
        """Where files are kept, as ``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def environment(self, key: str, secret: str) -> dict[str, str]:
        """Return the variables by which MLflow and boto3 reach it."""
        told = {
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": self.region,
        }
        return told | ({"AWS_CA_BUNDLE": self.ca_bundle} if self.ca_bundle else {})

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.bucket}"


def read_postgres_url(text: str) -> PostgresServer:
    """Return the server that ``postgresql://host:port/?sslmode=...`` names.

    Raises
    ------
    ValueError
        Which begins with what the address must be.
    """
    example = "postgresql://db.example.com:5432/?sslmode=verify-full&sslrootcert=/etc/ssl/desk.pem"
    known = ("sslmode", "sslrootcert", "prefix")
    parts, told = _parts(text, ("postgresql", "postgres"), known, example)
    if parts.path.strip("/"):
        raise ValueError(
            f"must name no database ({parts.path.strip('/')}): there are three, and prefix= stands "
            f"before their names ({', '.join(DATABASES)})"
        )
    mode, ca, prefix = (told.get(name, "") for name in known)
    if mode and mode not in _SSL_MODES:
        raise ValueError(f"must have one of {', '.join(_SSL_MODES)} as sslmode, not {mode!r}")
    if ca and mode not in _VERIFIED:
        raise ValueError("must have sslmode=verify-full beside sslrootcert, or nobody looks at it")
    if mode in _VERIFIED and not ca:
        raise ValueError(
            f"must have sslrootcert=FILE beside sslmode={mode}: the CA that signed the server's "
            "certificate"
        )
    if prefix and not _is_name(prefix):
        raise ValueError(
            f"must have a prefix of at most {_LONGEST_PREFIX} small letters, digits and _, "
            f"beginning with a letter, such as desk_, not {prefix!r}"
        )
    _require_file("sslrootcert", ca)
    return PostgresServer(parts.hostname or "", parts.port or 5432, mode, ca, prefix, theirs=True)


def read_redis_url(text: str) -> RedisServer:
    """Return the server that ``rediss://host:port/2?ssl_ca_certs=...`` names, without a login.

    Or the one that ``sentinel://host:port,host:port/2?master=name`` leads to.

    Raises
    ------
    ValueError
        Which begins with what the address must be.
    """
    if text.startswith(("sentinel:", "sentinels:")):
        return _read_sentinels(text)
    example = "rediss://redis.example.com:6379/2?ssl_ca_certs=/etc/ssl/desk.pem"
    parts, told = _parts(text, ("redis", "rediss"), ("ssl_ca_certs",), example)
    number = _number(parts)
    ca, tls = told.get("ssl_ca_certs", ""), parts.scheme == "rediss"
    if ca and not tls:
        raise ValueError("must begin with rediss:// where it names a CA: redis:// has no TLS")
    _require_file("ssl_ca_certs", ca)
    return RedisServer(
        parts.hostname or "", parts.port or 6379, number, tls=tls, ca_certs=ca, theirs=True
    )


def _read_sentinels(text: str) -> RedisServer:
    example = "sentinel://s1.example.com:26379,s2.example.com:26379,s3.example.com/2?master=desk"
    found: list[tuple[str, int]] = []
    scheme, _, rest = text.partition("://")
    hosts, slash, path = rest.partition("/")
    if hosts.rpartition("@")[1]:
        hosts = f"login@{hosts.rpartition('@')[2]}"  # what `_parts` refuses
    for host in hosts.split(","):
        parts, told = _parts(
            f"{scheme}://{host}{slash}{path}", ("sentinel", "sentinels"),
            ("master", "ssl_ca_certs"), example,
        )  # fmt: skip
        found.append((parts.hostname or "", parts.port or 26379))
    if not (master := told.get("master", "")):
        raise ValueError(f"must say which master it is that they watch: master=NAME, as {example}")
    ca, tls = told.get("ssl_ca_certs", ""), scheme == "sentinels"
    if ca and not tls:
        raise ValueError("must begin with sentinels:// where it names a CA: sentinel:// has no TLS")
    _require_file("ssl_ca_certs", ca)
    return RedisServer(
        first=_number(parts), theirs=True, sentinels=Sentinels(tuple(found), master, tls, ca)
    )


def _number(parts: SplitResult) -> int:
    path = parts.path.strip("/")
    if not path.isdecimal() or len(path) > 4:  # noqa: PLR2004 - nobody has 10,000 databases
        raise ValueError(
            "must end in the number of the first of two free databases, such as "
            f"{parts.scheme}://{parts.netloc}/2: Airflow takes it, the trading application the next"
        )
    return int(path)


def read_objects_url(text: str) -> ObjectStore:
    """Return the bucket that ``https://host:port/bucket/prefix?region=...`` names.

    Raises
    ------
    ValueError
        Which begins with what the address must be.
    """
    example = "https://minio.example.com:9000/mlflow?ca_bundle=/etc/ssl/desk.pem"
    parts, told = _parts(text, ("http", "https"), ("region", "ca_bundle"), example)
    bucket, _, prefix = parts.path.strip("/").partition("/")
    if not bucket:
        raise ValueError(f"must name a bucket, as in {example}")
    if "_" in (parts.hostname or ""):  # boto3 takes none
        raise ValueError("must have a host without _, which no name in DNS has: give it an alias")
    ca = told.get("ca_bundle", "")
    if ca and parts.scheme != "https":
        raise ValueError("must begin with https:// where it names a CA: http:// has no TLS")
    _require_file("ca_bundle", ca)
    return ObjectStore(
        f"{parts.scheme}://{parts.netloc}",
        bucket,
        unquote(prefix),
        told.get("region") or "us-east-1",
        ca,
    )


def _parts(
    text: str, schemes: Collection[str], known: Collection[str], example: str
) -> tuple[SplitResult, dict[str, str]]:
    # Nothing of the text is said again: it may hold a password after all.
    try:
        parts = urlsplit(text)
        sound = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        sound = False
    if not sound or parts.fragment:
        raise ValueError(f"must be an address such as {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "must have no login in it, for every task can read it: remove what stands before @ and "
            "give the login to `tradewind adopt`"
        )
    told = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(told.keys() - set(known)):
        raise ValueError(
            f"must have nothing but {', '.join(known)} after the ?, not {', '.join(unknown)}"
        )
    return parts, told


def _require_file(name: str, path: str) -> None:
    if path and not Path(path).is_absolute():
        raise ValueError(f"must name a whole path as {name}, not {path!r}")


def _is_name(text: str) -> bool:
    return (
        len(text) <= _LONGEST_PREFIX
        and text.isascii()
        and text[0].isalpha()
        and text == text.lower()
        and text.replace("_", "").isalnum()
    )
