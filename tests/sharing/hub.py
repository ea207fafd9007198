"""A stand-in for the hub on this machine: as much of its HTTP interface as a push needs."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """What was pushed: repositories with their files."""

    def __init__(self):
        self.repos, self.stored, self.messages, self.private = {}, {}, [], {}
        self.refuses = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"] or 0)
                hub.answer(self, self.rfile.read(length))

            do_PUT = do_POST

            def do_GET(self):
                self.reply({"siblings": [], "sha": "0" * 40, "id": "x"})

            def reply(self, data, status=200):
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """No lines between those of the tests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler, body):
        path = handler.path.split("?")[0]
        if self.refuses:
            handler.reply({"error": "you may not"}, 403)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.repos.setdefault(name, {})
            self.private[name] = asked.get("private", asked.get("visibility"))
            handler.reply({"url": f"{self.address}/{name}"})
        elif path == "/api/validate-yaml":
            handler.reply({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = {True: "lfs", False: "regular"}
            answers = [
                {"path": one["path"], "uploadMode": modes[one["path"].endswith(".safetensors")], "shouldIgnore": False}
                for one in files
            ]
            handler.reply({"files": answers})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.address}/store/{one['oid']}", "header": {}}}}
                for one in json.loads(body)["objects"]
            ]
            handler.reply({"transfer": "basic", "objects": objects})
        elif path.startswith("/store/"):
            self.stored[path.removeprefix("/store/")] = body
            handler.reply({})
        elif "/commit/" in path:
            name = self.commit(path, body)
            where = f"{self.address}/{name}/commit/{'1' * 40}"
            handler.reply({"success": True, "commitUrl": where, "commitOid": "1" * 40, "hookOutput": ""})
        else:
            handler.reply({"error": f"not known here: {path}"}, 404)

    def commit(self, path, body):
        name = path.removeprefix("/api/models/").partition("/commit/")[0]
        repo = self.repos[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                repo[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo[value["path"]] = self.stored[value["oid"]]
        return name
