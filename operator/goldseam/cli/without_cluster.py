"""The commands that need no cluster: `goldseam lint` and `goldseam new`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from goldseam.adapters.credential_files import Files
from goldseam.cli import drafting, linting
from goldseam.cli.asking import AskedSource, Where, source
from goldseam.cli.text import plain
from goldseam.errors import GoldseamError, Invalid

Say = Callable[[str], None]
Command = Callable[[argparse.Namespace, Say], Awaitable[int]]


def add(commands: Any) -> None:
    """Add the commands to a parser's subcommands."""
    text = "check policies and other objects in files, by themselves and against a live alert source"
    one = _command(commands, "lint", text, required=False)
    one.add_argument("files", metavar="FILE", nargs="*", help="files, directories, or - for the standard input")
    help_of_queries = "where PromQL is answered, if not there, as with queryUrl of an AlertSource"
    one.add_argument("--source-query-url", metavar="URL", help=help_of_queries)
    one.add_argument("-n", "--namespace", help="the namespace of objects that do not say theirs")
    one.add_argument("-o", "--output", choices=("text", "json", "github"), default="text", help="default: text")
    one.add_argument("--strict", action="store_true", help="exit with 1 also for Warnings")
    one.set_defaults(alone=_lint)
    one = _command(commands, "new", "print a first policy for an alert, made from its live rule", required=True)
    one.add_argument("--alert", required=True, metavar="NAME", help="the alert's name")
    one.add_argument("-n", "--namespace", help="the policy's namespace; default: that of the alert, where it is one")
    one.set_defaults(alone=_new)


def _command(commands: Any, name: str, text: str, *, required: bool) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    assert isinstance(made, argparse.ArgumentParser)
    made.add_argument("--source", metavar="URL", required=required, help="the Prometheus-compatible server's API")
    made.add_argument("--source-token-file", metavar="FILE", type=Path, help="holds the bearer token to show it")
    made.add_argument("--source-user-file", metavar="FILE", type=Path, help="holds name:password, for basic auth")
    made.add_argument("--source-cert", metavar="FILE", type=Path, help="our certificate and its private key, as PEM")
    made.add_argument("--source-tenant", metavar="ID", help="shown as X-Scope-OrgID, or as HEADER=ID says")
    made.add_argument("--source-ca", metavar="FILE", type=Path, help="the authority of its certificate, as PEM")
    return made


def _source(arguments: argparse.Namespace) -> AskedSource | None:
    given = vars(arguments)
    names = {"token": "source_token_file", "user": "source_user_file", "certificate": "source_cert"}
    files = Files(**{field: given[name] for field, name in names.items()}, authority=arguments.source_ca)
    if arguments.source:
        return source(Where(arguments.source, files, arguments.source_tenant, given.get("source_query_url")))
    if files != Files() or arguments.source_tenant:
        raise Invalid("--source-token-file, --source-ca and their like are for --source URL, which is missing")
    return None


async def _lint(arguments: argparse.Namespace, say: Say) -> int:
    files = arguments.files or ([] if sys.stdin.isatty() else [linting.STDIN])
    if not files:
        raise Invalid("name files or directories, or write to the standard input: kustomize build | goldseam lint -")
    wanted = linting.Wanted(files, arguments.namespace, arguments.output, arguments.strict)
    return await linting.run(wanted, _source(arguments), say, sys.stdin)


async def _new(arguments: argparse.Namespace, say: Say) -> int:
    asked = _source(arguments)
    assert asked is not None, "the option is required"
    return await drafting.run(asked, arguments.alert, arguments.namespace, say)


async def run(command: Command, arguments: argparse.Namespace, say: Say) -> int:
    """Run one of them; the exit status is 2 where nothing could be told."""
    try:
        return await command(arguments, say)
    except GoldseamError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"goldseam: {plain(line)}\n")
        return linting.FOUND if isinstance(error, drafting.NotWritten) else linting.UNCHECKED
