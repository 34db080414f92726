"""The first view of MLflow's page: model training, without the assistant.

MLflow 3 opens in a view for agents, with traces where runs should be. Each browser keeps the chosen
view, and no setting of the server changes the first one. So a script in the page sets it before
anything else runs. A choice that a user makes later is kept.
"""

import json
from pathlib import Path
from typing import Final

from flask import Flask, Response

__all__ = ["FIRST_CHOICES", "begin_with_training"]

FIRST_CHOICES: Final = {
    "mlflow.workflowType_v1": json.dumps("machine_learning"),
    # The assistant counts as opened once, so that it does not open by itself.
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": json.dumps(True),
}
"""What a browser keeps of MLflow's page, by the page's own names, where it keeps nothing yet."""

_SCRIPT: Final = (
    "<script>for(const [k,v] of Object.entries(%s))"
    "if(localStorage.getItem(k)===null)localStorage.setItem(k,v)</script>"
)


def begin_with_training(app: Flask) -> None:
    """Serve the page with these choices; everything else is unchanged.

    Parameters
    ----------
    app : Flask
        MLflow's; its view ``serve`` is the page.
    """
    page = Path(str(app.static_folder), "index.html").read_text("utf-8")
    begun = page.replace("<head>", "<head>" + _SCRIPT % json.dumps(FIRST_CHOICES), 1)

    def serve() -> Response:
        return Response(begun, mimetype="text/html")

    app.view_functions["serve"] = serve
