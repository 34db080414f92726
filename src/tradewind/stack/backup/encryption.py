"""Encryption in the format of age (https://age-encryption.org): streamed, and authenticated.

A backup is encrypted to a public key, so the machine that makes backups cannot read them. The
private key is needed for a restore alone, and `age` itself opens the parts, too.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from tradewind.errors import BackupError
from tradewind.stack.backup.streams import Hashed, fed, piped

__all__ = ["SUFFIX", "decrypting", "encrypting", "make_key", "public_keys", "read_key"]

SUFFIX: Final = ".age"
_PUBLIC: Final = re.compile(r"age1[02-9ac-hj-np-z]{58}")


def public_keys(text: str) -> tuple[str, ...]:
    """Read public keys, separated by commas.

    Raises
    ------
    BackupError
        If one is none.
    """
    import pyrage

    found = tuple(word for word in re.split(r"[\s,]+", text) if word)
    for word in found:
        try:
            pyrage.x25519.Recipient.from_str(word)
        except pyrage.RecipientError as error:
            said = "a private key" if word.startswith("AGE-SECRET-KEY-") else repr(word)
            raise BackupError(
                f"a backup is encrypted to a public key, which begins with age1 and has 62 "
                f"characters, not to {said}: `tradewind backup-key FILE` makes a pair"
            ) from error
    return found


def make_key(path: Path) -> str:
    """Write a new private key to a file that only its owner can read; return the public key.

    Raises
    ------
    BackupError
        If there is a file of that name, or it cannot be written.
    """
    import pyrage

    key = pyrage.x25519.Identity.generate()
    public = str(key.to_public())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise BackupError(
            f"{path} exists, and no key is written over: name another file"
        ) from error
    except OSError as error:
        raise BackupError(f"cannot write {path}: {error.strerror}. Name another file") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(f"# public key: {public}\n{key}\n")
        file.flush()
        os.fsync(file.fileno())
    return public


def read_key(path: Path) -> str:
    """Read a private key from a file of `make_key`, or of ``age-keygen``.

    Raises
    ------
    BackupError
        If there is none in it, or it cannot be read.
    """
    import pyrage

    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise BackupError(f"cannot read the key {path}: {error.strerror}") from error
    for line in lines:
        word = line.strip()
        if word.startswith("AGE-SECRET-KEY-"):
            try:
                pyrage.x25519.Identity.from_str(word)
            except pyrage.IdentityError:
                break
            return word
    raise BackupError(
        f"{path} has no private key in it, a line that begins with AGE-SECRET-KEY-1: name the file "
        "that `tradewind backup-key`, or age-keygen, has written"
    )


@contextmanager
def encrypting(to: Hashed, recipients: Sequence[str]) -> Iterator[IO[bytes]]:
    """Give a file to write to, whose content is encrypted to public keys on its way to another."""
    import pyrage

    keys = [pyrage.x25519.Recipient.from_str(word) for word in recipients]
    try:
        with piped(lambda plain: pyrage.encrypt_io(plain, to, keys)) as writer:
            yield writer
    except pyrage.EncryptError:
        if to.refusal is not None:  # the disk's error, which the library tells as its own
            raise to.refusal from None
        raise


@contextmanager
def decrypting(of: IO[bytes], key: str, what: str) -> Iterator[IO[bytes]]:
    """Give a file to read, which has what another holds encrypted.

    Raises
    ------
    BackupError
        If the key is another's, or the content is not what was encrypted.
    """
    import pyrage

    def decrypt(writer: IO[bytes]) -> None:
        try:
            pyrage.decrypt_io(of, writer, [pyrage.x25519.Identity.from_str(key)])
        except BrokenPipeError:
            raise
        except pyrage.DecryptError as error:
            raise BackupError(
                f"{what} is not encrypted to this key: name the file of the right one with --key"
            ) from error
        except OSError as error:
            raise BackupError(f"{what} is damaged: {error}. Restore another backup") from error

    with fed(decrypt) as reader:
        yield reader
