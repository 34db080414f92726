"""Backups: make, list, restore; and upgrades, which begin with one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradewind.cli.shared import Json, app, print_json, settings_of_folder, warn

if TYPE_CHECKING:
    from tradewind.settings import Settings

Place = Annotated[
    str | None,
    typer.Argument(
        metavar="[DIR]", help="A directory or s3://bucket/prefix; TRADEWIND_BACKUP_TO if not given."
    ),
]
KeyFile = Annotated[
    Path | None, typer.Option("--key", help="File of the private key, if it is encrypted.")
]


def _place(settings: "Settings", given: str | None) -> str:
    """Return where backups are, a relative directory being one of the folder called from."""
    place = given or settings.backup_to
    if not place:
        raise typer.BadParameter(
            "name a directory or s3://bucket/prefix, or set TRADEWIND_BACKUP_TO"
        )
    return place if given is None or place.startswith("s3://") else str(Path(place).absolute())


@app.command()
def backup(
    to: Place = None,
    *,
    keep: Annotated[
        int | None, typer.Option(help="Leave as many there; all, if not given.")
    ] = None,
    encrypt_to: Annotated[
        str | None,
        typer.Option(help="Public key, age1...; TRADEWIND_BACKUP_ENCRYPT_TO if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Back everything up, while the stack works or is down, and check what was written."""
    from tradewind import display
    from tradewind.stack.backup import local
    from tradewind.stack.backup.encryption import public_keys
    from tradewind.stack.backup.summary import summarised

    settings = settings_of_folder()
    place = _place(settings, to)
    keys = public_keys(settings.backup_encrypt_to if encrypt_to is None else encrypt_to)
    with display.copying("backup", silent=as_json) as progress:
        made = local.back_up(settings, place, keep=keep, encrypt_to=keys, progress=progress)
    found = summarised(made.backup, made.contents, removed=made.removed)
    print_json(found) if as_json else display.backup_made(found)
    if found.incomplete and not as_json:
        warn(f"files were gone before this backup: {', '.join(found.incomplete)}")


@app.command()
def backups(place: Place = None, *, as_json: Json = False) -> None:
    """List the backups of a place, oldest first."""
    from tradewind import display
    from tradewind.stack.backup.kept import backups as all_of
    from tradewind.stack.backup.places import place_of
    from tradewind.stack.backup.summary import listed

    settings = settings_of_folder()
    where = place_of(_place(settings, place), settings.home)
    found = [listed(each) for each in all_of(where)]
    print_json(found) if as_json else display.backups(found)


@app.command()
def restore(
    place: Place = None,
    *,
    name: Annotated[
        str | None, typer.Option("--backup", help="Its name; the newest, if not given.")
    ] = None,
    key: KeyFile = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Set aside what data there is; else it is refused.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore a backup into a stack without data, after checking all of it; then `tradewind up`."""
    from tradewind import display
    from tradewind.stack.backup import local
    from tradewind.stack.backup.encryption import read_key
    from tradewind.stack.backup.summary import summarised

    settings = settings_of_folder()
    where = _place(settings, place)
    secret = None if key is None else read_key(key)
    with display.copying("restore", silent=as_json) as progress:
        done = local.restore(
            settings, where, name=name, key=secret, replace=replace, progress=progress
        )
    found = summarised(done.backup, done.contents, set_aside=done.set_aside)
    print_json(found) if as_json else display.restored(found)


@app.command("backup-key")
def backup_key(
    file: Annotated[Path, typer.Argument(help="For the private key; must not exist yet.")],
) -> None:
    """Make a pair of keys for encrypted backups, and print the public one."""
    from tradewind.stack.backup.encryption import make_key

    typer.echo(make_key(file))
    typer.echo(f"keep {file} where the backups are not: without it nobody restores them", err=True)


@app.command()
def upgrade(*, as_json: Json = False) -> None:
    """Take the data to the installed version: backup, migrations, health, or back to before."""
    from tradewind import display
    from tradewind.stack.backup.summary import summarised
    from tradewind.stack.backup.upgrade import upgrade as begin

    settings = settings_of_folder()
    with (
        display.copying("backup", silent=as_json) as progress,
        display.starting(silent=as_json) as on_change,
    ):
        done = begin(settings, progress=progress, on_change=on_change)
    found = summarised(done.made.backup, done.made.contents, removed=done.made.removed)
    print_json(found) if as_json else display.upgraded(found)
