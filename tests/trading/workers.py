"""Real Celery workers of the trading application, and a bare Celery that sends to them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from celery import Celery

from tests.redis_server import RedisServer
from tradewind.trading.app import KEY_PREFIX


class Workers:
    """The trading application's workers, and a bare Celery that sends to them."""

    def __init__(self, folder: Path, server: RedisServer, database_url: str) -> None:
        self._folder = folder
        self.server = server
        self._address = server.url
        self._environment = {
            **os.environ,
            "CELERY_BROKER_URL": self._address,
            "CELERY_RESULT_BACKEND": self._address,
            "TRADEWIND_DATABASE_URL": database_url,
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.client = Celery("anybody", broker=self._address, backend=self._address)
        options = {"global_keyprefix": KEY_PREFIX}
        self.client.conf.update(
            broker_transport_options=options,
            result_backend_transport_options=options,
            task_default_queue="trading",
        )

    def start(self) -> None:
        log = (self._folder / f"worker-{len(self.processes)}.log").open("wb")
        with log:
            command = [
                sys.executable, "-m", "celery", "--app", "tradewind.trading.app", "worker",
                "--loglevel", "INFO", "--without-gossip", "--without-mingle", "--hostname",
                f"w{len(self.processes)}@test",
            ]  # fmt: skip
            self.processes.append(
                subprocess.Popen(
                    command,
                    env=self._environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def ask(self, task: str, *arguments: str) -> Any:
        answer = self.client.send_task(task, arguments)
        try:
            return answer.get(timeout=120)
        finally:
            answer.forget()

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.client.close()
