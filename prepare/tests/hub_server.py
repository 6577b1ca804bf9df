"""A small Hugging Face Hub: the few addresses that huggingface_hub asks, over HTTP."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"


class FakeHub:
    """Serves `repositories`: (kind, name) to commit to files; `main` is the first commit."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}
        self.gated: set[str] = set()
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def log_message(self, *arguments: Any) -> None:
                """Nothing on standard error."""

            def do_HEAD(self) -> None:
                """The same headers as for GET."""
                hub.answer(self, False)

            def do_GET(self) -> None:
                """A description of a repository, or a file."""
                hub.answer(self, True)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Ends the server."""
        self.server.shutdown()
        self.server.server_close()

    def add(self, kind: str, name: str, files: dict[str, bytes], commit: str = COMMIT) -> None:
        """Adds a commit of a repository."""
        self.repositories.setdefault((kind, name), {})[commit] = files

    def answer(self, request: BaseHTTPRequestHandler, has_body: bool) -> None:
        """Sends what was asked for."""
        self.requests.append(f"{request.command} {request.path}")
        status, headers, body = self._found(request.path)
        request.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(key, value)
        request.end_headers()
        if has_body:
            request.wfile.write(body)

    def _found(self, path: str) -> tuple[int, dict[str, str], bytes]:
        described = re.fullmatch(r"/api/(model|dataset)s/(.+)/revision/(.+)", path)
        file = re.fullmatch(r"/(datasets/)?(.+?)/resolve/([0-9a-f]+)/(.+)", path)
        match = described or file
        if match is None:
            return 404, {}, b"{}"
        kind = described[1] if described else "dataset" if file[1] else "model"
        commits = self.repositories.get((kind, match[2]))
        if commits is None:
            return 401, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if match[2] in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        commit = next(iter(commits)) if match[3] == "main" else match[3]
        if commit not in commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        files = commits[commit]
        if described:
            listed = [{"rfilename": name} for name in files]
            card = {"license": "apache-2.0"}
            found = {"id": match[2], "sha": commit, "siblings": listed, "cardData": card}
            return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()
        if file[4] not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b"{}"
        body = files[file[4]]
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        return 200, {"ETag": etag, "X-Repo-Commit": commit}, body
