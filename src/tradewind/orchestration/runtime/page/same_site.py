"""Changes are taken from the page itself, not from a page of another site that a browser shows."""

from urllib.parse import urlsplit

from airflow.configuration import conf
from fastapi import HTTPException, Request, status

__all__ = ["refuse_other_sites"]


def refuse_other_sites(request: Request) -> None:
    """Refuse a change that a page of another site has a logged-in browser ask for.

    A browser says where a request comes from, and no page can have it say otherwise. A program says
    nothing; it has a token of its own instead of the cookie, which no other site can have.
    """
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    fetched = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "").lower()
    # Without TLS, and at another name than localhost, browsers tell the origin alone.
    if fetched == "same-origin" or (fetched is None and origin in _own_origins(request)):
        return
    raise HTTPException(
        status.HTTP_403_FORBIDDEN,
        "a change is taken from this page alone, or from a program with a token "
        "(Authorization: Bearer ...)",
    )


def _own_origins(request: Request) -> set[str]:
    page = urlsplit(conf.get("api", "base_url", fallback=""))
    here = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return {f"{page.scheme}://{page.netloc}".lower(), here.lower()}
