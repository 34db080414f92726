"""Airflow's login page alone, on a database of its own: run with port and admin's password.

The rest of Airflow takes a minute to start, and has no part in who comes in.
"""

import sys
from typing import Any

import uvicorn
from airflow import settings
from airflow.api_fastapi.app import create_auth_manager
from airflow.providers.fab.auth_manager.models import metadata
from fastapi import FastAPI

from tradewind.orchestration.runtime.logout import LeavesByProvider
from tradewind.stack.people import make_roles


def main(port: int, password: str) -> None:
    engine: Any = settings.engine
    metadata.create_all(engine)
    manager: Any = create_auth_manager()
    app = FastAPI()
    app.mount("/auth", manager.get_fastapi_app())
    app.add_middleware(LeavesByProvider)
    make_roles()
    with manager.flask_app.app_context():
        sm = manager.security_manager
        sm.add_user("admin", "A", "B", "admin@localhost", sm.find_role("Admin"), password)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
