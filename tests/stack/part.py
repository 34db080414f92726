"""The command line with a part of the stack: services named in STACK_PART, restarts in no time.

Whole Airflow takes a minute to start; what is tested here needs one or two stores.
"""

import os
import sys

from tradewind import cli
from tradewind.stack import lifecycle, services, supervisor

every = services.services
wanted = os.environ["STACK_PART"].split()


def part(*arguments):
    found = {service.name: service for service in every(*arguments)}
    return [found[name] for name in wanted]


services.services = part
lifecycle.COMMAND = (sys.executable, __file__, "up")
supervisor.BACK_OFF = (0.0, 0.5)
supervisor.WATCH_POLL = 0.5
cli.main()
