"""The commands for people: their options, and one run of one of them."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from goldseam.adapters.clock import SystemClock
from goldseam.adapters.kube import connect_person
from goldseam.api.durations import format_duration, parse_duration
from goldseam.api.pause import DEFAULT_PAUSE
from goldseam.cli import answering, explain, looking, pausing, without_cluster
from goldseam.cli.pausing import What
from goldseam.cli.session import FAILED, OPERATOR_NAMESPACE, Session, advice
from goldseam.errors import GoldseamError

INCIDENT = "the incident's name, or its target as KIND/NAME, such as deployment/worker"


def add(commands: Any) -> None:
    """Add the commands to a parser's subcommands."""
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("-n", "--namespace", help="the namespace; default: that of your kubeconfig's context")
    where.add_argument("--context", help="the kubeconfig's context; default: the current one")
    where.add_argument("--kubeconfig", help="the kubeconfig file; default: KUBECONFIG, else ~/.kube/config")
    _looking(commands, where)
    _answering(commands, where)
    _pausing(commands, where)
    without_cluster.add(commands)


def _command(commands: Any, where: argparse.ArgumentParser, name: str, text: str) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[where])
    assert isinstance(made, argparse.ArgumentParser)
    return made


def _looking(commands: Any, where: argparse.ArgumentParser) -> None:
    one = _command(commands, where, "incidents", "list the incidents that go on or owe something")
    one.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    one.add_argument("--all", action="store_true", help="also those that are over")
    one.set_defaults(call=lambda s, a: looking.incidents(s, every=a.all))
    one = _command(commands, where, "show", "show one incident: tried, held back, owed, asked, said")
    one.add_argument("incident", metavar="INCIDENT", help=INCIDENT)
    one.set_defaults(call=lambda s, a: looking.show(s, a.incident))
    one = _command(commands, where, "explain", "say why something is done or not: each guard, and what to do about it")
    one.add_argument("incident", metavar="INCIDENT", help=f"{INCIDENT}; or policy/NAME, clusterpolicy/NAME")
    one.set_defaults(call=lambda s, a: explain.explain(s, a.incident))


def _answering(commands: Any, where: argparse.ArgumentParser) -> None:
    for name, text, call in (
        (
            "approve",
            "say yes to the step that an incident asks for",
            lambda s, a: answering.approve(s, a.incident, step=a.step, reason=a.reason, yes=a.yes),
        ),
        (
            "deny",
            "say no to the step that an incident asks for: the next rung is tried",
            lambda s, a: answering.deny(s, a.incident, step=a.step, reason=a.reason),
        ),
        (
            "ack",
            "say that people have seen an incident; nothing else changes",
            lambda s, a: answering.acknowledge(s, a.incident, reason=a.reason),
        ),
        (
            "undo",
            "take over: nothing more is tried, and what was changed is put back as soon as the alert is gone",
            lambda s, a: answering.undo(s, a.incident, reason=a.reason, yes=a.yes),
        ),
    ):
        one = _command(commands, where, name, text)
        one.add_argument("incident", metavar="INCIDENT", help=INCIDENT)
        one.add_argument("--reason", default="", help="why; shown on the incident with your name")
        if name in ("approve", "deny"):
            one.add_argument("--step", help="the step that is meant; default: the one that is asked for")
        if name in ("approve", "undo"):
            one.add_argument("-y", "--yes", action="store_true", help="do not ask whether it is meant")
        one.set_defaults(call=call)


def _pausing(commands: Any, where: argparse.ArgumentParser) -> None:
    text = "stop work now, in the namespace or on one policy or target; no GitOps tool undoes it"
    one = _command(commands, where, "pause", text)
    _what(one)
    one.add_argument("--reason", required=True, help="why; shown on every incident that it holds")
    one.add_argument("--everything", action="store_true", help="also what is owed: scaling back, uncordoning")
    one.add_argument(
        "--for",
        dest="length",
        type=_length,
        default=DEFAULT_PAUSE,
        metavar="DURATION",
        help=f"how long, such as 90m; default: {format_duration(DEFAULT_PAUSE)}; at most 7 days (168h)",
    )
    one.set_defaults(
        call=lambda s, a: pausing.pause(s, _meant(a), reason=a.reason, everything=a.everything, length=a.length)
    )
    one = _command(commands, where, "resume", "end the pause of that name, or those that stop exactly this")
    one.add_argument("pause", metavar="PAUSE", nargs="?", help="the Pause's name")
    _what(one)
    one.set_defaults(call=lambda s, a: pausing.resume(s, a.pause, _meant(a)))


def _what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policy", help="this policy of the namespace")
    parser.add_argument("--target", metavar="KIND/NAME", help="this workload of the namespace, or node/NAME")
    parser.add_argument(
        "--cluster",
        action="store_true",
        help=f"all policies of the cluster; Goldseam's own namespace is {OPERATOR_NAMESPACE} unless -n names it",
    )


def _meant(arguments: argparse.Namespace) -> What:
    return What(arguments.policy, arguments.target, arguments.cluster)


def _length(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _at_home(arguments: argparse.Namespace) -> bool:
    """What is about the cluster and its nodes lives in the operator's namespace."""
    named = getattr(arguments, "target", None) or getattr(arguments, "incident", None) or ""
    return getattr(arguments, "cluster", False) or named.lower().partition("/")[0] in ("node", "nodes", "no")


def run(arguments: argparse.Namespace) -> int:
    """Run the command that was parsed; returns the exit status."""
    try:
        alone = getattr(arguments, "alone", None)
        return asyncio.run(without_cluster.run(alone, arguments, print_) if alone else _run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


async def _run(arguments: argparse.Namespace) -> int:
    namespace = arguments.namespace
    try:
        agent = f"goldseam-cli/{version('goldseam')}"
        async with connect_person(arguments.kubeconfig, arguments.context, agent) as (cluster, default):
            namespace = namespace or (OPERATOR_NAMESPACE if _at_home(arguments) else default)
            if getattr(arguments, "all_namespaces", False):
                namespace = ""
            session = Session(cluster, namespace, print_, _asker(), SystemClock().now, asyncio.sleep)
            status: int = await arguments.call(session, arguments)
            return status
    except GoldseamError as error:
        for line in advice(error, namespace or "").splitlines():
            sys.stderr.write(f"goldseam: {line}\n")
        return FAILED


def print_(line: str) -> None:
    """Write one line to the standard output."""
    sys.stdout.write(line + "\n")


def _asker() -> Any:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    return lambda question: input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
