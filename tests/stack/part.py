"""The command line with a part of the stack: services named in STACK_PART, restarts in no time.

Whole Airflow takes a minute to start; what is tested here needs one or two stores.
"""

import os
import sys

from tradewind import cli
from tradewind.settings import Settings
from tradewind.stack import lifecycle, services, supervisor
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets
from tradewind.stack.service import Service

every = services.services
wanted = os.environ["STACK_PART"].split()


def part(settings: Settings, layout: Layout, secrets: Secrets) -> list[Service]:
    found = {service.name: service for service in every(settings, layout, secrets)}
    return [found[name] for name in wanted]


services.services = part
lifecycle.COMMAND = (sys.executable, __file__, "up")
supervisor.BACK_OFF = (0.0, 0.5)
supervisor.WATCH_POLL = 0.5
cli.main()
