"""Files of certificate authorities that a setting names."""

from pathlib import Path

__all__ = ["ca_problem"]


def ca_problem(path: str | Path) -> str:
    """Return why nobody can be trusted by a file of CAs, in words after its name; "" if they can.

    Libraries say of a missing one only that they found no file, or that the server is not trusted.
    """
    import ssl

    file = Path(path)
    try:
        text = file.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if b"-----BEGIN" not in text:
        return "holds no certificate in PEM: it must have a line -----BEGIN CERTIFICATE-----"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        return f"holds no certificate that can be read: {error}"
    return ""
