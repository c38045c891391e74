"""The operator's process: wires the adapters to the services, and ends when a part of it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version

import kopf
import structlog

from goldseam import logs, metrics
from goldseam.adapters.access import Certificates, Tokens
from goldseam.adapters.alertmanager import AlertmanagerServer
from goldseam.adapters.clock import SystemClock
from goldseam.adapters.credentials import Credentials
from goldseam.adapters.door import Door
from goldseam.adapters.events import KubeEvents
from goldseam.adapters.http_server import serve
from goldseam.adapters.kube import KubeCluster, connect
from goldseam.adapters.kubeconfig import token_file
from goldseam.adapters.prometheus import PrometheusServer
from goldseam.adapters.promql import PromqlMetrics
from goldseam.adapters.receiver import Receiver
from goldseam.adapters.recorder import recorder
from goldseam.adapters.replicas import AlertServers, AnyMetrics
from goldseam.adapters.selective import SelectiveServer
from goldseam.adapters.webhook import WebhookNotifier
from goldseam.api.alertsource import AlertmanagerSpec, AlertSourceSpec
from goldseam.handlers.watching import Watching
from goldseam.ports import Alertmanager, AlertServer, Metrics
from goldseam.services.inbox import Inbox
from goldseam.services.leadership import Leadership
from goldseam.services.operator import Operator, Outside
from goldseam.settings import Settings

log = structlog.get_logger("goldseam")

GARBAGE = 10_000
"""So many new objects, which may hold others, are looked through for garbage at a time. Long lists of JSON are nearly
all that is made here, and none of it is garbage: with Python's 700, reading 1,500 nodes takes half as long again."""
STOP_KOPF = 5.0
SILENT = 30.0
"""Seconds without any answer of the API server after which we are not ready: the lease alone is asked for each 2 s."""


def _spread() -> float:
    """Reads are spread by a tenth each way, so that many operators do not all ask at once."""
    return random.uniform(0.9, 1.1)


def _outside(cluster: KubeCluster, settings: Settings, clock: SystemClock, leave: Callable[[], None]) -> Outside:
    def source(spec: AlertSourceSpec) -> tuple[AlertServer, Metrics]:
        timeout, credentials = spec.timeout.total_seconds(), Credentials(spec, cluster, settings.namespace)
        urls = [spec.url, *spec.replicas]
        servers = [(url, SelectiveServer(PrometheusServer(url, credentials, timeout=timeout))) for url in urls]
        asked = [spec.query_url] if spec.query_url else urls
        promql = [PromqlMetrics(url, credentials, timeout=timeout) for url in asked]
        rules = servers[0][1] if len(servers) == 1 else AlertServers(servers)
        return rules, promql[0] if len(promql) == 1 else AnyMetrics(promql)

    def alertmanagers(spec: AlertmanagerSpec) -> list[Alertmanager]:
        credentials = Credentials(spec, cluster, settings.namespace)
        return [AlertmanagerServer(url, credentials) for url in spec.urls]

    record = recorder(settings.record_dir)
    events, pod = KubeEvents(cluster), settings.pod_name or socket.gethostname()
    return Outside(cluster, events, WebhookNotifier(), clock, source, alertmanagers, record, _spread, pod, leave)


