"""What Airflow is told about this provider, by the entry point `apache_airflow_provider`."""

from typing import Any

__all__ = ["get_provider_info"]

_INTEGRATION = "Celery apps"
_PACKAGE = "tradewind.bridge"


def get_provider_info() -> dict[str, Any]:
    """Return the connection type, with its form, and where operators and triggers are."""
    return {
        "package-name": "tradewind",
        "name": "Celery apps",
        "description": "Tasks of any Celery app, and entries of Redis streams.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.celeryq.dev/",
                "tags": ["software"],
            }
        ],
        "operators": [
            {"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.operators"]}
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.hook"]}],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [f"{_PACKAGE}.triggers", f"{_PACKAGE}.streams"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "celery",
                "hook-class-name": f"{_PACKAGE}.hook.CeleryHook",
                "hook-name": "Celery app",
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {"schema": "Database, or virtual host"},
                    "placeholders": {"port": "6379", "schema": "0"},
                },
                "conn-fields": {
                    "global_keyprefix": _field(
                        "Key prefix", "What the app puts before its keys in Redis"
                    ),
                    "default_queue": _field(
                        "Default queue", "For tasks that name none; 'celery' if empty"
                    ),
                    "result_backend": _field(
                        "Result backend", "Its URL, if results are not in the broker's Redis",
                        secret=True,
                    ),
                    "result_keyprefix": _field(
                        "Key prefix of results", "If it is not that of the broker"
                    ),
                    "broker_scheme": _field("Broker scheme", "redis, rediss, amqp or amqps"),
                    "ssl_ca_certs": _field(
                        "CA file", "Of a broker of scheme rediss; the system's CAs if empty"
                    ),
                    "poll_seconds": _field(
                        "Poll", "Seconds between two looks at results nobody told of"
                    ),
                    "acks_late": _field(
                        "Acknowledges late", "Whether all of its tasks have task_acks_late",
                        kind="boolean",
                    ),
                },
            }
        ],
    }  # fmt: skip


def _field(
    label: str, description: str, *, kind: str = "string", secret: bool = False
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [kind, "null"]}
    if secret:
        schema["format"] = "password"
    return {"label": label, "description": description, "schema": schema}
