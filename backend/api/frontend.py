"""The web's files under the service's own origin: immutable assets, and one page for every route."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_ASSETS = "assets/"
_OURS = ("api/", "health", "ready", "metrics")


class Frontend(StaticFiles):
    """Files of a Vite build; a path without a file gets index.html, so that links into the app work."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, index.html, or 404."""
        if path.startswith(_OURS):
            raise HTTPException(404, "there is no such address")
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or "." in path.rsplit("/", 1)[-1]:
                raise
            response = await super().get_response("index.html", scope)
        immutable = path.startswith(_ASSETS)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if immutable else "no-cache"
        return response