def _login(settings: Settings) -> kopf.ConnectionInfo | None:
    """The same credentials as our own client: a kubeconfig where one is given, else the pod's ServiceAccount."""
    if settings.kubeconfig:
        found = kopf.login_with_kubeconfig(settings=kopf.OperatorSettings())
        token = token_file(str(settings.kubeconfig))  # kopf overlooks it
        return replace(found, token=token.read()) if found and token else found
    return kopf.login_with_service_account(settings=kopf.OperatorSettings())


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (0), or until a part of the operator has ended by itself (1)."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    reasons: list[str] = []
    if settings.kubeconfig:  # for kopf; now, while no other thread makes the C library read the environment
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)

    def end(reason: str) -> None:
        reasons.append(reason)
        loop.call_soon_threadsafe(ended.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    inbox = Inbox()
    watching = Watching(inbox.put, lambda: _login(settings), end, settings.watch_seconds)
    kubeconfig = str(settings.kubeconfig) if settings.kubeconfig else None
    agent, rate = f"goldseam/{version('goldseam')}", settings.requests_per_second
    async with connect(kubeconfig, agent, per_second=rate) as cluster:
        clock, identity = SystemClock(), f"{socket.gethostname()}_{uuid.uuid4()}"
        outside = _outside(cluster, settings, clock, ended.set)
        leadership = Leadership(cluster, clock, settings.namespace, identity, told=clock.told)
        operator = Operator(outside, inbox, settings.namespace, leadership)

        health = _Health(watching, cluster, operator, reasons)
        async with (
            serve(settings.listen_host, settings.listen_port, live=health.live, ready=health.ready),
            _receiving(settings, operator, health),
        ):
            guarding = asyncio.create_task(health.guard(end))
            working = asyncio.create_task(operator.run())
            working.add_done_callback(lambda task: end(f"the operator's loop has ended: {_why(task)}"))
            watching.start()
            log.info("started", namespace=settings.namespace, version=version("goldseam"))
            await ended.wait()
            log.info("stopping", reasons=reasons)
            await _stopped(operator, working, guarding)
            await asyncio.to_thread(watching.stop, STOP_KOPF)
    return 1 if any(reason for reason in reasons if "cancelled" not in reason) else 0


async def _stopped(operator: Operator, *tasks: asyncio.Task[None]) -> None:
    """Stop in order; where it hands over, only when another process leads."""
    await operator.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await operator.followed()


@dataclass(frozen=True)
class _Health:
    """What the probes are told; it follows the work, not merely the process."""

    watching: Watching
    cluster: KubeCluster
    operator: Operator
    ended: list[str]

    def ready(self) -> tuple[bool, str]:
        """Whether it can do its part, and a word on it."""
        if self.cluster.silent_for > SILENT:
            return False, f"the API server has not answered for {int(self.cluster.silent_for)} s"
        return self.operator.ready if self.watching.ready[0] else self.watching.ready

    def live(self) -> tuple[bool, str]:
        """Whether it must not be started again, and a word on it."""
        if self.ended or (self.operator.loaded and not self.operator.alive):
            return False, "; ".join(self.ended) or "the main loop has not turned lately"
        return True, "ok"

    async def guard(self, end: Callable[[str], None]) -> None:
        """End the process when a watch is dead though the API server answers us: it would never see anything again."""
        while True:
            await asyncio.sleep(1)
            if self.watching.freshness.dead and self.cluster.silent_for < SILENT:
                log.error("watch_dead", problem=self.watching.freshness.dead)
                end(self.watching.freshness.dead)
                return


@asynccontextmanager
async def _receiving(settings: Settings, operator: Operator, health: _Health) -> AsyncIterator[None]:
    """The receiver of hints, where it is asked for."""
    if settings.receiver_port is None:
        yield
        return
    tokens = Tokens(settings.receiver_token_file) if settings.receiver_token_file else None
    folder, clients = settings.receiver_tls_dir, settings.receiver_client_ca_file
    tls = Certificates(folder, clients).context if folder else None
    door = Door(Receiver(operator.hinted, health.ready, tokens).handle, tls)
    async with door.opened(settings.receiver_host, settings.receiver_port) as port:
        log.info("receiving", port=port, tls=tls is not None, tokens=tokens is not None, clients=clients is not None)
        yield


def _why(task: asyncio.Task[None]) -> str:
    return "cancelled" if task.cancelled() else repr(task.exception())


def main(settings: Settings) -> int:
    """Run it; the exit status."""
    gc.set_threshold(GARBAGE)
    lines = logs.setup(settings.log_level, settings.log_format)
    metrics.lines_dropped(lambda: lines.dropped)
    return asyncio.run(run(settings))
