"""A certificate authority of the tests' own, and TLS before servers that have none."""

import asyncio
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # what a client of PostgreSQL asks first


@dataclass(frozen=True)
class Authority:
    """Files of a CA, and of a server's certificate that it signed."""

    ca: Path
    certificate: Path
    key: Path


def make_authority(folder: Path, *names: str) -> Authority:
    """Make a CA and a certificate for this machine, also under other names."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, f"the tests' authority {folder.name}")]
    )
    now = datetime.now(UTC)

    def signed(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(root)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
        )

    # Python 3.13 believes no certificate without the identifiers of the keys.
    of_authority = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    of_ca = (
        signed(root, ca_key.public_key())
        .add_extension(of_authority, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False,
                encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .sign(ca_key, hashes.SHA256())
    )  # fmt: skip
    hosts: list[x509.GeneralName] = [_general(name) for name in ("localhost", *names)]
    of_server = (
        signed(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")]), key.public_key()
        )
        .add_extension(
            x509.SubjectAlternativeName([*hosts, x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_authority),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    found = Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    found.ca.write_bytes(of_ca.public_bytes(serialization.Encoding.PEM))
    found.certificate.write_bytes(of_server.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    found.key.chmod(0o600)
    return found


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@contextmanager
def tls_before(authority: Authority, port: int, *, postgres: bool = False) -> Iterator[int]:
    """Yield a port where TLS is spoken, in front of a server's port that has none.

    A client of PostgreSQL asks in the clear whether it may speak TLS; others begin with it.
    """
    words = [str(authority.certificate), str(authority.key), str(port), str(int(postgres))]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.tls", *words],
        cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def _serve(certificate: str, key: str, port: str, postgres: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            if postgres == "1":
                if await reader.readexactly(8) != SSL_REQUEST:  # in the clear: not let in
                    writer.close()
                    return
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(context)
            inner_reader, inner = await asyncio.open_connection("127.0.0.1", int(port))
            await asyncio.gather(_copy(reader, inner), _copy(inner_reader, writer))
        writer.close()

    context_of_all = None if postgres == "1" else context
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context_of_all)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
